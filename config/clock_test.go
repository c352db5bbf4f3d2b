package config_test

import (
	"errors"
	"testing"
	"time"

	"watchkeeper/config"
)

func clock(t *testing.T, s string) config.Clock {
	t.Helper()
	var c config.Clock
	if err := c.UnmarshalText([]byte(s)); err != nil {
		t.Fatalf("UnmarshalText(%q): %v", s, err)
	}
	return c
}

func hours(t *testing.T, s string) config.Hours {
	t.Helper()
	var h config.Hours
	if err := h.UnmarshalText([]byte(s)); err != nil {
		t.Fatalf("UnmarshalText(%q): %v", s, err)
	}
	return h
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestClockNext(t *testing.T) {
	tests := []struct {
		name, clock, after, want string
	}{
		{"later today", "04:00 UTC", "2026-11-24T03:59:59Z", "2026-11-24T04:00:00Z"},
		{"exactly now means tomorrow", "04:00", "2026-11-24T04:00:00Z", "2026-11-25T04:00:00Z"},
		{"in winter", "04:00 Europe/Paris", "2026-11-24T00:00:00Z", "2026-11-24T03:00:00Z"},
		{"in summer", "04:00 Europe/Paris", "2026-07-01T00:00:00Z", "2026-07-01T02:00:00Z"},
		{"the night of spring has 23 hours", "04:00 Europe/Paris", "2026-03-28T03:00:00Z", "2026-03-29T02:00:00Z"},
		{"the night of autumn has 25 hours", "04:00 Europe/Paris", "2026-10-24T02:00:00Z", "2026-10-25T03:00:00Z"},
		{"skipped in Paris: at the jump", "02:30 Europe/Paris", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"},
		{"skipped in New York: at the jump", "02:30 America/New_York", "2026-03-08T05:00:00Z", "2026-03-08T07:00:00Z"},
		{"the day after a jump is as usual", "02:30 Europe/Paris", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"},
		{"twice in Paris: the first", "02:30 Europe/Paris", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},
		{"twice in Paris: not the second", "02:30 Europe/Paris", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		{"twice in New York: the first", "01:30 America/New_York", "2026-11-01T04:00:00Z", "2026-11-01T05:30:00Z"},
		{"midnight that does not exist", "00:00 Africa/Cairo", "2026-04-23T12:00:00Z", "2026-04-23T22:00:00Z"},
		{"a day that does not exist", "12:00 Pacific/Apia", "2011-12-29T23:00:00Z", "2011-12-30T22:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := clock(t, tt.clock).Next(at(t, tt.after))
			if !got.Equal(at(t, tt.want)) {
				t.Errorf("Clock(%q).Next(%s) = %s, want %s", tt.clock, tt.after, got.UTC().Format(time.RFC3339), tt.want)
			}
		})
	}
}

func TestClockComesOnceADay(t *testing.T) {
	for _, zone := range []string{"UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"} {
		for _, hhmm := range []string{"00:00", "00:30", "01:30", "01:45", "02:00", "02:30", "23:30"} {
			c := clock(t, hhmm+" "+zone)
			next := c.Next(at(t, "2026-01-01T00:00:00Z"))
			for range 365 {
				last := next
				next = c.Next(last)
				if gap := next.Sub(last); gap < 22*time.Hour || gap > 26*time.Hour {
					t.Errorf("%v: %s follows %s by %s", c, next, last, gap)
				}
			}
		}
	}
}

func TestHoursContains(t *testing.T) {
	tests := []struct {
		name, hours, t string
		want           bool
	}{
		{"the first minute is in", "22:00-07:00 Europe/Paris", "2026-11-24T21:00:00Z", true},
		{"before it", "22:00-07:00 Europe/Paris", "2026-11-24T20:59:59Z", false},
		{"after midnight", "22:00-07:00 Europe/Paris", "2026-11-24T02:00:00Z", true},
		{"the end is out", "22:00-07:00 Europe/Paris", "2026-11-24T06:00:00Z", false},
		{"the zone has its summer", "22:00-07:00 Europe/Paris", "2026-07-01T05:30:00Z", false},
		{"within a day", "12:00-13:00", "2026-07-01T12:30:00Z", true},
		{"outside within a day", "12:00-13:00 UTC", "2026-07-01T13:00:00Z", false},
		{"none is never", "", "2026-07-01T00:00:00Z", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := hours(t, tt.hours).Contains(at(t, tt.t)); got != tt.want {
				t.Errorf("Hours(%q).Contains(%s) = %t, want %t", tt.hours, tt.t, got, tt.want)
			}
		})
	}
}

func TestClockAndHoursReadBackWhatTheyWrite(t *testing.T) {
	for in, want := range map[string]string{"04:00": "04:00 UTC", "23:59 Europe/Paris": "23:59 Europe/Paris", "00:00  UTC ": "00:00 UTC"} {
		if got := clock(t, in).String(); got != want || clock(t, got).String() != want {
			t.Errorf("Clock(%q).String() = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"": "", "22:00-07:00": "22:00-07:00 UTC", "01:00-02:00 Asia/Tokyo": "01:00-02:00 Asia/Tokyo"} {
		if got := hours(t, in).String(); got != want || hours(t, got).String() != want {
			t.Errorf("Hours(%q).String() = %q, want %q", in, got, want)
		}
	}
	for _, bad := range []string{"", "4:00", "24:00", "04:60", "04:00:00", "04:00 ../../etc/passwd", "04:00 Europe/Paris x"} {
		var c config.Clock
		if err := c.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("UnmarshalText(%q) = %v, want an error", bad, c)
		}
	}
}

func TestIntervalsAndDelaysReadBackWhatTheyWrite(t *testing.T) {
	for in, want := range map[string]time.Duration{"10m": 10 * time.Minute, "2h": 2 * time.Hour, "1h5m": 65 * time.Minute, "90m": 90 * time.Minute} {
		var i config.Interval
		var d config.Delay
		if err := errors.Join(i.UnmarshalText([]byte(in)), d.UnmarshalText([]byte(in))); err != nil || time.Duration(i) != want || time.Duration(d) != want {
			t.Errorf("UnmarshalText(%q) = %v and %v, %v, want %s", in, i, d, err, want)
		}
		var again config.Delay
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("Delay(%q) writes %q, which reads as %v, %v", in, d, again, err)
		}
	}
	var d config.Delay
	if err := d.UnmarshalText([]byte("never")); err != nil || d != config.Never || d.String() != "never" {
		t.Errorf("never reads as %v, %v", d, err)
	}
	for _, bad := range []string{"", "0m", "10", "10s", "1.5h", "-10m", "m", "1h60m", "10 m", "99999m"} {
		var i config.Interval
		if err := i.UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("UnmarshalText(%q) = %v, want an error", bad, i)
		}
	}
}
