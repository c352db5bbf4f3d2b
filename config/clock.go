package config

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a small VM may have no zone files, and a wrong zone is a wrong night
)

// A Clock is a time of day in a time zone, written "04:00 Europe/Paris"; no
// zone means UTC. The zero Clock is midnight UTC.
type Clock struct {
	Hour, Minute int
	Location     *time.Location // nil is UTC
}

// Next returns the first instant after the given one at which the clock shows
// c. A time that the zone skips in spring is the moment of the jump, and one
// that it has twice in autumn is the first of the two: c comes once a day.
func (c Clock) Next(after time.Time) time.Time {
	year, month, day := after.In(c.location()).Date()
	// The day before covers a jump that carries it past midnight.
	for d := -1; ; d++ {
		if t := c.on(year, month, day+d); t.After(after) {
			return t
		}
	}
}

// on returns the instant of c on a day.
func (c Clock) on(year int, month time.Month, day int) time.Time {
	t := time.Date(year, month, day, c.Hour, c.Minute, 0, 0, c.location())
	start, end := t.ZoneBounds()
	if !c.shows(t) { // inside a gap, time.Date takes either side
		before := t.Hour()*60+t.Minute() < c.minutes()
		if before && !end.IsZero() {
			return end
		}
		return start
	}
	if start.IsZero() {
		return t
	}
	_, offset := t.Zone()
	_, earlier := start.Add(-time.Second).Zone()
	if first := t.Add(time.Duration(offset-earlier) * time.Second); first.Before(start) && c.shows(first) {
		return first
	}
	return t
}

func (c Clock) shows(t time.Time) bool { return t.Hour() == c.Hour && t.Minute() == c.Minute }

func (c Clock) minutes() int { return c.Hour*60 + c.Minute }

func (c Clock) location() *time.Location {
	if c.Location == nil {
		return time.UTC
	}
	return c.Location
}

func (c Clock) hhmm() string { return fmt.Sprintf("%02d:%02d", c.Hour, c.Minute) }

// String returns c as it is written in the file, with its zone.
func (c Clock) String() string { return c.hhmm() + " " + c.location().String() }

// MarshalText implements [encoding.TextMarshaler].
func (c Clock) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler], and so reads YAML too.
func (c *Clock) UnmarshalText(text []byte) error {
	at, zone, err := splitZone(string(text))
	if err != nil {
		return err
	}
	*c, err = parseClock(at, zone)
	return err
}

// Hours is a span of the day in a time zone, written "22:00-07:00
// Europe/Paris"; it may cross midnight. The zero Hours is never.
type Hours struct {
	From, To Clock // in the same zone; To is not in the span any more
	Set      bool
}

// Contains reports whether t is within h, by what the clock on the wall shows.
func (h Hours) Contains(t time.Time) bool {
	if !h.Set {
		return false
	}
	wall := t.In(h.From.location())
	now, from, to := wall.Hour()*60+wall.Minute(), h.From.minutes(), h.To.minutes()
	if from < to {
		return from <= now && now < to
	}
	return now >= from || now < to
}

// String returns h as it is written in the file, or "" for the zero Hours.
func (h Hours) String() string {
	if !h.Set {
		return ""
	}
	return h.From.hhmm() + "-" + h.To.hhmm() + " " + h.From.location().String()
}

// MarshalText implements [encoding.TextMarshaler].
func (h Hours) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler], and so reads YAML too.
// The empty text gives the zero Hours.
func (h *Hours) UnmarshalText(text []byte) error {
	if strings.TrimSpace(string(text)) == "" {
		*h = Hours{}
		return nil
	}
	span, zone, err := splitZone(string(text))
	if err != nil {
		return err
	}
	first, last, found := strings.Cut(span, "-")
	if !found {
		return errors.New("has no end")
	}
	from, err1 := parseClock(first, zone)
	to, err2 := parseClock(last, zone)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if from.minutes() == to.minutes() {
		return errors.New("starts and ends at the same time")
	}
	*h = Hours{From: from, To: to, Set: true}
	return nil
}

// splitZone separates the zone from what is before it; none is nil.
func splitZone(s string) (string, *time.Location, error) {
	at, name, found := strings.Cut(strings.TrimSpace(s), " ")
	if name = strings.TrimSpace(name); !found || name == "UTC" {
		return at, nil, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return "", nil, fmt.Errorf("names the unknown time zone %s", shown(name))
	}
	return at, zone, nil
}

// parseClock reads exactly "HH:MM".
func parseClock(s string, zone *time.Location) (Clock, error) {
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") {
		return Clock{}, fmt.Errorf("has no time of day in %s", shown(s))
	}
	return Clock{Hour: t.Hour(), Minute: t.Minute(), Location: zone}, nil
}
