package config

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"watchkeeper/runbook"
)

// A check is a rule that a scalar must keep; a check tag names it. In a list
// or a mapping it holds for each member.
type check struct {
	kind    string            // what it is, for the reference
	want    string            // completes "…; want "
	ok      func(string) bool // nil for the numbers, which have min
	pattern string            // the same for editors, as far as a pattern can say it; "" if it cannot
	enum    []string          // all values; empty if there are too many
	min     int               // of a number
	private bool              // the value may hold a password: not shown in errors
}

// checkOf returns the rule with that name. A name without a rule allows
// everything.
func checkOf(name string) check {
	switch name {
	case "address":
		return check{kind: "host:port", want: "host:port, as in 127.0.0.1:8788", ok: validAddress}
	case "env":
		return oneOf(string(runbook.Prod), string(runbook.Dev))
	case "mode":
		return oneOf("auto", "channels", "stream", "responder")
	case "url":
		return check{
			kind: "URL", want: "an http or https URL without a user", private: true, pattern: "^(https?://.*)?$",
			ok: func(s string) bool { return s == "" || validURL(s) },
		}
	case "required_url":
		return check{kind: "URL", want: "an http or https URL without a user", private: true, pattern: "^https?://", ok: validURL}
	case "slack_user":
		return matching("Slack user ID", "a Slack user ID such as U0123AB4CD (in Slack: profile, Copy member ID)", `^([UW][A-Z0-9]{4,})?$`)
	case "name":
		return matching("name", "letters, digits, dots, dashes and underscores, at most 63", `^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	case "source":
		return matching("name of a sender", "a sender as its path ends, in lower case: letters, digits, - and _, at most 40", `^[a-z0-9][a-z0-9_-]{0,39}$`)
	case "project":
		return matching("project path", "a project path such as group/project", `^[\w.-]+(/[\w.-]+)+$`)
	case "header":
		return matching("header", "the name of an HTTP header", `^[A-Za-z0-9-]+$`)
	case "optional_header":
		return matching("header", "the name of an HTTP header", `^[A-Za-z0-9-]*$`)
	case "some":
		return check{
			kind: "text", want: "a text that is not empty", pattern: `\S`,
			ok: func(s string) bool { return strings.TrimSpace(s) != "" },
		}
	case "glob":
		return check{
			kind: "glob", want: `a glob such as "tenant-test-*"`, pattern: ".",
			ok: func(s string) bool { return s != "" && runbook.ValidGlob(s) == nil },
		}
	case "positive":
		return check{kind: "number", want: "a number from 1", min: 1}
	case "days":
		return check{kind: "days", want: "a number of days from 1", min: 1}
	case "month":
		return check{kind: "days", want: "a number of days from 31", min: 31}
	case "count":
		return check{kind: "number", want: "a number from 0"}
	}
	return check{ok: func(string) bool { return true }}
}

func oneOf(words ...string) check {
	want := "one of " + strings.Join(words, ", ")
	return check{
		kind: strings.Join(words, ", "), want: want, enum: words,
		ok: func(s string) bool { return slices.Contains(words, s) },
	}
}

func matching(kind, want, pattern string) check {
	return check{kind: kind, want: want, pattern: pattern, ok: regexp.MustCompile(pattern).MatchString}
}

func validAddress(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil || strings.ContainsAny(host, " /@") {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func validURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		u.User == nil && u.RawQuery == "" && u.Fragment == ""
}

// loopback reports whether only this machine can reach a listener on address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
