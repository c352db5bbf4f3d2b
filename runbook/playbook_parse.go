package runbook

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	// The front matter is YAML, as people know it from other Markdown files.
	// This is the one file of the package with a library: parsing YAML by hand
	// would be wrong sooner or later, and a node tells its line.
	"go.yaml.in/yaml/v3"
)

// fence opens and closes the front matter.
const fence = "---"

// ParsePlaybook reads the Markdown file of the playbook name. Every mistake of
// the front matter is reported at once, as "name.md:3: what is wrong".
func ParsePlaybook(name string, text []byte) (Playbook, error) {
	m := &matter{file: name + ".md", seen: map[string]int{}}
	p := Playbook{Name: name}
	head, body, ok := split(string(text))
	if !ok {
		m.wrong(1, "want front matter between two lines %q", fence)
		return p, m.err()
	}
	p.Body = body
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(head), &doc); err != nil {
		m.syntax(err)
		return p, m.err()
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		m.wrong(2, "front matter is no list of keys")
		return p, m.err()
	}
	m.fill(&p, doc.Content[0])
	m.complete(p)
	return p, m.err()
}

// LoadPlaybooks reads every .md file at the root of files, in the order of
// their names. The errors of all files come together; what could be read is
// returned with them.
func LoadPlaybooks(files fs.FS) (Playbooks, error) {
	names, err := fs.Glob(files, "*.md")
	if err != nil {
		return nil, fmt.Errorf("list playbooks: %w", err)
	}
	var ps Playbooks
	var errs []error
	for _, file := range names {
		text, err := fs.ReadFile(files, file)
		if err != nil {
			errs = append(errs, fmt.Errorf("read playbook: %w", err))
			continue
		}
		p, err := ParsePlaybook(strings.TrimSuffix(path.Base(file), ".md"), text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ps = append(ps, p)
	}
	return ps, errors.Join(errs...)
}

// split cuts a file into front matter and body; false if there is none.
func split(text string) (head, body string, ok bool) {
	text = strings.ReplaceAll(strings.TrimPrefix(text, "\uFEFF"), "\r\n", "\n")
	rest, ok := strings.CutPrefix(text, fence+"\n")
	if !ok {
		return "", "", false
	}
	head, body, ok = strings.Cut("\n"+rest, "\n"+fence+"\n")
	return head, strings.TrimLeft(body, "\n"), ok // head keeps the fence's line as an empty one: lines count from 1
}

// A matter collects what is wrong with a front matter.
type matter struct {
	file  string
	errs  []lined
	seen  map[string]int // line of each key
	first int            // line of the first key
}

type lined struct {
	line int
	text string
}

func (m *matter) wrong(line int, format string, args ...any) {
	m.errs = append(m.errs, lined{line, fmt.Sprintf(format, args...)})
}

// err joins the mistakes in the order of the file.
func (m *matter) err() error {
	slices.SortStableFunc(m.errs, func(a, b lined) int { return cmp.Compare(a.line, b.line) })
	errs := make([]error, len(m.errs))
	for i, e := range m.errs {
		errs[i] = fmt.Errorf("%s:%d: %s", m.file, e.line, e.text)
	}
	return errors.Join(errs...)
}

// syntax reports the parser's error, which is "yaml: line 3: …".
func (m *matter) syntax(err error) {
	text, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, what, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				text, line = what, n
			}
		}
	}
	m.wrong(line, "front matter is not valid YAML: %s", text)
}

func (m *matter) fill(p *Playbook, n *yaml.Node) {
	m.first = n.Line
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := n.Content[i], n.Content[i+1]
		if at, twice := m.seen[key.Value]; twice {
			m.wrong(key.Line, "%s: is given twice, first in line %d", key.Value, at)
			continue
		}
		m.seen[key.Value] = key.Line
		m.key(p, key, v)
	}
}

func (m *matter) key(p *Playbook, key, v *yaml.Node) {
	switch k := key.Value; k {
	case "title":
		p.Title = m.str(k, v)
	case "category":
		p.Category = m.word(k, v, Categories())
	case "alerts":
		p.Alerts = m.list(k, v, glob)
	case "services":
		p.Services = m.list(k, v, glob)
	case "labels":
		p.Labels = m.list(k, v, labelRule)
	case "symptom":
		p.Symptom = m.yes(k, v)
	case "severity":
		p.Severity = m.urgency(k, v)
	case "first_look":
		p.FirstLook = m.list(k, v, oneOf(Sources()))
	case "allowed_actions":
		p.AllowedActions = m.list(k, v, oneOf(Actions()))
	case "always_escalate":
		p.AlwaysEscalate = m.yes(k, v)
	default:
		m.wrong(key.Line, "unknown key %q; want one of alerts, allowed_actions, always_escalate, category, first_look, "+
			"labels, services, severity, symptom, title", k)
	}
}

// complete reports what is missing and what does not go together.
func (m *matter) complete(p Playbook) {
	for _, k := range []string{"title", "category", "severity", "first_look"} {
		if _, ok := m.seen[k]; !ok {
			m.wrong(max(m.first, 2), "%s: is missing", k)
		}
	}
	if len(p.Alerts)+len(p.Services)+len(p.Labels) == 0 && p.Name != CatchAll && m.seen["alerts"] == 0 {
		m.wrong(max(m.first, 2), "alerts: is missing; only %s.md matches without globs", CatchAll)
	}
	if p.AlwaysEscalate && len(p.AllowedActions) > 0 {
		m.wrong(m.seen["allowed_actions"], "allowed_actions: %s, but always_escalate leaves every action to a person",
			strings.Join(p.AllowedActions, ", "))
	}
	if strings.TrimSpace(p.Body) == "" {
		m.wrong(max(m.first, 2), "the body is empty")
	}
}

func (m *matter) str(key string, n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || strings.TrimSpace(n.Value) == "" {
		m.wrong(n.Line, "%s: want text", key)
		return ""
	}
	return strings.TrimSpace(n.Value)
}

func (m *matter) word(key string, n *yaml.Node, choices []string) string {
	s := m.str(key, n)
	if s != "" {
		m.check(key, n, s, oneOf(choices))
	}
	return s
}

func (m *matter) yes(key string, n *yaml.Node) bool {
	var b bool
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" || n.Decode(&b) != nil {
		m.wrong(n.Line, "%s: want true or false", key)
	}
	return b
}

func (m *matter) list(key string, n *yaml.Node, ok func(string) error) []string {
	if n.Kind != yaml.SequenceNode {
		m.wrong(n.Line, "%s: want a list", key)
		return nil
	}
	var all []string
	for _, item := range n.Content {
		s := m.str(key, item)
		switch {
		case s == "":
		case slices.Contains(all, s):
			m.wrong(item.Line, "%s: %q is listed twice", key, s)
		default:
			m.check(key, item, s, ok)
			all = append(all, s)
		}
	}
	return all
}

// urgency reads {prod: critical, dev: warning}; both are needed.
func (m *matter) urgency(key string, n *yaml.Node) Urgency {
	var u Urgency
	if n.Kind != yaml.MappingNode {
		m.wrong(n.Line, "%s: want {prod: critical, dev: warning}", key)
		return u
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		env, word := n.Content[i], n.Content[i+1]
		sev := Severity(m.word(key+"."+env.Value, word, []string{string(Critical), string(Warning), string(Info)}))
		switch env.Value {
		case string(Prod):
			u.Prod = sev
		case string(Dev):
			u.Dev = sev
		default:
			m.wrong(env.Line, "%s: unknown environment %q; want prod and dev", key, env.Value)
		}
	}
	if len(n.Content) != 4 || u.Prod == "" || u.Dev == "" {
		m.wrong(n.Line, "%s: want one for prod and one for dev", key)
	}
	return u
}

func (m *matter) check(key string, n *yaml.Node, s string, ok func(string) error) {
	if err := ok(s); err != nil {
		m.wrong(n.Line, "%s: %v", key, err)
	}
}

func oneOf(choices []string) func(string) error {
	return func(s string) error {
		if !slices.Contains(choices, s) {
			return fmt.Errorf("%q is none of %s", s, strings.Join(choices, ", "))
		}
		return nil
	}
}

// glob refuses what would match everything: that is the catch-all's part.
func glob(s string) error {
	if err := ValidGlob(s); err != nil {
		return fmt.Errorf("%q is no glob: %w", s, err)
	}
	if literals(s).run < 2 {
		return fmt.Errorf("%q matches nearly everything; want at least two characters beside the wildcards", s)
	}
	return nil
}

func labelRule(s string) error {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" || value == "" {
		return fmt.Errorf("%q is no label; want key=glob", s)
	}
	return ValidGlob(value)
}
