package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/state"
)

// sessionSettings returns the settings that a session of a workspace gets whose
// own are text; "" is none.
func sessionSettings(t *testing.T, text string) (string, error) {
	t.Helper()
	dir, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	h := &house.House{Dir: dir, Workspace: t.TempDir()}
	if text != "" {
		if err := os.Mkdir(filepath.Join(h.Workspace, ".claude"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(h.Workspace, ".claude", "settings.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path, err := settingsFile(h)
	if err != nil {
		return "", err
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(got), nil
}

func TestEverySessionHasOurHooks(t *testing.T) {
	shipped, err := os.ReadFile("../../.claude/settings.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"none":           "",
		"as shipped":     string(shipped),
		"older":          `{"permissions": {"allow": ["Agent"]}}`,
		"switched off":   `{"disableAllHooks": true, "hooks": null}`,
		"with their own": `{"hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [{"type": "command", "command": "theirs"}]}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := sessionSettings(t, text)
			if err != nil {
				t.Fatal(err)
			}
			var read struct {
				Permissions     struct{ Allow []string }
				DisableAllHooks bool
				Hooks           map[string][]struct{ Hooks []struct{ Command string } }
			}
			if err := json.Unmarshal([]byte(got), &read); err != nil {
				t.Fatal(err)
			}
			for _, event := range []string{"PreToolUse", "SubagentStart", "SubagentStop", "StopFailure"} {
				groups := read.Hooks[event]
				want := 1
				if name == "with their own" && event == "PreToolUse" {
					want = 2
				}
				if len(groups) != want || groups[len(groups)-1].Hooks[0].Command != hookCommand(t, event) {
					t.Errorf("hooks for %s = %+v, want ours", event, groups)
				}
			}
			if read.DisableAllHooks || name == "older" && len(read.Permissions.Allow) != 1 || name == "with their own" && !strings.Contains(got, "theirs") {
				t.Errorf("settings = %s, want the rest kept", got)
			}
		})
	}
}

func TestSettingsThatCannotBeReadAreNamed(t *testing.T) {
	for _, text := range []string{"{", "[]", "null", `{"hooks": 7}`} {
		if got, err := sessionSettings(t, text); err == nil || !strings.Contains(err.Error(), filepath.Join(".claude", "settings.json")) {
			t.Errorf("settings of %q = %s, %v, want an error that names the file", text, got, err)
		}
	}
}
