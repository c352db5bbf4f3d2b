package agents_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/agents"
)

const investigator = "---\nname: investigator\ndescription: looks\ntools: mcp__a__look, ToolSearch\nmodel: small\n---\nYou look.\n"

func workspace(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[agents.Dir+"/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func two() fstest.MapFS {
	return workspace(map[string]string{
		"investigator.md": investigator,
		"scribe.md":       strings.ReplaceAll(strings.NewReplacer("investigator", "scribe", "model: small\n", "").Replace(investigator), "\n", "\r\n"),
	})
}

func TestDefinitions(t *testing.T) {
	whole := func(model string) any {
		return map[string]any{"description": "looks", "prompt": "You look.\n", "tools": []any{"mcp__a__look", "ToolSearch"}, "model": model}
	}
	tests := []struct {
		name   string
		choice agents.Choice
		want   map[string]any // nil for ""
	}{
		{"nothing is chosen", agents.Choice{}, nil},
		{"one of them, whole, before its file", agents.Choice{Models: map[string]string{"investigator": "big"}}, map[string]any{"investigator": whole("big")}},
		{"all of them", agents.Choice{Default: "big"}, map[string]any{"investigator": whole("big"), "scribe": whole("big")}},
		{
			"one name goes before the default",
			agents.Choice{Models: map[string]string{"scribe": "tiny"}, Default: "big"},
			map[string]any{"investigator": whole("big"), "scribe": whole("tiny")},
		},
		{"an empty model changes nothing", agents.Choice{Models: map[string]string{"scribe": ""}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, err := agents.Definitions(two(), tt.choice)
			if err != nil {
				t.Fatal(err)
			}
			var got map[string]any
			if text != "" {
				if err := json.Unmarshal([]byte(text), &got); err != nil {
					t.Fatalf("%v in %s", err, text)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Definitions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMistakesAreNamed(t *testing.T) {
	tests := []struct {
		name  string
		files fstest.MapFS
		want  string
	}{
		{"an agent that is not there", two(), `there is no agent "detective" in .claude/agents; there are investigator, scribe`},
		{"no front matter", workspace(map[string]string{"a.md": "You look."}), `a.md: want front matter between two lines "---"`},
		{"a key that the CLI does not know", workspace(map[string]string{"a.md": strings.Replace(investigator, "model", "modell", 1)}), "a.md: front matter: yaml: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := agents.Definitions(tt.files, agents.Choice{Models: map[string]string{"detective": "big"}})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Definitions = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestOurAgentsCanBeGivenModels(t *testing.T) {
	text, err := agents.Definitions(os.DirFS(".."), agents.Choice{Default: "big"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"investigator", "verifier", "scribe"} {
		if !strings.Contains(text, `"`+name+`":{"description":`) {
			t.Errorf("%s is not among them", name)
		}
	}
}
