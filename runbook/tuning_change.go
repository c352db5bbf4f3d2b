package runbook

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A system is the kind of program that holds the rule of an alert.
type system int

const (
	signoz system = iota
	prometheus
	grafana
)

// systemOf tells the kind from what an alert carries. SigNoz is what remains:
// Prometheus and Grafana leave their marks on every alert.
func (p Pattern) system() system {
	_, folder := p.Labels["grafana_folder"]
	switch {
	case p.Labels["ruleId"] != "" || p.Source == "signoz":
		return signoz
	case folder || p.Source == "grafana" || strings.Contains(p.GeneratorURL, "/alerting/"):
		return grafana
	case p.Labels["prometheus"] != "" || strings.Contains(p.GeneratorURL, "g0.expr=") || !strings.Contains(p.Alert, " "):
		return prometheus
	}
	return signoz
}

// A change is one thing that could be done about a pattern.
type change struct {
	words  string // after "Proposal: "
	note   string
	diff   string
	gone   func(Spell) bool // nil: the record does not tell
	result BackTest
}

// usualWindow is assumed of a rule that could not be read.
const usualWindow = 10 * time.Minute

// windows are the values that a person would choose.
func windows() []time.Duration {
	const m = time.Minute
	return []time.Duration{5 * m, 10 * m, 15 * m, 20 * m, 30 * m, 45 * m, 60 * m}
}

// choose returns the first change that would have removed at least half of the
// noise and nothing that was real; one that cannot be tested comes last.
func choose(p Pattern, r Rule) change {
	for _, c := range changes(p, r) {
		c.result = backTest(c, p.Spells)
		b := c.result
		if !b.Tested || (b.Hidden == 0 && 2*b.Removed >= b.Noise) {
			return c
		}
	}
	c := threshold(p, r)
	c.result = backTest(c, p.Spells)
	return c
}

// changes lists what could be done about p, the best first.
func changes(p Pattern, r Rule) []change {
	switch {
	case heartbeat(p.Alert):
		return []change{route(p)}
	case p.NoData:
		return []change{absent(p)}
	}
	var all []change
	if strings.HasSuffix(p.Service, "-*") {
		all = append(all, exclude(p))
	}
	if s := StabilityOf(p.Spells); s.Hour >= 0 && s.Fired >= proposeFrom && s.Median > 30*time.Minute {
		all = append(all, mute(p, s.Hour))
	}
	return slices.Concat(all, longer(p, r), keeps(p), []change{threshold(p, r)})
}

// backTest plays c over what was recorded.
func backTest(c change, spells []Spell) BackTest {
	b := BackTest{Days: backTestDays, Tested: c.gone != nil}
	for _, f := range spells {
		gone := c.gone != nil && c.gone(f)
		switch {
		case f.real():
			b.Real++
			if gone {
				b.Hidden++
			}
		case f.Verdict == Noise:
			b.Noise++
			if gone {
				b.Removed++
			}
		}
	}
	return b
}

// heartbeat reports whether an alert is meant to fire always, or to mean
// nothing alone.
func heartbeat(alert string) bool {
	return slices.Contains([]string{"watchdog", "infoinhibitor", "deadmansswitch"}, strings.ToLower(alert))
}

// longer lets the rule wait: an alert that ends by itself sooner than the added
// time would not have fired. The shortest step that removes four of five comes
// first, then the one that removes most.
func longer(p Pattern, r Rule) []change {
	from, _ := p.window(r)
	var best, first []change
	most := 0
	for _, to := range windows() {
		if to < 2*from {
			continue
		}
		c := wait(p, r, from, to)
		b := backTest(c, p.Spells)
		switch {
		case b.Hidden > 0:
		case first == nil && b.Removed*ofFirings >= b.Noise*aPattern:
			first = []change{c}
		case b.Removed > most:
			most, best = b.Removed, []change{c}
		}
	}
	if StabilityOf(p.Spells).Ended == 0 && 2*from <= time.Hour { // no end is known: say so instead of testing
		c := wait(p, r, from, 2*from)
		c.gone = nil
		return []change{c}
	}
	return append(first, best...)
}

func wait(p Pattern, r Rule, from, to time.Duration) change {
	c := change{gone: func(f Spell) bool { return f.Lasted > 0 && f.Lasted < to-from }}
	span := fmt.Sprintf("from %d to %d minutes", int(from.Minutes()), int(to.Minutes()))
	_, c.note = p.window(r)
	switch p.system() {
	case prometheus:
		c.words = "raise `for` " + span
		c.diff = prometheusFor(p, from, to)
	case grafana:
		c.words = "raise the pending period " + span
		c.diff = grafanaFor(p, from, to)
	default:
		c.words = "increase the evaluation window " + span
		if !r.Anomaly {
			c.words += ", or switch to anomaly detection"
		}
		c.diff = signozWindow(p, r, from, to)
	}
	return c
}

// exclude takes a family of services out of the rule: they are noise each time.
func exclude(p Pattern) change {
	c := change{
		words: fmt.Sprintf("exclude %s in the rule", oneLine(p.Service)),
		diff:  excludeDiff(p),
		gone:  func(f Spell) bool { return Glob(p.Service, f.Service) },
	}
	if p.system() == prometheus {
		c.words = fmt.Sprintf("route it for %s to a receiver that tells nobody", oneLine(p.Service))
	}
	return c
}

// keeps lets an alert that comes and goes stand: what returns soon after the
// end of the one before is no new alert. The shortest span that removes half of
// the noise comes first.
func keeps(p Pattern) []change {
	if p.system() == signoz || !StabilityOf(p.Spells).Flapping() {
		return nil // SigNoz has no such setting
	}
	for _, span := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour} {
		c := keep(p, span)
		if b := backTest(c, p.Spells); b.Hidden == 0 && 2*b.Removed >= b.Noise {
			return []change{c}
		}
	}
	return nil
}

func keep(p Pattern, span time.Duration) change {
	merged := map[time.Time]bool{}
	for i, f := range p.Spells {
		for _, before := range p.Spells[:i] {
			if returned(before, f, span) {
				merged[f.StartedAt] = true
			}
		}
	}
	return change{
		words: fmt.Sprintf("let it stand for %d minutes after it ends, because it comes and goes", int(span.Minutes())),
		diff:  keepDiff(p, span),
		gone:  func(f Spell) bool { return merged[f.StartedAt] },
	}
}

// mute silences the hour in which the noise begins.
func mute(p Pattern, hour int) change {
	span := fmt.Sprintf("%02d:00 to %02d:00 UTC", hour, (hour+1)%24)
	return change{
		words: "mute it from " + span + ", when it always begins",
		diff:  muteDiff(p, hour),
		gone:  func(f Spell) bool { return f.StartedAt.UTC().Hour() == hour },
	}
}

// absent leaves silence to the alert that can tell a dead service from an idle
// one.
func absent(p Pattern) change {
	return change{words: "turn off the notification for missing data of this rule, or let it wait for 60 minutes", diff: absentDiff(p)}
}

// route keeps what must fire away from people.
func route(p Pattern) change {
	return change{
		words: "route it to a receiver that tells nobody: it fires by design",
		diff:  routeDiff(p),
		gone:  func(Spell) bool { return true },
	}
}

// threshold is left when time does not tell noise from what is real.
func threshold(p Pattern, r Rule) change {
	words := "switch to anomaly detection, or raise the threshold"
	if r.Anomaly || p.system() != signoz {
		words = "raise the threshold, or lower the severity so that it is read in working hours"
	}
	return change{
		words: words, diff: knownNoiseDiff(p),
		note: "By the record, no change of time alone removes this noise and keeps what was real. The diff hushes it here, until the rule is better.",
	}
}
