package lint

import (
	"slices"
	"strconv"
	"strings"

	"watchkeeper/runbook"
)

// checkPlaybooks parses the front matters and compares each with its body and
// with the others.
func (c *checker) checkPlaybooks() {
	globs := map[string]string{} // glob: the playbook that has it
	for _, p := range c.in(playbookDir) {
		pb, err := runbook.ParsePlaybook(p.nameOf(), []byte(p.text))
		if err != nil {
			c.parseErrors(p, err)
			continue
		}
		c.playbooks = append(c.playbooks, pb)
		c.checkActions(p, pb)
		for _, g := range pb.Alerts {
			key := strings.ToLower(g)
			if other, twice := globs[key]; twice {
				c.add(Error, p.file, p.lineOf(g), "alerts: %q is in playbook %s too; only one of them is ever found", g, other)
			}
			globs[key] = pb.Name
		}
	}
	if _, ok := c.playbooks.Find(runbook.CatchAll); !ok {
		c.add(Error, playbookDir+"/"+runbook.CatchAll+".md", 1, "is missing or broken: alerts that no playbook matches have no page")
	}
}

// parseErrors turns the joined "name.md:3: text" into findings.
func (c *checker) parseErrors(p page, err error) {
	for text := range strings.SplitSeq(err.Error(), "\n") {
		rest, _ := strings.CutPrefix(text, p.nameOf()+".md:")
		number, what, ok := strings.Cut(rest, ": ")
		line, notNumber := strconv.Atoi(number)
		if !ok || notNumber != nil {
			line, what = 1, text
		}
		c.add(Error, p.file, line, "%s", what)
	}
}

// checkActions compares what the front matter allows with what the body tells
// the reader to do.
func (c *checker) checkActions(p page, pb runbook.Playbook) {
	said := map[string]bool{}
	for _, call := range calls(p.text) {
		if !slices.Contains(runbook.Actions(), call.name) {
			continue
		}
		said[call.name] = true
		if !slices.Contains(pb.AllowedActions, call.name) {
			c.add(Error, p.file, p.line(call.at), "the body calls %s, but allowed_actions does not list it", call.name)
		}
	}
	for _, a := range pb.AllowedActions {
		if !said[a] {
			c.add(Warning, p.file, p.lineOf("allowed_actions:"), "allowed_actions: %s is allowed, but the body never says when", a)
		}
	}
}

// checkPolicy reports where playbooks and the operator's policy contradict each
// other.
func (c *checker) checkPolicy() {
	for _, pb := range c.playbooks {
		file := playbookDir + "/" + pb.Name + ".md"
		if m, ok := touches(c.Policy.EscalateAlways, pb); ok && len(pb.AllowedActions) > 0 {
			c.add(Error, file, c.keyLine(file, "allowed_actions:"), "allowed_actions: %s, but policy.escalate_always leaves %s to a person",
				strings.Join(pb.AllowedActions, ", "), describe(m))
		}
		if m, ok := touches(c.Policy.KnownNoise, pb); ok && pb.AlwaysEscalate {
			c.add(Warning, file, c.keyLine(file, "always_escalate:"), "always_escalate: but policy.known_noise dismisses %s", describe(m))
		}
	}
}

// touches returns the first rule that can apply to what pb is for: its category,
// or one of the alerts that it names without wildcards.
func touches(rules []runbook.Match, pb runbook.Playbook) (runbook.Match, bool) {
	for _, m := range rules {
		if m.Service != "" || m.Cluster != "" {
			continue // about some services only: the guard decides case by case
		}
		if m.Alert == "" && m.Category != "" && runbook.Glob(m.Category, pb.Category) {
			return m, true
		}
		named := func(alert string) bool {
			return !strings.ContainsAny(alert, "*?[") && m.Matches(alert, "", "", pb.Category)
		}
		if m.Alert != "" && slices.ContainsFunc(pb.Alerts, named) {
			return m, true
		}
	}
	return runbook.Match{}, false
}

func describe(m runbook.Match) string {
	if m.Alert != "" {
		return "alert " + strconv.Quote(m.Alert)
	}
	return "category " + m.Category
}

func (c *checker) keyLine(file, key string) int {
	for _, p := range c.pages {
		if p.file == file {
			return p.lineOf("\n"+key) + 1
		}
	}
	return 1
}

// checkAlerts reports what fired lately and has only the catch-all.
func (c *checker) checkAlerts() {
	file := playbookDir + "/" + runbook.CatchAll + ".md"
	for _, a := range c.Alerts {
		if p, ok := c.playbooks.Match(a.Name, a.Service, a.Labels); ok && p.Name != runbook.CatchAll {
			continue
		}
		c.add(Warning, file, 1, "alert %q fired %d times in 30 days and no playbook matches it; add a glob to one, or a playbook", a.Name, a.Times)
	}
}
