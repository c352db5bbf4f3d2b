package runbook

import (
	"fmt"
	"strings"
	"time"
)

// Windows over which a History counts.
const (
	Day   = 24 * time.Hour
	Week  = 7 * Day
	Month = 30 * Day
)

// A Tally counts occurrences of one window by how they ended. Total counts
// the undecided ones too.
type Tally struct {
	Total, Noise, Real, AutoFixed, Escalated int
}

// A History answers "has this fired before?" for one alert on one service and
// cluster, and for the family of services it belongs to.
type History struct {
	Alert, Service, Cluster string
	Family                  string // see [Family]; equal to Service if it has no suffix

	Day, Week, Fortnight, Month Tally // of exactly this service, up to now, the current one included
	FamilyWeek, FamilyMonth     Tally // of the family, the service itself included

	Recent []Past // newest first, at most 10, the current delivery excluded
}

// A Past is an earlier occurrence with its end.
type Past struct {
	Delivery  DeliveryID
	Service   string
	StartedAt time.Time
	Lasted    time.Duration // 0 if unknown or still firing
	Verdict   Verdict       // "" if undecided
	Escalated bool
	DecidedBy string
	Summary   string
	RootCause string
	Actions   string
}

// LastVerdict is the newest verdict in Recent, or "".
func (h History) LastVerdict() Verdict {
	for _, p := range h.Recent {
		if p.Verdict != "" {
			return p.Verdict
		}
	}
	return ""
}

// Line is the first line of an event: what this alert did before, in at most
// some 150 characters.
func (h History) Line() string {
	if len(h.Recent) == 0 { // two pods of one event are no second time
		line := "First time in 30 days"
		if h.FamilyMonth.Total > h.Month.Total {
			line += fmt.Sprintf(" on %s; %d on %s", orSome(h.Service), h.FamilyMonth.Total-h.Month.Total, h.Family)
		}
		return line + "."
	}
	n, days := h.Fortnight.Total, 14
	if n <= 1 {
		n, days = h.Month.Total, 30
	}
	parts := []string{fmt.Sprintf("%s in %d days", Ordinal(n), days)}
	if s := h.Week.split(); s != "" {
		parts = append(parts, "7 days: "+s)
	}
	if s := h.healing(); s != "" {
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ") + "."
}

// split says how the decided ones of a window ended.
func (t Tally) split() string {
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{{t.Noise, "noise"}, {t.Real, "real"}, {t.AutoFixed, "auto-fixed"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	return strings.Join(parts, ", ")
}

// healing says whether the latest ones went away without anybody's help.
func (h History) healing() string {
	n, longest := 0, time.Duration(0)
	for _, p := range h.Recent {
		if p.Lasted <= 0 || p.Verdict == AutoFixed || p.Verdict == Real || p.Escalated {
			break
		}
		n, longest = n+1, max(longest, p.Lasted)
	}
	switch n {
	case 0:
		return ""
	case 1:
		return "the last one healed by itself within " + Short(longest)
	}
	return fmt.Sprintf("the last %d healed by themselves within %s", n, Short(longest))
}

// Ordinal writes 1st, 2nd, 3rd, 4th, 11th, 21st ….
func Ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}

// Short writes a duration for people, rounded up to the unit that matters:
// "40 s", "4 min", "3 h", "2 days".
func Short(d time.Duration) string {
	up := func(unit time.Duration) int64 { return int64((d + unit - 1) / unit) }
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", up(time.Second))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", up(time.Minute))
	case d < 2*Day:
		return fmt.Sprintf("%d h", up(time.Hour))
	}
	return fmt.Sprintf("%d days", up(Day))
}

func orSome(service string) string {
	if service == "" {
		return "no named service"
	}
	return service
}
