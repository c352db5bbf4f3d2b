// Package lint checks the runbook before a session reads it: CLAUDE.md, the
// agents and the playbooks are code that nothing compiles.
//
// It reads files and compares; it changes nothing, calls no tool and knows no
// store: what exists (tools, policy, recent alerts) is given to [Check].
package lint

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"watchkeeper/agents"
	"watchkeeper/runbook"
)

// Where the parts of a runbook are, below its root.
const (
	mainFile    = "CLAUDE.md"
	playbookDir = "playbooks"
)

// A Tool is one that the session has.
type Tool struct {
	Name string   // as the session sees it: mcp__sre-tools__first_look
	Args []string // names of its arguments; nil means not known, and none is checked
}

// short is the name without server: first_look.
func (t Tool) short() string { return t.Name[strings.LastIndex(t.Name, "__")+len("__"):] }

// An Alert is a name that fired lately.
type Alert struct {
	Name, Service string
	Labels        map[string]string
	Times         int
}

// A Runbook is all that is compared.
type Runbook struct {
	Files  fs.FS // the root: CLAUDE.md, .claude/agents, playbooks
	Tools  []Tool
	Policy runbook.Policy
	Alerts []Alert // of the last 30 days
}

// A Level says whether a finding breaks the runbook or only weakens it.
type Level int

// Levels. An Error makes `watchkeeper lint` fail.
const (
	Error Level = iota
	Warning
)

// String returns "error" or "warning".
func (l Level) String() string {
	if l == Warning {
		return "warning"
	}
	return "error"
}

// A Finding is one thing that is wrong, at one place.
type Finding struct {
	File  string // below the root, with slashes
	Line  int    // from 1
	Level Level
	Text  string // what is wrong and what to do
}

// String returns "playbooks/disk.md:3: error: what is wrong".
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Level, f.Text)
}

// Check returns everything that is wrong with r, by file and line. An error
// means that the files could not be read.
func Check(r Runbook) ([]Finding, error) {
	c := &checker{Runbook: r, tools: map[string]Tool{}, agents: map[string]bool{}}
	for _, t := range r.Tools {
		c.tools[t.short()] = t
	}
	if err := c.load(); err != nil {
		return nil, err
	}
	c.checkBudgets()
	c.checkPlaybooks()
	c.checkAgents()
	c.checkTexts()
	c.checkPolicy()
	c.checkAlerts()
	slices.SortStableFunc(c.found, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return slices.Compact(c.found), nil
}

// A page is one file of the runbook.
type page struct{ file, text string }

// A checker collects findings.
type checker struct {
	Runbook
	tools     map[string]Tool // by short name
	pages     []page
	playbooks runbook.Playbooks
	agents    map[string]bool
	found     []Finding
}

// add reports a finding at a line.
func (c *checker) add(level Level, file string, line int, format string, args ...any) {
	c.found = append(c.found, Finding{File: file, Line: line, Level: level, Text: fmt.Sprintf(format, args...)})
}

// load reads all files; one that is missing is a finding, one that cannot be
// read is an error.
func (c *checker) load() error {
	if _, err := fs.Stat(c.Files, mainFile); err != nil {
		c.add(Error, mainFile, 1, "is missing: the session has no procedure")
	}
	for _, pattern := range []string{mainFile, agents.Dir + "/*.md", playbookDir + "/*.md"} {
		names, err := fs.Glob(c.Files, pattern)
		if err != nil {
			return fmt.Errorf("list %s: %w", pattern, err)
		}
		for _, name := range names {
			text, err := fs.ReadFile(c.Files, name)
			if err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
			c.pages = append(c.pages, page{name, strings.ReplaceAll(string(text), "\r\n", "\n")})
		}
	}
	return nil
}

// in returns the pages below a directory.
func (c *checker) in(dir string) []page {
	var out []page
	for _, p := range c.pages {
		if strings.HasPrefix(p.file, dir+"/") {
			out = append(out, p)
		}
	}
	return out
}

// nameOf is the file's name without directory and ending.
func (p page) nameOf() string {
	return strings.TrimSuffix(p.file[strings.LastIndexByte(p.file, '/')+1:], ".md")
}

// line is the number of the line at an offset.
func (p page) line(offset int) int { return 1 + strings.Count(p.text[:offset], "\n") }

// lineOf is the line of the first occurrence of s, or 1.
func (p page) lineOf(s string) int {
	if i := strings.Index(p.text, s); i >= 0 {
		return p.line(i)
	}
	return 1
}
