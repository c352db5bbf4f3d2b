package runbook

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Spell is what is remembered of one firing of an alert when its pattern is
// looked at.
type Spell struct {
	Delivery  DeliveryID
	Service   string
	Cluster   string
	StartedAt time.Time     // UTC
	Lasted    time.Duration // 0 if the sender never said when it ended
	Verdict   Verdict       // "" if undecided
	Escalated bool
	Flaps     int // times it resolved and came back while it was looked at
}

// healed reports whether a firing went away without anybody's help.
func (f Spell) healed() bool {
	return f.Lasted > 0 && f.Verdict != Real && f.Verdict != AutoFixed && !f.Escalated
}

// real reports whether a firing was worth an alert.
func (f Spell) real() bool { return f.Verdict == Real || f.Verdict == AutoFixed || f.Escalated }

// Stability sums up how an alert comes and goes.
type Stability struct {
	Fired      int           // firings
	Ended      int           // those of them whose end is known
	SelfHealed int           // those that ended without anybody's help
	Median     time.Duration // of those that ended; 0 if none did
	Longest    time.Duration // of those that healed by themselves
	Flaps      int           // resolved and came back at once
	Returned   int           // began within an hour after the one before had ended
	Hour       int           // UTC hour in which most began, -1 if they are spread over the day
}

// Flapping reports whether an alert comes and goes instead of standing: at
// least half of its firings are returns of the one before.
func (s Stability) Flapping() bool { return s.Fired >= 4 && 2*(s.Flaps+s.Returned) >= s.Fired }

// StabilityOf counts over spells, in any order.
func StabilityOf(spells []Spell) Stability {
	sorted := slices.SortedFunc(slices.Values(spells), func(a, b Spell) int { return a.StartedAt.Compare(b.StartedAt) })
	s := Stability{Fired: len(sorted), Hour: -1}
	var ended []time.Duration
	var hours [24]int
	for i, f := range sorted {
		s.Flaps += f.Flaps
		hours[f.StartedAt.UTC().Hour()]++
		if f.Lasted > 0 {
			ended = append(ended, f.Lasted)
		}
		if f.healed() {
			s.SelfHealed++
			s.Longest = max(s.Longest, f.Lasted)
		}
		if i > 0 && returned(sorted[i-1], f, time.Hour) {
			s.Returned++
		}
	}
	s.Ended = len(ended)
	if len(ended) > 0 {
		slices.Sort(ended)
		s.Median = ended[len(ended)/2]
	}
	for h, n := range hours {
		if n >= 3 && 5*n >= 4*len(sorted) {
			s.Hour = h
		}
	}
	return s
}

// returned reports whether b began within a span after a had ended, on the same
// service.
func returned(a, b Spell, within time.Duration) bool {
	if a.Lasted == 0 || a.Service != b.Service || a.Cluster != b.Cluster {
		return false
	}
	gap := b.StartedAt.Sub(a.StartedAt.Add(a.Lasted))
	return gap >= 0 && gap < within
}

// String reads "12 firings; 11 healed by themselves within 4 min (half of them
// within 2 min); flapping".
func (s Stability) String() string {
	parts := []string{plural(s.Fired, "firing")}
	switch {
	case s.SelfHealed > 0:
		parts = append(parts, fmt.Sprintf("%d healed by themselves within %s (half of all within %s)", s.SelfHealed, Short(s.Longest), Short(s.Median)))
	case s.Fired > 0 && s.Ended == 0:
		parts = append(parts, "no end was recorded")
	}
	if s.Flapping() {
		parts = append(parts, fmt.Sprintf("flapping: %s", plural(s.Flaps+s.Returned, "return")))
	}
	if s.Hour >= 0 {
		parts = append(parts, fmt.Sprintf("mostly between %02d:00 and %02d:00 UTC", s.Hour, (s.Hour+1)%24))
	}
	return strings.Join(parts, "; ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
