package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"unicode"

	"watchkeeper/secret"
)

// maxSecret bounds a secret's file, in bytes.
const maxSecret = 64 << 10

// SecretNames are the variables that may hold a secret; with _FILE at the end,
// each is the name of a file that does.
func SecretNames() (names []string) {
	for f := range reflect.TypeFor[Secrets]().Fields() {
		names = append(names, f.Tag.Get("env"))
	}
	return names
}

// secrets fills s from lookup. A message names the variable and never holds
// what it contains: a token pasted into NAME_FILE would be shown as a path.
func (d *document) secrets(s *Secrets, lookup func(string) (string, bool)) {
	if lookup == nil {
		return
	}
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("env")
		token, err := readSecret(name, lookup)
		if err != nil {
			d.wrong(0, "", "%v", err)
			continue
		}
		v.Field(i).Set(reflect.ValueOf(secret.New(token)))
	}
}

func readSecret(name string, lookup func(string) (string, bool)) (string, error) {
	token, _ := lookup(name)
	token = strings.TrimSpace(token)
	path, _ := lookup(name + "_FILE")
	switch {
	case path == "":
	case token != "":
		return "", fmt.Errorf("%s and %s_FILE are both set; want one of them", name, name)
	default:
		name += "_FILE"
		data, err := readSecretFile(path)
		if err != nil {
			return "", fmt.Errorf("%s: the file it names cannot be read: %w; want a file that holds the secret alone", name, err)
		}
		if token = strings.TrimSpace(string(data)); token == "" {
			return "", fmt.Errorf("%s: the file it names is empty; want a file that holds the secret alone", name)
		}
	}
	if strings.ContainsFunc(token, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) {
		return "", fmt.Errorf("%s: has a line break or another control character inside; want the secret alone", name)
	}
	return token, nil
}

// readSecretFile returns errors without the path.
func readSecretFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, withoutPath(err)
	}
	if len(data) > maxSecret {
		return nil, fmt.Errorf("it is larger than %d bytes", maxSecret)
	}
	return data, nil
}

func withoutPath(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}
