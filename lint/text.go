package lint

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"watchkeeper/agents"
)

var (
	callStart   = regexp.MustCompile(`\b[a-z]+(?:_[a-z]+)*\(`)
	fullName    = regexp.MustCompile(`mcp__[A-Za-z0-9-]+__[a-z_]+`)
	toolLike    = regexp.MustCompile("`((?:kube|signoz|gitlab|argocd|argo)_[a-z_]+)`")
	fileLike    = regexp.MustCompile("`((?:\\.claude|playbooks|docs)/[A-Za-z0-9_./-]+)`")
	playbookRef = regexp.MustCompile("(?i)\\bplaybooks?\\s+((?:`[a-z0-9-]+`(?:,\\s+|\\s+and\\s+|\\s+or\\s+)?)+)")
	ticked      = regexp.MustCompile("`([a-z0-9-]+)`")
	subagent    = regexp.MustCompile(`subagent_type: "([^"]*)"`)
	argument    = regexp.MustCompile(`^([a-z_]+)\s*(?::|$)`)
)

// A call is a tool as a text tells the reader to use it: name(key, key: value).
type call struct {
	name string
	args []string // as written
	at   int      // offset
}

// calls finds name(…) in a text. Brackets and commas in quotes do not count.
func calls(text string) []call {
	var out []call
	for _, m := range callStart.FindAllStringIndex(text, -1) {
		if args, ok := arguments(text[m[1]:]); ok {
			out = append(out, call{name: text[m[0] : m[1]-1], args: args, at: m[0]})
		}
	}
	return out
}

// arguments splits what follows an opening bracket at its commas, up to the
// closing one; false if that does not come within a paragraph.
func arguments(text string) ([]string, bool) {
	var args []string
	start, depth, quoted := 0, 0, false
	for i, r := range text {
		switch {
		case r == '\n' && strings.HasPrefix(text[i:], "\n\n"):
			return nil, false
		case r == '"':
			quoted = !quoted
		case quoted:
		case r == '(':
			depth++
		case r == ')' && depth > 0:
			depth--
		case r == ')':
			return append(args, strings.TrimSpace(text[start:i])), true
		case r == ',' && depth == 0:
			args, start = append(args, strings.TrimSpace(text[start:i])), i+1
		}
	}
	return nil, false
}

// checkTexts holds what the pages name against what exists.
func (c *checker) checkTexts() {
	for _, p := range c.pages {
		c.checkCalls(p)
		c.checkNames(p)
		c.checkReferences(p)
	}
}

func (c *checker) checkCalls(p page) {
	for _, call := range calls(p.text) {
		t, known := c.tools[call.name]
		switch {
		case !known && strings.Contains(call.name, "_"):
			c.add(Error, p.file, p.line(call.at), "there is no tool %s", call.name)
		case known && t.Args != nil:
			c.checkArguments(p, call, t)
		}
	}
}

func (c *checker) checkArguments(p page, call call, t Tool) {
	for _, a := range call.args {
		if a == "" || strings.HasPrefix(a, "…") {
			continue
		}
		m := argument.FindStringSubmatch(a)
		switch {
		case m == nil:
			c.add(Error, p.file, p.line(call.at), "%s(%s): write the argument as name or name: value; it takes %s", call.name, a, strings.Join(t.Args, ", "))
		case !slices.Contains(t.Args, m[1]):
			c.add(Error, p.file, p.line(call.at), "%s has no argument %q; it takes %s", call.name, m[1], strings.Join(t.Args, ", "))
		}
	}
}

// checkNames looks at tools that are named without a call.
func (c *checker) checkNames(p page) {
	for _, m := range fullName.FindAllStringIndex(p.text, -1) {
		name := p.text[m[0]:m[1]]
		if c.tools[Tool{Name: name}.short()].Name != name {
			c.add(Error, p.file, p.line(m[0]), "there is no tool %s", name)
		}
	}
	for _, m := range toolLike.FindAllStringSubmatchIndex(p.text, -1) {
		if name := p.text[m[2]:m[3]]; c.tools[name].Name == "" {
			c.add(Error, p.file, p.line(m[2]), "there is no tool %s", name)
		}
	}
}

// checkReferences looks for the files, playbooks and agents that a page names.
func (c *checker) checkReferences(p page) {
	for _, m := range fileLike.FindAllStringSubmatchIndex(p.text, -1) {
		name := p.text[m[2]:m[3]]
		if strings.ContainsFunc(strings.TrimSuffix(name, ".md"), func(r rune) bool { return r >= 'A' && r <= 'Z' }) {
			continue // a placeholder: playbooks/NAME.md
		}
		if _, err := fs.Stat(c.Files, strings.TrimSuffix(name, "/")); err != nil {
			c.add(Error, p.file, p.line(m[2]), "there is no file %s", name)
		}
	}
	for _, m := range playbookRef.FindAllStringSubmatchIndex(p.text, -1) {
		for _, t := range ticked.FindAllStringSubmatch(p.text[m[2]:m[3]], -1) {
			if _, err := fs.Stat(c.Files, playbookDir+"/"+t[1]+".md"); err != nil {
				c.add(Error, p.file, p.line(m[2]), "there is no playbook %s", t[1])
			}
		}
	}
	for _, m := range subagent.FindAllStringSubmatchIndex(p.text, -1) {
		if name := p.text[m[2]:m[3]]; !c.agents[name] {
			c.add(Error, p.file, p.line(m[2]), "there is no agent %s in %s", name, agents.Dir)
		}
	}
}
