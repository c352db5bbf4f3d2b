package lint

import (
	"slices"
	"strings"

	"watchkeeper/agents"

	"watchkeeper/runbook"
)

// fields must be in the report format of every agent: a hook checks them.
var fields = []string{"VERDICT:", "EVIDENCE:", "GAPS:"}

func (c *checker) checkAgents() {
	for _, p := range c.in(agents.Dir) {
		f, err := agents.Parse(p.text)
		if err != nil {
			c.add(Error, p.file, 1, "%v", err)
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
			if !strings.Contains(f.Prompt, "\n"+field) {
				c.add(Error, p.file, p.lineOf("## Report"), "the report has no field %s", field)
			}
		}
	}
}

func (c *checker) checkAgentTools(p page, f agents.Agent) {
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
