package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/runbook"
)

// What a history shows at most.
const (
	historyTokens = 2500
	historyAlerts = 10
	historyGroups = 5 // groups of a storm whose history is told
	alertText     = 400
)

type historyArgs struct {
	Delivery string `json:"delivery,omitempty" jsonschema:"the event, as d42; this claims it"`
	Alert    string `json:"alert,omitempty" jsonschema:"without delivery: exact name of the alert"`
	Service  string `json:"service,omitempty" jsonschema:"without delivery"`
	Cluster  string `json:"cluster,omitempty" jsonschema:"without delivery"`
	Days     int    `json:"days,omitempty" jsonschema:"how far back earlier ones are told, 30 if not given"`
}

func incidentHistory(r recorder) server.ServerTool {
	return tool("incident_history",
		"Has this fired before, how often, and how did it end? Always the first call about an event: it claims the delivery, so that it is not sent again. "+
			"Shows counts of 1, 7 and 30 days by verdict, the family of services, the latest ones with verdict, cause, actions and duration, and the alerts themselves.",
		idempotent|alwaysLoad,
		func(ctx context.Context, in historyArgs) (string, error) {
			if in.Days < 0 {
				return "", fmt.Errorf("days is %d, want 1 or more", in.Days)
			}
			out := newPage(historyTokens)
			since := time.Now().Add(-time.Duration(cmp.Or(in.Days, 30)) * runbook.Day)
			if in.Delivery != "" {
				return r.deliveryHistory(ctx, out, in.Delivery, since)
			}
			if in.Alert == "" {
				return "", errors.New("give delivery (d42), or alert with service and cluster")
			}
			h, err := r.History(ctx, in.Alert, in.Service, in.Cluster, time.Now(), 0)
			if err != nil {
				return "", err
			}
			out.say("%s.", subject(in.Alert, in.Service, in.Cluster))
			writeHistory(out, h, since)
			return out.String(), nil
		})
}

// deliveryHistory claims a delivery and tells what the memory knows of it.
func (r recorder) deliveryHistory(ctx context.Context, out *page, name string, since time.Time) (string, error) {
	d, err := claim(ctx, r, name)
	if err != nil {
		return "", err
	}
	decided, err := r.decided(ctx, d)
	if err != nil {
		return "", err
	}
	out.say("%s: %s", d.ID, describe(d))
	out.say("%s", decided)
	switch {
	case d.Channel == "slack":
		return out.String(), nil
	case d.Kind == runbook.EventStorm || d.Service == runbook.Several:
		err = r.groupHistories(ctx, out, d, since)
	default:
		err = r.oneHistory(ctx, out, d, since)
	}
	if err == nil {
		err = r.writeAlerts(ctx, out, d)
	}
	if err != nil {
		return "", err
	}
	return out.String(), nil
}

func (r recorder) oneHistory(ctx context.Context, out *page, d runbook.Delivery, since time.Time) error {
	h, err := r.History(ctx, d.Alert, d.Service, d.Cluster, time.Now(), d.ID)
	if err != nil {
		return err
	}
	writeHistory(out, h, since)
	return nil
}

// groupHistories tells of an event about several services what each did
// before: there is no history of "several".
func (r recorder) groupHistories(ctx context.Context, out *page, d runbook.Delivery, since time.Time) error {
	groups, err := r.Groups(ctx, d.ID, historyGroups+1)
	if err != nil {
		return err
	}
	for i, g := range groups {
		if i == historyGroups {
			out.say("More groups; incident_history with alert, service and cluster tells of each.")
			break
		}
		h, err := r.History(ctx, g.Alert, g.Service, g.Cluster, time.Now(), d.ID)
		if err != nil {
			return err
		}
		out.say("%s: %d, %d firing. %s 7 days: %s.", subject(g.Alert, g.Service, g.Cluster), g.Count, g.Firing,
			oneLine(h.Line(), 300), tallied(h.Week))
		writePast(out, recentSince(h.Recent, since), 1)
	}
	return nil
}

// describe says what a delivery is about, in one line.
func describe(d runbook.Delivery) string {
	if d.Channel == "slack" {
		return "a message of a person; there is no history of it"
	}
	s := fmt.Sprintf("%s, %s, %s, %s, %s", subject(d.Alert, d.Service, d.Cluster), d.Env, d.Severity, d.Status, plural(d.Alerts, "alert"))
	if d.Namespace != "" {
		s += ", namespace " + oneLine(d.Namespace, 120)
	}
	return s + "."
}

// decided says whether there is a verdict already.
func (r recorder) decided(ctx context.Context, d runbook.Delivery) (string, error) {
	in, err := r.Incident(ctx, d.ID)
	switch {
	case err == nil:
		return fmt.Sprintf("Already decided: %s. There is nothing left to do unless that is wrong; then log_verdict with revise: true.", verdictLine(in)), nil
	case !errors.Is(err, runbook.ErrNotFound):
		return "", err
	case !d.Kind.NeedsVerdict():
		return "It needs no verdict.", nil
	}
	return "Claimed. It has no verdict yet; log_verdict closes it.", nil
}

// verdictLine reads `noise by session at 2026-04-17 03:30:00Z, escalated: …`.
func verdictLine(in runbook.Incident) string {
	s := fmt.Sprintf("%s by %s at %s", in.Verdict, oneLine(in.DecidedBy, 60), stamp(in.DecidedAt))
	if in.Escalated {
		s += ", escalated"
	}
	return s + ": " + oneLine(in.Summary, 200)
}

// writeHistory tells of one alert on one service.
func writeHistory(out *page, h runbook.History, since time.Time) {
	out.say("%s", oneLine(h.Line(), 300))
	out.say("1 day: %s. 7 days: %s. 30 days: %s.", tallied(h.Day), tallied(h.Week), tallied(h.Month))
	if h.FamilyMonth.Total > h.Month.Total {
		out.say("Family %s: 7 days: %s. 30 days: %s.", oneLine(h.Family, 120), tallied(h.FamilyWeek), tallied(h.FamilyMonth))
	}
	past := recentSince(h.Recent, since)
	if len(past) == 0 {
		out.say("No earlier one is known.")
		return
	}
	out.say("Earlier ones, newest first (times are UTC):")
	writePast(out, past, len(past))
}

func recentSince(all []runbook.Past, since time.Time) []runbook.Past {
	return slices.DeleteFunc(slices.Clone(all), func(p runbook.Past) bool { return p.StartedAt.Before(since) })
}

// tallied reads "12 alerts (10 noise, 1 real, 1 undecided; 1 escalated)".
func tallied(t runbook.Tally) string {
	if t.Total == 0 {
		return "none"
	}
	var parts []string
	for _, c := range []struct {
		n    int
		word string
	}{{t.Noise, "noise"}, {t.Real, "real"}, {t.AutoFixed, "auto_fixed"}, {t.Total - t.Noise - t.Real - t.AutoFixed, "undecided"}} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.word))
		}
	}
	s := fmt.Sprintf("%s (%s", plural(t.Total, "alert"), strings.Join(parts, ", "))
	if t.Escalated > 0 {
		s += fmt.Sprintf("; %d escalated", t.Escalated)
	}
	return s + ")"
}

// writePast tells of the first n earlier ones. What a session wrote about
// them may repeat foreign text, so it is quoted too.
func writePast(out *page, past []runbook.Past, n int) {
	for _, p := range past[:min(len(past), n)] {
		lines := []string{pastLine(p)}
		for _, f := range []struct{ name, text string }{{"cause", p.RootCause}, {"actions", p.Actions}} {
			if f.text != "" {
				lines = append(lines, "  "+f.name+": "+oneLine(f.text, alertText))
			}
		}
		out.quote(lines...)
	}
}

func pastLine(p runbook.Past) string {
	s := fmt.Sprintf("%s %s, ", p.Delivery, p.StartedAt.UTC().Format("2006-01-02 15:04"))
	switch {
	case p.Lasted > 0:
		s += "lasted " + runbook.Short(p.Lasted)
	default:
		s += "no end known"
	}
	if p.Verdict == "" {
		return s + ": no verdict"
	}
	s += fmt.Sprintf(": %s by %s", p.Verdict, oneLine(p.DecidedBy, 60))
	if p.Escalated {
		s += ", escalated"
	}
	return s + ": " + oneLine(p.Summary, 200)
}

// writeAlerts shows what monitoring sent, worst first.
func (r recorder) writeAlerts(ctx context.Context, out *page, d runbook.Delivery) error {
	alerts, err := r.Alerts(ctx, d.ID, historyAlerts)
	if err != nil || len(alerts) == 0 {
		return err
	}
	out.say("What monitoring sent:")
	shown := 0
	for _, a := range alerts {
		if !out.quote(alertLines(a, time.Now())...) {
			break
		}
		shown++
	}
	if rest := d.Alerts - shown; rest > 0 {
		out.say("[%d more alerts; pending_events with delivery %s shows them]", rest, d.ID)
	}
	return nil
}

// alertLines is one alert: its state, its labels, its annotations.
func alertLines(a runbook.Occurrence, now time.Time) []string {
	head := fmt.Sprintf("%s %s %q", a.Status, oneLine(orElse(a.SeverityRaw, string(a.Severity)), 40), oneLine(a.Name, 160))
	if !a.StartsAt.IsZero() {
		head += fmt.Sprintf(" since %s (%s)", stamp(a.StartsAt), ago(now, a.StartsAt))
	}
	if d := a.Duration(); d > 0 {
		head += ", lasted " + runbook.Short(d)
	}
	if a.Count > 1 || a.Flaps > 0 {
		head += fmt.Sprintf(", sent %d×, flapped %d×", a.Count, a.Flaps)
	}
	lines := []string{head}
	var labels []string
	for _, k := range slices.Sorted(maps.Keys(a.Labels)) {
		if a.Labels[k] != "" && k != "alertname" && k != "severity" {
			labels = append(labels, oneLine(k, 80)+"="+redactValue(k, oneLine(a.Labels[k], 160)))
		}
	}
	if len(labels) > 0 {
		lines = append(lines, "  "+oneLine(strings.Join(labels, " "), 2*alertText))
	}
	for _, k := range slices.Sorted(maps.Keys(a.Annotations)) {
		lines = append(lines, "  "+oneLine(k, 80)+": "+oneLine(a.Annotations[k], alertText))
	}
	if a.Body != "" {
		lines = append(lines, "  body: "+oneLine(a.Body, 2*alertText))
	}
	return lines
}
