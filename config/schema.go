package config

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/google/jsonschema-go/jsonschema"

	"watchkeeper/runbook"
)

// Schema returns the JSON Schema of watchkeeper.yaml for editors. It allows
// nothing that [Load] refuses key by key, except what a pattern cannot say;
// rules across keys are Load's alone.
func Schema() (*jsonschema.Schema, error) {
	s, err := objectSchema(reflect.ValueOf(Default()))
	if err != nil {
		return nil, err
	}
	s.Schema = "https://json-schema.org/draft/2020-12/schema"
	s.Title = "watchkeeper.yaml"
	s.Description = "Configuration of Watchkeeper. Every key has a default; secrets come from the environment only."
	return s, nil
}

// objectSchema describes a struct; its values are the defaults.
func objectSchema(v reflect.Value) (*jsonschema.Schema, error) {
	s := &jsonschema.Schema{
		Type: "object", Properties: map[string]*jsonschema.Schema{},
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
	for _, f := range fieldsOf(v.Type()) {
		p, err := valueSchema(v.FieldByIndex(f.index), f.rules)
		if err != nil {
			return nil, fmt.Errorf("describe %s: %w", f.key, err)
		}
		p.Description = f.meaning
		s.Properties[f.key] = p
		s.PropertyOrder = append(s.PropertyOrder, f.key)
		if f.rules.check == "glob" && v.Type() == reflect.TypeFor[runbook.Match]() {
			s.AnyOf = append(s.AnyOf, &jsonschema.Schema{Required: []string{f.key}})
		}
	}
	return s, nil
}

func valueSchema(v reflect.Value, r rules) (*jsonschema.Schema, error) {
	if isText(v.Type()) {
		s := stringSchema(formOf(v.Type()))
		return s, setDefault(s, v)
	}
	switch v.Kind() {
	case reflect.Struct:
		return objectSchema(v)
	case reflect.Map:
		members, err := valueSchema(reflect.New(v.Type().Elem()).Elem(), rules{check: r.check})
		keys := &jsonschema.Schema{Pattern: checkOf(r.keys).pattern}
		return &jsonschema.Schema{Type: "object", PropertyNames: keys, AdditionalProperties: members}, err
	case reflect.Slice:
		members, err := valueSchema(reflect.New(v.Type().Elem()).Elem(), r)
		return &jsonschema.Schema{Type: "array", Items: members}, err
	case reflect.Int:
		s := &jsonschema.Schema{Type: "integer", Minimum: new(float64(checkOf(r.check).min)), Maximum: new(float64(maxNumber))}
		return s, setDefault(s, v)
	case reflect.String:
		s := stringSchema(checkOf(r.check))
		return s, setDefault(s, v)
	}
	return nil, fmt.Errorf("no schema for %s", v.Type())
}

func stringSchema(c check) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string", Pattern: c.pattern}
	for _, word := range c.enum {
		s.Enum = append(s.Enum, word)
	}
	return s
}

// setDefault notes the default, unless it is the zero value.
func setDefault(s *jsonschema.Schema, v reflect.Value) error {
	if v.IsZero() {
		return nil
	}
	text, err := json.Marshal(v.Interface())
	s.Default = text
	return err
}

func isText(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}
