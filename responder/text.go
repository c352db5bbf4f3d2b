package responder

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/secret"
)

// noModel stands in everything that the responder says or keeps.
const noModel = "No model was involved."

// Lengths in characters of what is repeated from outside.
const (
	titleLimit = 120
	lineLimit  = 300
)

// escalation is what a person is told about q.
func (q *inquiry) escalation(ruled ruling, now time.Time) runbook.Escalation {
	d := q.Delivery
	e := runbook.Escalation{
		Key: "delivery:" + d.ID.String(), Delivery: d.ID, Alert: d.Alert, Service: d.Service, Cluster: named(d.Cluster),
		Title: q.title(ruled), Severity: d.Severity, Env: d.Env, Checked: q.checked(), Recommend: q.advice(), OpenedBy: "responder", OpenedAt: now,
		Found: strings.Join(append([]string{"You are told because " + ruled.why + "."}, q.evidence(now)...), "\n"),
	}
	if d.Service == runbook.Several {
		e.Service = "several services"
	}
	if d.Alert == runbook.Several {
		e.Alert = "Storm"
	}
	if q.test() {
		e.Severity = runbook.Info // somebody waits for it to arrive, and nobody should be woken
	}
	e.Default = "Nothing is changed."
	return e
}

// title is the finding in a line, beside the alert's name.
func (q *inquiry) title(ruled ruling) string {
	switch {
	case q.test():
		return "a test alert, it came through"
	case q.Delivery.Kind == runbook.EventStorm:
		return fmt.Sprintf("%d alerts at once", q.Delivery.Alerts)
	case q.look.Health.Wrong:
		return q.look.Short
	}
	return flat(cmp.Or(q.says(), ruled.why), titleLimit)
}

// says is what the first alert says about itself.
func (q *inquiry) says() string {
	if len(q.Alerts) == 0 {
		return ""
	}
	a := q.Alerts[0]
	words := a.Annotations
	if a.Unrecognised {
		words = a.Labels // the plain values of the body
	}
	return flat(cmp.Or(words["summary"], words["description"], words["message"], words["error"], words["text"]), lineLimit)
}

// fires says since when it fires, and in the alert's own words what.
func (q *inquiry) fires(now time.Time) string {
	var line string
	if len(q.Alerts) > 0 && !q.Alerts[0].StartsAt.IsZero() {
		line = "Fires for " + age(q.Alerts[0].StartsAt, now)
		if q.Delivery.Status == runbook.Resolved {
			line = "Resolved by itself" + q.lasted()
		}
	}
	switch s := q.says(); {
	case s == "":
		return line
	case line == "":
		return "The alert says: " + s
	default:
		return line + ": " + s
	}
}

// test reports whether somebody pressed a test button, and nothing else is in
// the event.
func (q *inquiry) test() bool {
	for _, a := range q.Alerts {
		if !a.Test {
			return false
		}
	}
	return len(q.Alerts) > 0
}

// checked says what was looked at, and what was not.
func (q *inquiry) checked() string {
	unseen := flat(q.look.Unseen, lineLimit)
	switch {
	case q.look.Checked == "":
		return noModel + " History of 30 days; nothing else: " + cmp.Or(unseen, "none was needed") + "."
	case unseen != "":
		return noModel + " History of 30 days; " + q.look.Checked + ". Not the pods: " + unseen + "."
	}
	return noModel + " History of 30 days; " + q.look.Checked + "."
}

// evidence is everything known, in lines for people.
func (q *inquiry) evidence(now time.Time) []string {
	var lines []string
	if q.Delivery.Kind == runbook.EventStorm {
		lines = q.digest()
	} else {
		lines = []string{q.fires(now), "History: " + q.History.Line()}
	}
	if q.Delivery.Kind == runbook.EventUnrecognised && len(q.Alerts) > 0 {
		lines = append(lines, "Body: "+flat(q.Alerts[0].Body, lineLimit))
	}
	return append(lines, q.look.Found...)
}

// digestTold is how many groups of a storm a person reads.
const digestTold = 6

// digest tells the groups of a storm, worst first.
func (q *inquiry) digest() []string {
	var lines []string
	rest := q.Delivery.Alerts
	for _, g := range q.Groups[:min(len(q.Groups), digestTold)] {
		rest -= g.Count
		lines = append(lines, flat(fmt.Sprintf("%d× %s %s on %s", g.Count, g.Severity, g.Alert, cmp.Or(g.Service, "no named service")), lineLimit))
	}
	if rest > 0 {
		lines = append(lines, fmt.Sprintf("and %d more alerts", rest))
	}
	return lines
}

// advice is what a person should do first.
func (q *inquiry) advice() string {
	switch {
	case q.test():
		return "Nothing."
	case q.Delivery.Kind == runbook.EventStorm:
		return "Look for what they have in common: a node, the network, a release, a database."
	case q.playbook.Name != "":
		return "Look at it; playbook " + q.playbook.Name + " says how."
	}
	return "Look at it."
}

// incident is the record of q.
func (q *inquiry) incident(ruled ruling, now time.Time) runbook.Incident {
	summary := ruled.why
	if ruled.verdict == runbook.Real {
		summary = q.title(ruled)
	}
	return runbook.Incident{
		Delivery: q.Delivery.ID, Verdict: ruled.verdict, Escalated: ruled.verdict == runbook.Real, Summary: flat(summary, 2*titleLimit),
		Evidence:  strings.Join(append([]string{q.checked()}, q.evidence(now)...), "\n"),
		DecidedBy: "responder", DecidedAt: now,
	}
}

// flat makes one bounded line of foreign text, without secrets.
func flat(s string, limit int) string {
	if len(s) > 8*limit {
		s = s[:8*limit] // no more work than what is shown is worth
	}
	s = strings.Join(strings.Fields(secret.Redact(strings.ToValidUTF8(s, "\uFFFD"))), " ")
	if r := []rune(s); len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return s
}
