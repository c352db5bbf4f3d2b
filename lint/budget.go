package lint

import (
	"strings"

	"watchkeeper/agents"
)

// A budget bounds a file. Every session reads CLAUDE.md with every turn, every
// sub-agent its own page and one playbook; the model pays for each line.
type budget struct{ lines, bytes int }

func (p page) budget() budget {
	switch {
	case p.file == mainFile:
		return budget{lines: 400, bytes: 32 << 10}
	case strings.HasPrefix(p.file, agents.Dir):
		return budget{lines: 120, bytes: 8 << 10}
	}
	return budget{lines: 120, bytes: 10 << 10}
}

func (c *checker) checkBudgets() {
	for _, p := range c.pages {
		b := p.budget()
		if n := strings.Count(p.text, "\n"); n > b.lines {
			c.add(Error, p.file, b.lines+1, "has %d lines, want at most %d: the model pays for each of them", n, b.lines)
		}
		if len(p.text) > b.bytes {
			c.add(Error, p.file, p.line(b.bytes), "has %d bytes, want at most %d: the model pays for each of them", len(p.text), b.bytes)
		}
		if strings.TrimSpace(p.text) == "" {
			c.add(Error, p.file, 1, "is empty")
		}
	}
}
