package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"watchkeeper"
	"watchkeeper/cmd/internal/house"
)

// settingsName is where the client keeps the settings of a project.
const settingsName = ".claude/settings.json"

// settingsFile writes the settings of the session and returns where: those of
// the workspace, or the built-in ones if it has none, with the hooks of this
// version. They are passed by name because the client drops a project's
// permissions in a folder that nobody has trusted, and the hooks are added
// because a workspace may be older than we are: `init` overwrites nothing.
func settingsFile(h *house.House) (string, error) {
	built, err := watchkeeper.Workspace.ReadFile(settingsName)
	if err != nil {
		return "", fmt.Errorf("settings of the session: %w", err)
	}
	path := filepath.Join(h.Workspace, filepath.FromSlash(settingsName))
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		text, err = built, nil
	}
	if err == nil {
		text, err = withHooks(text, built)
	}
	if err != nil {
		return "", fmt.Errorf("settings of the session: %s: %w", path, err)
	}
	out := h.Dir.Path("session", "settings.json")
	if err := os.MkdirAll(filepath.Dir(out), 0o700); err != nil {
		return "", fmt.Errorf("settings of the session: %w", err)
	}
	if err := os.WriteFile(out, text, 0o600); err != nil {
		return "", fmt.Errorf("settings of the session: %w", err)
	}
	return out, nil
}

// settings is what we look at in a settings file; the rest is kept as it is.
type settings map[string]json.RawMessage

// withHooks adds to the settings in text the hooks of those in built that it
// does not have, and sees to it that hooks run. The client runs a command once
// that stands in two files.
func withHooks(text, built []byte) ([]byte, error) {
	var mine, ours settings
	var have, want map[string][]any
	if err := errors.Join(json.Unmarshal(text, &mine), json.Unmarshal(built, &ours)); err != nil {
		return nil, err
	}
	if mine == nil {
		return nil, errors.New("want a JSON object")
	}
	if raw, ok := mine["hooks"]; ok {
		if err := json.Unmarshal(raw, &have); err != nil {
			return nil, fmt.Errorf("hooks: %w", err)
		}
	}
	if err := json.Unmarshal(ours["hooks"], &want); err != nil {
		return nil, err
	}
	if have == nil {
		have = map[string][]any{}
	}
	for event, groups := range want {
		for _, g := range groups {
			if !slices.ContainsFunc(have[event], func(h any) bool { return reflect.DeepEqual(h, g) }) {
				have[event] = append(have[event], g)
			}
		}
	}
	var err error
	if mine["hooks"], err = json.Marshal(have); err != nil {
		return nil, err
	}
	mine["disableAllHooks"] = json.RawMessage("false")
	return json.MarshalIndent(mine, "", "  ")
}
