// Package agents reads the sub-agents of a workspace and gives them to the
// Claude Code CLI with models of the operator's choice.
//
// The files stay as they are: they are the runbook's, and an update replaces
// them. The CLI's --agents option defines an agent for one session and goes
// before the file of the same name.
package agents

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Dir is where the agents are, below the workspace.
const Dir = ".claude/agents"

// An Agent is one file of [Dir].
type Agent struct {
	Name        string `yaml:"name"`
	Description string `yaml:"description"` // the dispatcher chooses by it
	Tools       string `yaml:"tools"`       // separated by commas; "" is every tool of the session
	Model       string `yaml:"model"`       // "" is that of the session

	Prompt string `yaml:"-"` // what follows the front matter
}

// Parse reads the text of an agent's file. A key that [Agent] does not have is
// an error: the CLI would ignore it.
func Parse(text string) (Agent, error) {
	rest, opened := strings.CutPrefix(strings.ReplaceAll(text, "\r\n", "\n"), "---\n")
	head, body, closed := strings.Cut(rest, "\n---\n")
	if !opened || !closed {
		return Agent{}, errors.New(`want front matter between two lines "---"`)
	}
	a := Agent{Prompt: body}
	dec := yaml.NewDecoder(strings.NewReader(head))
	dec.KnownFields(true)
	if err := dec.Decode(&a); err != nil {
		return Agent{}, fmt.Errorf("front matter: %w; want name, description, tools and perhaps model", err)
	}
	return a, nil
}

// Load reads the agents of a workspace by name.
func Load(workspace fs.FS) (map[string]Agent, error) {
	files, err := fs.Glob(workspace, Dir+"/*.md")
	if err != nil {
		return nil, fmt.Errorf("list agents: %w", err)
	}
	all := map[string]Agent{}
	var errs []error
	for _, file := range files {
		text, err := fs.ReadFile(workspace, file)
		if err != nil {
			return nil, fmt.Errorf("read agent: %w", err)
		}
		a, err := Parse(string(text))
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path.Base(file), err))
			continue
		}
		all[a.Name] = a
	}
	return all, errors.Join(errs...)
}

// A Choice is the models that the operator wants. An agent that neither names
// keeps the model of its file.
type Choice struct {
	Models  map[string]string // by the agent's name
	Default string            // of the others; "" changes nothing
}

// definition is an agent as --agents wants it.
type definition struct {
	Description string   `json:"description"`
	Prompt      string   `json:"prompt"`
	Tools       []string `json:"tools,omitempty"`
	Model       string   `json:"model,omitempty"`
}

// Definitions returns the value of --agents for the agents of workspace whose
// model c changes, "" if it changes none. A name that no file has is an error
// that lists those there are.
func Definitions(workspace fs.FS, c Choice) (string, error) {
	if len(c.Models) == 0 && c.Default == "" {
		return "", nil
	}
	all, err := Load(workspace)
	if err != nil {
		return "", err
	}
	for name := range c.Models {
		if _, ok := all[name]; !ok {
			return "", fmt.Errorf("there is no agent %q in %s; there are %s", name, Dir, strings.Join(slices.Sorted(maps.Keys(all)), ", "))
		}
	}
	changed := map[string]definition{}
	for name, a := range all {
		model := c.Models[name]
		if model == "" {
			model = c.Default
		}
		if model != "" {
			changed[name] = definition{a.Description, a.Prompt, list(a.Tools), model}
		}
	}
	if len(changed) == 0 {
		return "", nil
	}
	text, err := json.Marshal(changed)
	if err != nil {
		return "", fmt.Errorf("write the agents: %w", err)
	}
	return string(text), nil
}

// list splits the names of tools.
func list(tools string) []string {
	var names []string
	for name := range strings.SplitSeq(tools, ",") {
		if name = strings.TrimSpace(name); name != "" {
			names = append(names, name)
		}
	}
	return names
}
