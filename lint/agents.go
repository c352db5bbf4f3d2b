package lint

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"watchkeeper/runbook"
)

// fields must be in the report format of every agent: a hook checks them.
var fields = []string{"VERDICT:", "EVIDENCE:", "GAPS:"}

// A front is the front matter of an agent as the client reads it.
type front struct {
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
	Tools       string `yaml:"tools"`
	Model       string `yaml:"model"`
}

func (c *checker) checkAgents() {
	for _, p := range c.in(agentDir) {
		f, body, ok := c.front(p)
		if !ok {
			continue
		}
		c.agents[f.Name] = true
		if f.Name != p.nameOf() {
			c.add(Error, p.file, p.lineOf("name:"), "name: is %q, want %q as the file is called", f.Name, p.nameOf())
		}
		if f.Description == "" {
			c.add(Error, p.file, 1, "description: is missing; the dispatcher chooses an agent by it")
		}
		c.checkAgentTools(p, f)
		for _, field := range fields {
			if !strings.Contains(body, "\n"+field) {
				c.add(Error, p.file, p.lineOf("## Report"), "the report has no field %s", field)
			}
		}
	}
}

// front reads the front matter; false if there is none that can be used.
func (c *checker) front(p page) (f front, body string, ok bool) {
	rest, opened := strings.CutPrefix(p.text, "---\n")
	head, body, closed := strings.Cut(rest, "\n---\n")
	if !opened || !closed {
		c.add(Error, p.file, 1, "want front matter between two lines \"---\"")
		return f, "", false
	}
	dec := yaml.NewDecoder(strings.NewReader(head))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		c.add(Error, p.file, 1, "front matter: %v; want name, description, tools and perhaps model", err)
		return f, "", false
	}
	return f, body, true
}

func (c *checker) checkAgentTools(p page, f front) {
	line := p.lineOf("tools:")
	if strings.TrimSpace(f.Tools) == "" {
		c.add(Error, p.file, 1, "tools: is missing; without it the agent has every tool of the session, also those that write")
		return
	}
	for name := range strings.SplitSeq(f.Tools, ",") {
		name = strings.TrimSpace(name)
		if name != runbook.ToolSearch && !slices.Contains(runbook.SubAgentTools(), runbook.ServerTool(name)) {
			c.add(Error, p.file, line, "tools: %s is no tool that only reads; sub-agents never write", name)
		}
	}
}
