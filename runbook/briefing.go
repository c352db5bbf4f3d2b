package runbook

import (
	"fmt"
	"strings"
	"time"
)

// A Briefing is the page that a fresh session starts with. Total is the sum
// of Noise, Real and AutoFixed; Escalated counts those of them that were
// escalated. Alerts without a verdict yet are in none of them.
type Briefing struct {
	Days                                     int
	Total, Noise, Real, AutoFixed, Escalated int
	Recurring                                []Recurring    // most frequent first
	Incidents                                []Incident     // real and auto-fixed, newest first
	Pending                                  []Escalation   // unacknowledged, oldest first
	Location                                 *time.Location // of the dates; nil is UTC
}

// A Recurring is an alert that was noise again and again on a service or a
// family of them.
type Recurring struct {
	Alert, Service string
	Times          int
}

// String renders the page, character for character as the mission has it. A
// section without lines is left out.
func (b Briefing) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "=== SRE Briefing — Last %d Days ===\n", b.Days)
	fmt.Fprintf(&s, "Total: %d alerts | %d noise | %d real | %d auto-fixed | %d escalated\n",
		b.Total, b.Noise, b.Real, b.AutoFixed, b.Escalated)
	section(&s, "Recurring noise (consider tuning):", b.Recurring, func(r Recurring) string {
		return fmt.Sprintf("%s | %dx", on(r.Alert, r.Service), r.Times)
	})
	section(&s, "Recent real incidents:", b.Incidents, func(i Incident) string {
		return fmt.Sprintf("[%s] %s — %s", b.date(i.DecidedAt), on(i.Alert, cmpOr(i.Service, i.Cluster)), i.ending())
	})
	section(&s, "Pending escalations (unacknowledged):", b.Pending, func(e Escalation) string {
		line := fmt.Sprintf("[%s] %s", b.date(e.OpenedAt), on(cmpOr(e.Alert, e.Title), cmpOr(e.Service, e.Cluster)))
		if e.Title != "" && e.Title != e.Alert {
			line += " — " + oneLine(e.Title)
		}
		return line
	})
	return s.String()
}

func section[T any](s *strings.Builder, title string, items []T, line func(T) string) {
	if len(items) == 0 {
		return
	}
	s.WriteString(title + "\n")
	for _, it := range items {
		s.WriteString("  - " + line(it) + "\n")
	}
}

func (b Briefing) date(t time.Time) string {
	loc := b.Location
	if loc == nil {
		loc = time.UTC
	}
	return t.In(loc).Format("Jan 2")
}

// ending says how a real incident ended, with its one-line summary.
func (i Incident) ending() string {
	how := "real"
	switch {
	case i.Verdict == AutoFixed:
		how = "auto-fixed"
	case i.Escalated:
		how = "escalated"
	}
	if i.Summary == "" {
		return how
	}
	return how + ": " + oneLine(i.Summary)
}

func on(alert, service string) string {
	if service == "" {
		return oneLine(alert)
	}
	return oneLine(alert) + " on " + oneLine(service)
}

// oneLine keeps what others wrote from forging lines of the page.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 160 {
		return string(r[:159]) + "…"
	}
	return s
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
