package config

import (
	"errors"
	"regexp"
	"strconv"
	"time"
)

// An Interval is a length of time in whole minutes, written "10m", "2h" or
// "1h30m"; it is at least a minute.
type Interval time.Duration

// String returns i as it is written in the file.
func (i Interval) String() string {
	hours, minutes := int(time.Duration(i).Hours()), int(time.Duration(i).Minutes())%60
	switch {
	case hours == 0:
		return strconv.Itoa(minutes) + "m"
	case minutes == 0:
		return strconv.Itoa(hours) + "h"
	}
	return strconv.Itoa(hours) + "h" + strconv.Itoa(minutes) + "m"
}

// MarshalText implements [encoding.TextMarshaler].
func (i Interval) MarshalText() ([]byte, error) { return []byte(i.String()), nil }

// intervalPattern allows up to a few weeks.
const intervalPattern = `([1-9][0-9]{0,2}h([0-5]?[0-9]m)?|[1-9][0-9]{0,3}m)`

var interval = regexp.MustCompile("^" + intervalPattern + "$")

// UnmarshalText implements [encoding.TextUnmarshaler], and so reads YAML too.
func (i *Interval) UnmarshalText(text []byte) error {
	if !interval.Match(text) {
		return errors.New("is no length of time")
	}
	d, err := time.ParseDuration(string(text))
	*i = Interval(d)
	return err
}

// A Delay is an Interval after which something happens once, or "never".
type Delay time.Duration

// Never is the Delay of what does not happen.
const Never Delay = -1

const never = "never"

// String returns d as it is written in the file.
func (d Delay) String() string {
	if d == Never {
		return never
	}
	return Interval(d).String()
}

// MarshalText implements [encoding.TextMarshaler].
func (d Delay) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler], and so reads YAML too.
func (d *Delay) UnmarshalText(text []byte) error {
	if string(text) == never {
		*d = Never
		return nil
	}
	return (*Interval)(d).UnmarshalText(text)
}
