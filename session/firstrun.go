package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// trust writes into the CLI's own file what makes it skip its first dialogs in
// the folder dir: that somebody has seen the introduction, and trusts the
// folder. Everything else in the file stays as it is.
func trust(path, dir string) error {
	if target, err := filepath.EvalSymlinks(dir); err == nil {
		dir = target // as the CLI calls it
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	config, err := readObject(path)
	if err != nil {
		return err
	}
	projects := object(config["projects"])
	project := object(projects[dir])
	if project["hasTrustDialogAccepted"] == true && config["hasCompletedOnboarding"] == true {
		return nil
	}
	project["hasTrustDialogAccepted"], projects[dir] = true, project
	config["projects"], config["hasCompletedOnboarding"] = projects, true
	text, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, text)
}

// readObject reads the JSON object at path; an empty one if there is no file.
func readObject(path string) (map[string]any, error) {
	all := map[string]any{}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // what we do not read is written back as it was
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return all, nil
}

// object returns v if it is one, else an empty one.
func object(v any) map[string]any {
	if o, ok := v.(map[string]any); ok {
		return o
	}
	return map[string]any{}
}

// claudeConfig is the CLI's own file in the environment of c.
func (c Command) claudeConfig() string {
	if dir := c.variable("CLAUDE_CONFIG_DIR"); dir != "" {
		return filepath.Join(dir, ".claude.json")
	}
	return filepath.Join(c.variable("HOME"), ".claude.json")
}
