package config

import (
	"reflect"
	"strings"

	"watchkeeper/runbook"
)

// A field is a key of the file, as its tags describe it.
type field struct {
	key     string
	meaning string
	rules   rules
	index   []int
	typ     reflect.Type
}

// rules name the checks of a field; "" is none.
type rules struct {
	check string // of the value, or of each member of a list or a mapping
	keys  string // of the keys of a mapping
}

// fieldsOf lists the keys of a struct in the order of its fields.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for f := range t.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key == "-" || key == "" {
			continue
		}
		r := rules{check: f.Tag.Get("check"), keys: f.Tag.Get("keys")}
		if t == reflect.TypeFor[runbook.Match]() && key != "reason" {
			r.check = "glob" // runbook has the keys in its tags, but not our rules
		}
		fields = append(fields, field{key, f.Tag.Get("jsonschema"), r, f.Index, f.Type})
	}
	return fields
}

func keysOf(fields []field) string {
	var keys []string
	for _, f := range fields {
		keys = append(keys, f.key)
	}
	return strings.Join(keys, ", ")
}

// formOf describes the types that read themselves from text.
func formOf(t reflect.Type) check {
	const at = `([01][0-9]|2[0-3]):[0-5][0-9]`
	switch t {
	case reflect.TypeFor[Clock]():
		return check{kind: "time of day", want: `a time such as "04:00 Europe/Paris"`, pattern: "^" + at + `( \S+)?$`}
	case reflect.TypeFor[Hours]():
		return check{kind: "hours", want: `hours such as "22:00-07:00 Europe/Paris"`, pattern: "^(" + at + "-" + at + `( \S+)?)?$`}
	case reflect.TypeFor[Interval]():
		return check{kind: "hours and minutes", want: `hours and minutes such as "10m" or "1h30m", at least a minute`, pattern: "^" + intervalPattern + "$"}
	case reflect.TypeFor[Delay]():
		return check{
			kind: "hours and minutes, or never", want: `hours and minutes such as "10m" or "1h30m", at least a minute, or "never"`,
			pattern: "^(" + never + "|" + intervalPattern + ")$",
		}
	}
	return check{want: "text"}
}
