package mcptool

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// readArguments decodes raw into in and says what is wrong with it in words
// that name the argument: mcp-go's own schema validation speaks of "<root>".
func readArguments(raw []byte, schema *jsonschema.Schema, in any) error {
	args := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &args); err != nil {
		return fmt.Errorf("arguments are not a JSON object: %w", err)
	}
	var errs []error
	for name, value := range args {
		prop, ok := schema.Properties[name]
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("unknown argument %q; it takes %s", name, signature(schema)))
		case string(value) == "null" || string(value) == `""`:
			delete(args, name) // a model's way of not giving it
		default:
			errs = append(errs, checkEnum(name, value, prop))
		}
	}
	for _, name := range schema.Required {
		if _, ok := args[name]; !ok {
			errs = append(errs, fmt.Errorf("argument %q is missing (%s)", name, schema.Properties[name].Description))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return decodeArguments(args, in)
}

func decodeArguments(args map[string]json.RawMessage, in any) error {
	text, err := json.Marshal(args)
	if err != nil {
		return fmt.Errorf("read arguments: %w", err)
	}
	err = json.NewDecoder(bytes.NewReader(text)).Decode(in)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("argument %q is a %s, want %s", wrong.Field, wrong.Value, wrong.Type)
	}
	return err
}

// checkEnum returns an error that lists the choices if value is none of them.
func checkEnum(name string, value json.RawMessage, prop *jsonschema.Schema) error {
	if len(prop.Enum) == 0 {
		return nil
	}
	var got any
	if err := json.Unmarshal(value, &got); err != nil || slices.Contains(prop.Enum, got) {
		return err
	}
	choices := make([]string, len(prop.Enum))
	for i, c := range prop.Enum {
		choices[i] = fmt.Sprint(c)
	}
	return fmt.Errorf("argument %q is %s, want one of %s", name, value, strings.Join(choices, ", "))
}

// signature lists the arguments in the order of the struct.
func signature(schema *jsonschema.Schema) string {
	names := slices.Clone(schema.PropertyOrder)
	if len(names) == 0 {
		for name := range schema.Properties {
			names = append(names, name)
		}
		slices.Sort(names)
	}
	if len(names) == 0 {
		return "no arguments"
	}
	for i, name := range names {
		if slices.Contains(schema.Required, name) {
			names[i] += " (required)"
		}
	}
	return strings.Join(names, ", ")
}
