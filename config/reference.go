package config

import (
	"fmt"
	"reflect"
	"strings"
)

// Reference returns the page that describes every key and every secret, in
// Markdown.
func Reference() string {
	var s strings.Builder
	s.WriteString(referenceHead)
	writeObject(&s, reflect.ValueOf(Default()), "")
	s.WriteString(secretsHead)
	for f := range reflect.TypeFor[Secrets]().Fields() {
		fmt.Fprintf(&s, "| `%s` | %s |\n", f.Tag.Get("env"), f.Tag.Get("jsonschema"))
	}
	return s.String()
}

const referenceHead = `# Configuration

<!-- Generated from the types of package config: go test ./config -update -->

Watchkeeper reads ` + "`watchkeeper.yaml`" + ` in the current directory, or the file that ` + "`--config`" + ` or
` + "`WATCHKEEPER_CONFIG`" + ` names; its state is in ` + "`./var`" + `, or where ` + "`--state`" + ` or ` + "`WATCHKEEPER_STATE`" + ` says.
Every key has a default, so an empty or absent file is valid. The file is strict: an unknown key, a key given
twice or a wrong value is an error with file and line, and all mistakes are reported at once.
[watchkeeper.example.yaml](../watchkeeper.example.yaml) is a complete example, and
[watchkeeper.schema.json](../watchkeeper.schema.json) is the schema for editors: put this into the first line.

` + "```yaml" + `
# yaml-language-server: $schema=watchkeeper.schema.json
` + "```" + `

| Key | Type | Default | Meaning |
| --- | --- | --- | --- |
`

const secretsHead = `
## Secrets

Secrets come from the environment, never from the file. Instead of ` + "`NAME`" + `, set ` + "`NAME_FILE`" + ` to the path of a file
that holds the secret alone; white space around it is cut off. Setting both is an error. A secret that is not set is
none: what needs it is off, and ` + "`watchkeeper doctor`" + ` says so.

| Variable | Meaning |
| --- | --- |
`

// writeObject writes a row for each key of a struct, and of what is in it.
func writeObject(s *strings.Builder, v reflect.Value, path string) {
	for _, f := range fieldsOf(v.Type()) {
		writeField(s, f, v.FieldByIndex(f.index), strings.TrimPrefix(path+"."+f.key, "."))
	}
}

func writeField(s *strings.Builder, f field, v reflect.Value, path string) {
	fmt.Fprintf(s, "| `%s` | %s | %s | %s |\n", path, typeName(f.typ, f.rules.check), defaultName(v), f.meaning)
	switch {
	case isText(f.typ):
	case f.typ.Kind() == reflect.Struct:
		writeObject(s, v, path)
	case f.typ.Kind() == reflect.Map && f.typ.Elem().Kind() == reflect.Struct:
		writeObject(s, reflect.Zero(f.typ.Elem()), path+".NAME")
	case f.typ.Kind() == reflect.Slice && f.typ.Elem().Kind() == reflect.Struct:
		writeObject(s, reflect.Zero(f.typ.Elem()), path+"[]")
	}
}

func typeName(t reflect.Type, rule string) string {
	switch {
	case isText(t):
		return formOf(t).kind
	case t.Kind() == reflect.Slice:
		return "list of " + typeName(t.Elem(), rule)
	case t.Kind() == reflect.Map:
		return "name → " + typeName(t.Elem(), rule)
	case t.Kind() == reflect.Struct:
		return "mapping"
	}
	if kind := checkOf(rule).kind; kind != "" {
		return kind
	}
	return "text"
}

func defaultName(v reflect.Value) string {
	if v.IsZero() || v.Kind() == reflect.Struct && !isText(v.Type()) {
		return ""
	}
	return fmt.Sprintf("`%v`", v.Interface())
}
