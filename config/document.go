package config

import (
	"bytes"
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"watchkeeper/runbook"
)

// maxNumber bounds the counts of the file; more is a slip of the finger.
const maxNumber = 1_000_000

// A document fills a [Config] from YAML by the tags of its types. It is not
// yaml.Unmarshal, because that stops at the first mistake of some kinds and
// names no key path; what was right is filled in even if something else is
// wrong, so that rules across keys are checked in the same run.
type document struct {
	file     string // as messages name it
	mistakes []mistake
	lines    map[string]int // of the value at each key path
}

type mistake struct {
	line int // 0 if it belongs to no line
	text string
}

func (d *document) wrong(line int, path, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if path != "" {
		text = path + ": " + text
	}
	d.mistakes = append(d.mistakes, mistake{line, text})
}

// err joins all mistakes in the order of the file.
func (d *document) err() error {
	slices.SortStableFunc(d.mistakes, func(a, b mistake) int { return cmp.Compare(a.line, b.line) })
	var errs []error
	for _, m := range d.mistakes {
		if m.line == 0 {
			errs = append(errs, errors.New(m.text))
			continue
		}
		errs = append(errs, fmt.Errorf("%s:%d: %s", d.file, m.line, m.text))
	}
	return errors.Join(errs...)
}

// read fills c from data, which is one YAML document or nothing.
func (d *document) read(data []byte, c *Config) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var root, second yaml.Node
	switch err := dec.Decode(&root); {
	case errors.Is(err, io.EOF):
		return
	case err != nil:
		d.syntax(err)
		return
	}
	d.value(root.Content[0], reflect.ValueOf(c).Elem(), "", rules{})
	switch err := dec.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(err)
	default:
		d.wrong(second.Line, "", "a second document starts here; want one")
	}
}

// syntax reports an error of the parser, whose text is "yaml: line 3: …" or
// has no line.
func (d *document) syntax(err error) {
	text, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, what, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil && n > 0 {
				text, line = what, n
			}
		}
	}
	d.wrong(line, "", "not valid YAML: %s", text)
}

// value fills v from n. r holds for v, or for its members.
func (d *document) value(n *yaml.Node, v reflect.Value, path string, r rules) {
	d.lines[path] = n.Line
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		d.wrong(n.Line, path, "is an anchor or an alias; want the value written out")
		return
	}
	if n.ShortTag() == "!!null" {
		return // a key without a value keeps its default
	}
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		d.text(n, u, path)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.object(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path, r)
	case reflect.Slice:
		d.list(n, v, path, r)
	case reflect.Int:
		d.number(n, v, path, checkOf(r.check))
	default:
		d.str(n, v, path, checkOf(r.check))
	}
}

// object fills a struct, whose fields are all the keys there may be.
func (d *document) object(n *yaml.Node, v reflect.Value, path string) {
	fields := fieldsOf(v.Type())
	before := len(d.mistakes)
	d.members(n, path, func(key, val *yaml.Node, at string) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == key.Value })
		if i < 0 {
			d.wrong(key.Line, at, "is not a key here; want one of %s", keysOf(fields))
			return
		}
		d.value(val, v.FieldByIndex(fields[i].index), at, fields[i].rules)
	})
	if m, ok := reflect.TypeAssert[runbook.Match](v); ok && m.Empty() && len(d.mistakes) == before {
		d.wrong(n.Line, path, "matches every alert; want at least one of alert, service, cluster, category")
	}
}

// mapping fills a map with keys that the operator chooses.
func (d *document) mapping(n *yaml.Node, v reflect.Value, path string, r rules) {
	keys := checkOf(r.keys)
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	d.members(n, path, func(key, val *yaml.Node, at string) {
		right := keys.ok(key.Value)
		if !right { // its value may be wrong too
			d.wrong(key.Line, path, "%s is wrong as a key; want %s", shown(key.Value), keys.want)
			at = path + "." + shown(key.Value)
		}
		member := reflect.New(v.Type().Elem()).Elem()
		if member.Kind() == reflect.String {
			d.filled(val, member, at, r)
		} else {
			d.value(val, member, at, r) // a cluster without a value has its defaults
		}
		if right {
			v.SetMapIndex(reflect.ValueOf(key.Value), member)
		}
	})
}

// members calls fn for each key of a mapping that is a text and new.
func (d *document) members(n *yaml.Node, path string, fn func(key, val *yaml.Node, at string)) {
	if n.Kind != yaml.MappingNode {
		d.wrong(n.Line, path, "is %s; want a mapping of keys to values", kindOf(n))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		first, twice := seen[key.Value]
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			d.wrong(key.Line, path, "has a key that is %s; want text, in quotes if need be", kindOf(key))
		case twice:
			d.wrong(key.Line, at, "is given twice, first on line %d; want it once", first)
		default:
			seen[key.Value] = key.Line
			fn(key, val, at)
		}
	}
}

func (d *document) list(n *yaml.Node, v reflect.Value, path string, r rules) {
	if n.Kind != yaml.SequenceNode {
		d.wrong(n.Line, path, "is %s; want a list", kindOf(n))
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content))
	for i, item := range n.Content {
		d.filled(item, list.Index(i), fmt.Sprintf("%s[%d]", path, i), r)
	}
	v.Set(list)
}

// filled is value for what has no default to keep.
func (d *document) filled(n *yaml.Node, v reflect.Value, path string, r rules) {
	if n.ShortTag() == "!!null" && n.Kind == yaml.ScalarNode {
		d.lines[path] = n.Line
		d.wrong(n.Line, path, "is empty; want a value")
		return
	}
	d.value(n, v, path, r)
}

func (d *document) text(n *yaml.Node, u encoding.TextUnmarshaler, path string) {
	want := formOf(reflect.TypeOf(u).Elem()).want
	if n.ShortTag() != "!!str" {
		d.wrong(n.Line, path, "is %s; want %s", kindOf(n), want)
		return
	}
	if err := u.UnmarshalText([]byte(n.Value)); err != nil {
		d.wrong(n.Line, path, "%s %v; want %s", shown(n.Value), err, want)
	}
}

func (d *document) number(n *yaml.Node, v reflect.Value, path string, c check) {
	var i int
	switch {
	case n.ShortTag() != "!!int" || n.Kind != yaml.ScalarNode:
		d.wrong(n.Line, path, "is %s; want %s", kindOf(n), c.want)
	case n.Decode(&i) != nil || i < c.min || i > maxNumber:
		d.wrong(n.Line, path, "%s is out of range; want %s to %d", shown(n.Value), c.want, maxNumber)
	default:
		v.SetInt(int64(i))
	}
}

func (d *document) str(n *yaml.Node, v reflect.Value, path string, c check) {
	switch {
	case n.ShortTag() != "!!str" || n.Kind != yaml.ScalarNode:
		d.wrong(n.Line, path, "is %s; want text, in quotes if need be", kindOf(n))
	case !c.ok(n.Value) && c.private:
		d.wrong(n.Line, path, "is wrong; want %s", c.want)
	case !c.ok(n.Value):
		d.wrong(n.Line, path, "%s is wrong; want %s", shown(n.Value), c.want)
	default:
		v.SetString(n.Value)
	}
}

// shown quotes a value, cut to what a message can carry.
func shown(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:59]) + "…"
	}
	return strconv.Quote(s)
}

// kindOf names what was found, in the words of YAML.
func kindOf(n *yaml.Node) string {
	switch n.ShortTag() {
	case "!!map":
		return "a mapping"
	case "!!seq":
		return "a list"
	case "!!str":
		return "text"
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!timestamp":
		return "a date"
	case "!!null":
		return "empty"
	}
	return "something else"
}
