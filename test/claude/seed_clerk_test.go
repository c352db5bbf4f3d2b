package claude_test

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"watchkeeper/test/messages"
)

// A clerk plays the model by the tables of CLAUDE.md. All it knows is what the
// session shows it: the attributes of events, the results of tools and the
// reports of its sub-agents. It never looks at the memory or at the test.
type clerk struct {
	mu     sync.Mutex
	events map[string]attributes // by delivery
	called map[string]int        // the escalation of a delivery
	asks   []string              // deliveries whose escalation has no number yet
	groups map[string][]string   // deliveries that are one incident, by the one that was escalated
}

func newClerk() *clerk {
	return &clerk{events: map[string]attributes{}, called: map[string]int{}, groups: map[string][]string{}}
}

// rules are those of a script that is played by c.
func (c *clerk) rules() []messages.Rule {
	return []messages.Rule{
		{Name: "dispatcher", When: messages.Match{Agent: messages.Main}, Do: c.dispatch},
		{Name: "investigator", When: messages.Match{Agent: messages.Sub}, Do: lookInto},
	}
}

// attributes are those of an event's tag, with its first line as "line".
type attributes map[string]string

var (
	tags     = regexp.MustCompile(`(?s)<channel source="(\w+)"([^>]*)>\n([^\n]*)`)
	pairs    = regexp.MustCompile(`(\w+)="([^"]*)"`)
	why      = regexp.MustCompile(`Suggestion: \w+ \((.*)\)\.`)
	opened   = regexp.MustCompile(`[Ee]scalation (\d+) (?:is open|already)`)
	reported = regexp.MustCompile(`VERDICT: (\w+)\nDELIVERY: (d\d+)\nSEVERITY: \w+\nCONFIDENCE: \w+\nCAUSE: ([^\n]*)`)
	due      = regexp.MustCompile(`Proposal (\d+), to be sent now`)
	meant    = regexp.MustCompile(`Proposal (\d+): answer here`)
	brief    = regexp.MustCompile(`Investigate delivery (d\d+)`)
)

func taggedIn(text string) []attributes {
	var all []attributes
	for _, m := range tags.FindAllStringSubmatch(text, -1) {
		a := attributes{"source": m[1], "line": m[3]}
		for _, p := range pairs.FindAllStringSubmatch(m[2], -1) {
			a[p[1]] = p[2]
		}
		all = append(all, a)
	}
	return all
}

// strict is production, and what may be.
func (a attributes) strict() bool { return a["env"] != "dev" }

// reason is why the memory suggests what it does.
func (a attributes) reason() string {
	if m := why.FindStringSubmatch(a["line"]); m != nil {
		return m[1]
	}
	return a["line"]
}

// dispatch is one turn of the session itself.
func (c *clerk) dispatch(r messages.Request) []messages.Block {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []messages.Block
	for _, res := range r.Results() {
		out = append(out, c.result(r, res)...)
	}
	text := r.LastText()
	if strings.Contains(text, "=== SRE Briefing") {
		out = append(out, messages.Call("ToolSearch", map[string]any{"query": "select:mcp__sre-tools__tuning_proposals"}))
	}
	for _, m := range reported.FindAllStringSubmatch(text, -1) {
		out = append(out, c.report(m[2], m[1], m[3])...)
	}
	var fresh []attributes
	for _, e := range taggedIn(text) {
		if _, seen := c.events[e["delivery"]]; !seen {
			c.events[e["delivery"]] = e
			fresh = append(fresh, e)
		}
	}
	return append(out, c.decide(fresh)...)
}

// decide is section 3.
func (c *clerk) decide(fresh []attributes) []messages.Block {
	var out []messages.Block
	if together := several(fresh); len(together) >= 3 {
		return c.together(together)
	}
	for _, e := range fresh {
		switch {
		case e["source"] == "slack":
			out = append(out, messages.Call("mcp__slack__read_thread", map[string]any{"thread": e["thread"]}))
		case e["event"] == "resolved":
		case e["suggest"] == "dismiss" && (e["severity"] != "critical" || !e.strict()):
			out = append(out, verdictOf(e["delivery"], "noise", false, e.reason()))
		case e["suggest"] == "escalate":
			out = append(out, c.escalate(e, cmp.Or(e["service"], "not named")+": "+e["alert"], e.reason()), investigator(e["delivery"], e))
		default:
			out = append(out, investigator(e["delivery"], e))
		}
	}
	return out
}

// several picks the alerts that count for section 7: of one cluster, of
// different services, neither dismissed nor for information only.
func several(fresh []attributes) []attributes {
	var all []attributes
	services := map[string]bool{}
	for _, e := range fresh {
		if e["event"] != "alert" || e["suggest"] == "dismiss" || e["severity"] == "info" || services[e["service"]] ||
			len(all) > 0 && e["cluster"] != all[0]["cluster"] {
			continue
		}
		services[e["service"]] = true
		all = append(all, e)
	}
	return all
}

// together is section 7: one escalation, one investigator.
func (c *clerk) together(all []attributes) []messages.Block {
	names, ids := make([]string, len(all)), make([]string, len(all))
	for i, e := range all {
		names[i], ids[i] = e["service"], e["delivery"]
	}
	c.groups[ids[0]] = ids
	return []messages.Block{
		c.escalate(all[0], fmt.Sprintf("%s: %d services fail at once", all[0]["cluster"], len(all)), strings.Join(names, ", ")),
		investigator(strings.Join(ids, " and "), all[0]),
	}
}

func (c *clerk) escalate(e attributes, title, found string) messages.Block {
	severity := "warning"
	if e.strict() && (e["severity"] == "critical" || strings.Contains(title, "services fail")) {
		severity = "critical"
	}
	c.asks = append(c.asks, e["delivery"])
	return messages.Call("mcp__slack__escalate", map[string]any{
		"delivery": e["delivery"], "severity": severity, "title": title, "found": found,
		"checked": "nothing yet, the investigation runs", "recommend": "wait for the finding, some minutes",
	})
}

func investigator(deliveries string, e attributes) messages.Block {
	return messages.Call("Agent", map[string]any{
		"subagent_type": "investigator", "description": "look at " + e["alert"],
		"prompt": fmt.Sprintf("Investigate delivery %s.\nAlert: %s, %s\nWhere: service %s, namespace %s, cluster %s, env %s\nPlaybook: %s\nHistory: %s",
			deliveries, e["alert"], e["severity"], e["service"], e["namespace"], e["cluster"], e["env"], e["playbook"], e["line"]),
	})
}

func verdictOf(delivery, verdict string, escalated bool, summary string) messages.Block {
	return messages.Call("mcp__sre-tools__log_verdict", map[string]any{
		"delivery": delivery, "verdict": verdict, "escalated": escalated, "summary": summary, "actions": "none",
	})
}

// report is section 5, for reports of noise and of what is real and has no
// safe action; section 7 closes what was escalated together.
func (c *clerk) report(delivery, verdict, cause string) []messages.Block {
	e, number := c.events[delivery], c.called[delivery]
	switch {
	case number != 0:
		out := []messages.Block{messages.Call("mcp__slack__update_escalation", map[string]any{"escalation": number, "finding": cause})}
		for _, other := range c.incident(delivery) {
			out = append(out, verdictOf(other, "real", true, fmt.Sprintf("escalation %d: %s", number, cause)))
		}
		return out
	case verdict == "noise":
		return []messages.Block{verdictOf(delivery, "noise", false, cause)}
	case e.strict():
		return []messages.Block{c.escalate(e, e["service"]+": "+e["alert"], cause), verdictOf(delivery, "real", true, cause)}
	}
	return []messages.Block{
		messages.Call("mcp__slack__send_message", map[string]any{"delivery": delivery, "text": e["service"] + " on " + e["cluster"] + ": " + cause + ". No hurry."}),
		verdictOf(delivery, "real", false, cause),
	}
}

// incident is every delivery that is closed with this one.
func (c *clerk) incident(delivery string) []string {
	if all := c.groups[delivery]; all != nil {
		return all
	}
	return []string{delivery}
}

// result goes on after a tool has answered: the number of an escalation, the
// proposals of section 10 and a person's answer to one.
func (c *clerk) result(r messages.Request, res messages.Result) []messages.Block {
	switch res.Tool {
	case "ToolSearch":
		return []messages.Block{messages.Call("mcp__sre-tools__tuning_proposals", map[string]any{"days": 7})}
	case "mcp__slack__escalate":
		if m := opened.FindStringSubmatch(res.Text); m != nil && len(c.asks) > 0 {
			c.called[c.asks[0]], _ = strconv.Atoi(m[1])
			c.asks = c.asks[1:]
		}
	case "mcp__sre-tools__tuning_proposals":
		var out []messages.Block
		for _, m := range due.FindAllStringSubmatch(res.Text, -1) {
			out = append(out, proposal(m[1], "send", ""))
		}
		if strings.HasPrefix(res.Text, "Recorded") {
			out = append(out, messages.Call("mcp__slack__reply", map[string]any{"thread": last(r)["thread"], "text": res.Text}))
		}
		return out
	case "mcp__slack__read_thread":
		said := last(r)
		for word, decision := range map[string]string{"accept": "accepted", "decline": "declined", "snooze": "snoozed"} {
			if m := meant.FindStringSubmatch(res.Text); m != nil && strings.Contains(strings.ToLower(said["line"]), word) {
				return []messages.Block{proposal(m[1], decision, said["user"])}
			}
		}
	}
	return nil
}

// last is the latest event of a person in the conversation.
func last(r messages.Request) (e attributes) {
	for _, a := range taggedIn(r.Conversation()) {
		if a["source"] == "slack" {
			e = a
		}
	}
	return e
}

func proposal(id, decision, by string) messages.Block {
	n, _ := strconv.Atoi(id)
	return messages.Call("mcp__sre-tools__tuning_proposals", map[string]any{"id": n, "decision": decision, "by": by})
}

// lookInto is a turn of the investigator: history, playbook, first look,
// report. The report tells what first_look said first.
func lookInto(r messages.Request) []messages.Block {
	prompt := brief.FindStringSubmatch(r.Conversation())
	if prompt == nil {
		return nil
	}
	results := r.Results()
	if len(results) == 0 {
		return []messages.Block{messages.Call("mcp__sre-tools__incident_history", map[string]any{"delivery": prompt[1]})}
	}
	switch results[0].Tool {
	case "mcp__sre-tools__incident_history":
		return []messages.Block{messages.Call("mcp__sre-tools__get_playbook", map[string]any{"delivery": prompt[1]})}
	case "mcp__sre-tools__get_playbook":
		return []messages.Block{messages.Call("mcp__sre-tools__first_look", map[string]any{"delivery": prompt[1]})}
	}
	return []messages.Block{messages.Text(fmt.Sprintf(report, prompt[1], hint(results[0].Text)))}
}

// report is the form of the investigator's page.
const report = `VERDICT: real
DELIVERY: %[1]s
SEVERITY: critical
CONFIDENCE: high
CAUSE: %[2]s
IMPACT: not known
EVIDENCE:
- %[2]s (first_look)
GAPS:
- traces: not configured
ACTION: none
RECOMMEND: look at it`

// hint is the first thing that first_look noticed.
func hint(text string) string {
	for line := range strings.Lines(text) {
		if h, ok := strings.CutPrefix(strings.TrimSpace(line), "- "); ok {
			return h
		}
	}
	return "unknown"
}
