package tools

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"watchkeeper/secret"
)

// document renders an object as YAML lines without what is noise and without
// what is secret. Nothing of the values of a Secret is kept.
func document(o *unstructured.Unstructured) ([]string, error) {
	doc := o.Object
	dropNoise(doc)
	kind, group := o.GetKind(), o.GroupVersionKind().Group
	switch {
	case kind == "Secret" && group == "":
		for _, key := range []string{"data", "stringData"} {
			sizes(doc, key)
		}
	case kind == "ConfigMap" && group == "":
		values, _ := doc["data"].(map[string]any)
		for key, v := range values {
			values[key] = redactValue(key, fmt.Sprint(v))
		}
		sizes(doc, "binaryData")
	}
	var text bytes.Buffer
	enc := yaml.NewEncoder(&text)
	enc.SetIndent(1)
	if err := enc.Encode(redactTree("", doc)); err != nil {
		return nil, fmt.Errorf("render object: %w", err)
	}
	lines := strings.Split(strings.TrimRight(secret.Redact(text.String()), "\n"), "\n")
	for i, l := range lines {
		lines[i] = clean(l, 1000)
	}
	return lines, nil
}

// dropNoise removes what serves the API server and not the reader. The
// last-applied annotation goes in any case: it repeats Secrets in the clear.
func dropNoise(doc map[string]any) {
	m, _ := doc["metadata"].(map[string]any)
	delete(m, "managedFields")
	delete(m, "selfLink")
	notes, _ := m["annotations"].(map[string]any)
	for key := range notes {
		if strings.Contains(key, "last-applied-configuration") {
			delete(notes, key)
		}
	}
	if len(notes) == 0 {
		delete(m, "annotations")
	}
}

// sizes replaces a map of values by a list of its keys and their lengths.
func sizes(doc map[string]any, field string) {
	values, ok := doc[field].(map[string]any)
	if !ok {
		return
	}
	var list []any
	for _, key := range slices.Sorted(maps.Keys(values)) {
		n := len(fmt.Sprint(values[key]))
		if raw, err := base64.StdEncoding.DecodeString(fmt.Sprint(values[key])); err == nil && field != "stringData" {
			n = len(raw)
		}
		list = append(list, fmt.Sprintf("%s (%d bytes, not shown)", key, n))
	}
	doc[field] = list
}

// redactTree redacts environment variables by their name and every other text
// by its shape. key is the name of the field that holds v.
func redactTree(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		name, isName := v["name"].(string)
		value, isValue := v["value"].(string)
		if isName && isValue { // an environment variable, a parameter, a header
			v["value"] = redactValue(name, value)
		}
		for k, item := range v {
			if k != "value" || !isName || !isValue {
				v[k] = redactTree(k, item)
			}
		}
	case []any:
		for i, item := range v {
			v[i] = redactTree(key, item)
		}
	case string:
		return redactValue(fieldKey(key), v)
	}
	return v
}

// fieldKey hides the names of API fields that sound secret and are not, such
// as secretName or serviceAccountToken, from the rules for keys: of the fields
// of the API itself, only these hold secrets in the clear.
func fieldKey(key string) string {
	switch strings.ToLower(key) {
	case "password", "token", "secret", "apikey", "api_key", "privatekey", "accesskey", "secretkey", "passphrase", "credentials", "clientsecret":
		return key
	}
	return ""
}
