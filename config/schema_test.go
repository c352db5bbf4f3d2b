package config_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v3"

	"watchkeeper/config"
)

var update = flag.Bool("update", false, "rewrite the generated files")

const example = "../watchkeeper.example.yaml"

// golden compares got with the generated file at path.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run go test ./config -update to create it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is not current (-want +got); run go test ./config -update:\n%s", path, diff)
	}
}

func TestPublishedSchemaIsCurrent(t *testing.T) {
	s, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("..", "watchkeeper.schema.json"), append(text, '\n'))
}

func TestReferenceIsCurrent(t *testing.T) {
	golden(t, filepath.Join("..", "docs", "configuration.md"), []byte(config.Reference()))
}

func TestExampleIsValidForLoadAndForEditors(t *testing.T) {
	if _, err := config.Load(example, nil); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate(t, text); err != nil {
		t.Error(err)
	}
}

// Every field of Config has a key in the example or in the reference; here it
// is enough that editors refuse what Load refuses.
func TestSchemaRefusesWhatLoadRefuses(t *testing.T) {
	for _, text := range []string{
		"lisen: 127.0.0.1:80",
		"session: {mode: fast}",
		"session: {restart_at: 4 o'clock}",
		"session: {claude: ''}",
		"oncall: {slack_user: bob}",
		"oncall: {second_after_nags: 0}",
		"oncall: {quiet_hours: '22:00'}",
		"policy: {writes: {per_hour: -1}}",
		"policy: {writes: {per_hour: many}}",
		"policy: {known_noise: [{reason: all of them}]}",
		"clusters: {'a b': {}}",
		"clusters: {a: {env: staging}}",
		"clusters: {a: {aliases: b}}",
		"signoz: {url: 'signoz:8080'}",
		"gitlab: {projects: {backend: backend}}",
	} {
		if err := validate(t, []byte(text)); err == nil {
			t.Errorf("the schema allows %s", text)
		}
		if _, err := load(t, text, nil); err == nil {
			t.Errorf("Load allows %s", text)
		}
	}
}

// validate checks a file against the published schema.
func validate(t *testing.T, text []byte) error {
	t.Helper()
	published, err := os.ReadFile("../watchkeeper.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s jsonschema.Schema
	if err := json.Unmarshal(published, &s); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return resolved.Validate(value)
}
