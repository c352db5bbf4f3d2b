package claude_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"watchkeeper/test/messages"
)

// soakModel plays a dispatcher and its investigators that keep to the runbook
// whatever happens: it decides by the whole conversation, so that a failed
// call is made again and an event of the last session is handled afresh.
func soakModel() []messages.Rule {
	return []messages.Rule{
		{Name: "investigator", When: messages.Match{Agent: messages.Sub}, Do: soakInvestigator},
		{Name: "dispatcher", When: messages.Match{Agent: messages.Main, Tool: "Agent"}, Do: soakDispatcher},
	}
}

var (
	tagOf    = regexp.MustCompile(`<channel source="webhook"([^>]*)>`)
	attrOf   = regexp.MustCompile(` (\w+)="([^"]*)"`)
	briefOf  = regexp.MustCompile(`Investigate delivery (d\d+)`)
	reportOf = regexp.MustCompile(`\nDELIVERY: (d\d+)`)
	told     = regexp.MustCompile(`(?s)<system-reminder>.*?</system-reminder>`)
	taskOf   = regexp.MustCompile(`(?s)<task-notification>.*?</task-notification>`)
)

// pushedIn returns the attributes of the events in the conversation, in order.
func pushedIn(r messages.Request) []map[string]string {
	var all []map[string]string
	for _, text := range r.Heard() {
		text = told.ReplaceAllString(text, "") // the runbook and the servers' instructions hold examples
		for _, tag := range tagOf.FindAllStringSubmatch(text, -1) {
			e := map[string]string{}
			for _, a := range attrOf.FindAllStringSubmatch(tag[1], -1) {
				e[a[1]] = a[2]
			}
			all = append(all, e)
		}
	}
	return all
}

// A desk is what the dispatcher knows of the deliveries by its conversation.
type desk struct {
	decided  map[string]bool
	called   map[string]bool
	reported map[string]bool
	sent     map[string]int // investigators per delivery
	ended    map[string]int // of those, how many came back
}

func deskOf(r messages.Request) desk {
	d := desk{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]int{}, map[string]int{}}
	brief := map[string]string{} // delivery by the description of its investigator
	for _, u := range r.Uses() {
		var in struct{ Delivery, Prompt, Description string }
		_ = json.Unmarshal(u.Input, &in) // other tools have other arguments
		worked := u.Result == nil || !u.Result.Error
		switch u.Tool {
		case "mcp__sre-tools__log_verdict":
			known := u.Result != nil && strings.Contains(u.Result.Text, "already decided")
			d.decided[in.Delivery] = d.decided[in.Delivery] || worked || known
		case "mcp__slack__escalate":
			d.called[in.Delivery] = d.called[in.Delivery] || worked
		case "Agent":
			if m := briefOf.FindStringSubmatch(in.Prompt); m != nil {
				brief[in.Description] = m[1]
				if worked {
					d.sent[m[1]]++
				}
				if u.Result != nil && reportOf.MatchString(u.Result.Text) { // it was waited for
					d.reported[m[1]] = true
				}
			}
		}
	}
	for _, text := range r.Heard() {
		for _, note := range taskOf.FindAllString(text, -1) {
			for what, delivery := range brief {
				if strings.Contains(note, what) {
					d.ended[delivery]++
				}
			}
			if m := reportOf.FindStringSubmatch(note); m != nil {
				d.reported[m[1]] = true
			}
		}
	}
	return d
}

// soakDispatcher is the turn of the session.
func soakDispatcher(r messages.Request) []messages.Block {
	d := deskOf(r)
	var turn []messages.Block
	seen := map[string]bool{}
	for _, e := range pushedIn(r) {
		id := e["delivery"]
		if seen[id] || d.decided[id] {
			continue
		}
		seen[id] = true
		switch {
		case e["event"] == "resolved", e["suggest"] == "dismiss":
			turn = append(turn, messages.Call("mcp__sre-tools__log_verdict", map[string]any{
				"delivery": id, "verdict": "noise", "summary": "test tenants have no heartbeat",
			}))
		case d.reported[id] && strings.HasPrefix(e["alert"], "Slow"):
			turn = append(turn, messages.Call("mcp__sre-tools__log_verdict", map[string]any{
				"delivery": id, "verdict": "noise", "summary": "one pod was slow while its node was drained",
				"root_cause": "weekly node maintenance", "actions": "none", "evidence": "kube_problems: every pod ready, no restarts",
			}))
		case d.reported[id] && !d.called[id]:
			turn = append(turn, messages.Call("mcp__slack__escalate", map[string]any{
				"delivery": id, "severity": "critical", "title": "cart crashes since its release",
				"impact": "one in three checkouts fails", "checked": "pods, logs, merges, Argo CD",
				"found": "exit 1: invalid configuration since 2.14.0", "recommend": "roll back to 2.13.2", "default": "Nothing is changed.",
			}))
		case d.reported[id]:
			turn = append(turn, messages.Call("mcp__sre-tools__log_verdict", map[string]any{
				"delivery": id, "verdict": "real", "escalated": true, "summary": "cart exits 1 since release 2.14.0",
				"root_cause": "invalid configuration in 2.14.0", "actions": "none", "evidence": "kube_problems: cart in CrashLoopBackOff",
			}))
		case d.sent[id] <= d.ended[id]:
			turn = append(turn, messages.Call("Agent", map[string]any{
				"subagent_type": "investigator", "description": fmt.Sprintf("look at %s, try %d", id, d.sent[id]+1),
				"prompt": fmt.Sprintf("Investigate delivery %s: %s on %s in cluster %s (%s), severity %s, playbook %s. Check pods, logs and what was merged "+
					"lately. Report: real or false positive, root cause, recommended action.",
					id, e["alert"], e["service"], e["cluster"], e["env"], e["severity"], e["playbook"]),
			}))
		}
	}
	return turn
}

// soakInvestigator is the turn of a sub-agent: history, a look, a report.
func soakInvestigator(r messages.Request) []messages.Block {
	m := briefOf.FindStringSubmatch(r.Conversation())
	if m == nil {
		return nil
	}
	worked := func(tool string) bool {
		return slices.ContainsFunc(r.Uses(), func(u messages.Use) bool { return u.Tool == tool && u.Result != nil && !u.Result.Error })
	}
	switch {
	case len(r.Uses()) > 12: // a good investigator gives up some time
	case !worked("mcp__sre-tools__incident_history"):
		return []messages.Block{messages.Call("mcp__sre-tools__incident_history", map[string]any{"delivery": m[1]})}
	case !worked("mcp__sre-tools__kube_problems"):
		return []messages.Block{messages.Call("mcp__sre-tools__kube_problems", map[string]any{"cluster": "platform-prod", "namespace": "shop"})}
	}
	if strings.Contains(r.Conversation(), m[0]+": Slow") {
		return []messages.Block{messages.Text(`VERDICT: noise
DELIVERY: ` + m[1] + `
SEVERITY: info
CONFIDENCE: high
CAUSE: one pod was slow while its node was drained, as every week
IMPACT: none; all pods have been ready for 9 minutes
EVIDENCE:
- every pod ready, no restarts (kube_problems)
GAPS:
- traces
ACTION: none
RECOMMEND: nothing`)}
	}
	return []messages.Block{messages.Text(`VERDICT: real
DELIVERY: ` + m[1] + `
SEVERITY: critical
CONFIDENCE: high
CAUSE: cart 2.14.0 exits 1 on an invalid configuration
IMPACT: one in three checkouts fails since 10:02
EVIDENCE:
- cart in CrashLoopBackOff since the release (kube_problems)
GAPS:
- traces
ACTION: none
RECOMMEND: roll back to 2.13.2`)}
}
