package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/secret"
)

// Deliveries is what a tool needs of the memory to use the window, the service
// and the cluster of an event.
type Deliveries interface {
	Claim(ctx context.Context, id runbook.DeliveryID, now time.Time) (runbook.Delivery, error)
	Alerts(ctx context.Context, id runbook.DeliveryID, limit int) ([]runbook.Occurrence, error)
}

// How far the window of an event reaches beyond its alerts.
const (
	afterEvent  = 15 * time.Minute // behind the end
	eventAtMost = 6 * time.Hour    // behind the start, while it fires
	maxPeriod   = 31 * runbook.Day
)

// PeriodArgs are the arguments of every tool that looks at a span of time.
type PeriodArgs struct {
	Since    string `json:"since,omitempty" jsonschema:"from when: 30m, 2h, 3d ago, or RFC 3339"`
	Until    string `json:"until,omitempty" jsonschema:"until when, written the same way; now if not given"`
	Delivery string `json:"delivery,omitempty" jsonschema:"an event, as d42: gives the window around its alerts, and the service and the cluster if these are not given; this claims it"`
}

// A period is a span of time in UTC.
type period struct{ from, to time.Time }

// String reads "2026-04-17 01:00:00Z to 2026-04-17 03:00:00Z (2 h)".
func (p period) String() string {
	return fmt.Sprintf("%s to %s (%s)", stamp(p.from), stamp(p.to), runbook.Short(p.to.Sub(p.from)))
}

// before is the period of that length that ends where p begins.
func (p period) before(d time.Duration) period { return period{p.from.Add(-d), p.from} }

// A scope is what a call is about. What comes of a delivery is foreign text.
type scope struct {
	period
	service, cluster, namespace string
	began                       time.Time // of the alert; zero without a delivery
}

// scope reads the arguments. Without any the period is the last otherwise;
// with a delivery it begins lead before its alerts.
func (in PeriodArgs) scope(ctx context.Context, d Deliveries, otherwise, lead time.Duration) (scope, error) {
	now := time.Now().UTC()
	s := scope{period: period{now.Add(-otherwise), now}}
	if in.Delivery != "" {
		if d == nil {
			return s, errors.New("this tool has no memory to look the delivery up in; give since and until")
		}
		if err := s.about(ctx, d, in.Delivery, now, lead); err != nil {
			return s, err
		}
	}
	for _, a := range []struct {
		name, text string
		into       *time.Time
	}{{"since", in.Since, &s.from}, {"until", in.Until, &s.to}} {
		if a.text == "" {
			continue
		}
		t, err := moment(a.text, now)
		if err != nil {
			return s, fmt.Errorf("%s: %w", a.name, err)
		}
		*a.into = t
	}
	if in.Since == "" && in.Until != "" && in.Delivery == "" {
		s.from = s.to.Add(-otherwise)
	}
	switch {
	case !s.from.Before(s.to):
		return s, fmt.Errorf("since %s is not before until %s", stamp(s.from), stamp(s.to))
	case s.to.Sub(s.from) > maxPeriod:
		return s, fmt.Errorf("the window is %s, want at most 31 days", runbook.Short(s.to.Sub(s.from)))
	}
	return s, nil
}

// about takes the window and the subject of a delivery, and claims it.
func (s *scope) about(ctx context.Context, d Deliveries, name string, now time.Time, lead time.Duration) error {
	delivery, err := claim(ctx, d, name)
	if err != nil {
		return err
	}
	alerts, err := d.Alerts(ctx, delivery.ID, historyAlerts)
	if err != nil {
		return err
	}
	began, ended := lifetime(delivery, alerts)
	s.began = began
	s.service, s.cluster, s.namespace = delivery.Service, delivery.Cluster, delivery.Namespace
	if s.service == runbook.Several {
		s.service = ""
	}
	s.from, s.to = began.Add(-lead), began.Add(eventAtMost)
	if !ended.IsZero() && ended.Add(afterEvent).Before(s.to) {
		s.to = ended.Add(afterEvent)
	}
	if s.to.After(now) {
		s.to = now
	}
	return nil
}

// lifetime is when the first alert of a delivery began, and when the last one
// ended; zero while one fires.
func lifetime(d runbook.Delivery, alerts []runbook.Occurrence) (began, ended time.Time) {
	firing := len(alerts) == 0
	for _, a := range alerts {
		start := a.StartsAt
		if start.IsZero() {
			start = a.ReceivedAt
		}
		if began.IsZero() || start.Before(began) {
			began = start
		}
		firing = firing || a.EndsAt.IsZero()
		if a.EndsAt.After(ended) {
			ended = a.EndsAt
		}
	}
	if began.IsZero() || began.After(d.CreatedAt.Add(time.Hour)) { // a sender with a wrong clock
		began = d.CreatedAt
	}
	if firing {
		ended = time.Time{}
	}
	return began.UTC(), ended.UTC()
}

// momentLayouts are how the tools write a moment, and how people do.
var momentLayouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05Z", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02"}

// moment reads a point in time: RFC 3339, or a span before now ("2h").
func moment(s string, now time.Time) (time.Time, error) {
	s = strings.TrimSpace(s)
	for _, layout := range momentLayouts {
		if t, err := time.ParseInLocation(layout, s, time.UTC); err == nil {
			return t.UTC(), nil
		}
	}
	d, err := window(strings.TrimSuffix(s, " ago"), 0)
	if err != nil {
		return now, fmt.Errorf("%q is no time; write it like 30m, 2h or 3d (before now), or 2026-04-17T03:00:00Z", oneLine(s, 40))
	}
	return now.Add(-d), nil
}

// relative reads "12 min before the alert began", "" if no alert is known.
func relative(t, began time.Time) string {
	if began.IsZero() || t.IsZero() {
		return ""
	}
	if d := began.Sub(t); d >= 0 {
		return runbook.Short(d) + " before the alert began"
	}
	return runbook.Short(t.Sub(began)) + " after the alert began"
}

// trailing is relative in brackets, with a space before it.
func trailing(t, began time.Time) string {
	if s := relative(t, began); s != "" {
		return " (" + s + ")"
	}
	return ""
}

// A service of the outside world is reached through these limits.
const (
	outsideTimeout = 20 * time.Second
	maxBody        = 16 << 20
)

// errWebPage says that something else than the API answered.
var errWebPage = errors.New("a web page came back instead of data")

// outside returns the HTTP client for an API: it sends what permit lets
// through, follows no redirect, since that would carry the token to wherever
// it points, and reads a bounded answer that is not a web page.
func outside(p permit) *http.Client {
	return &http.Client{
		Timeout:       outsideTimeout,
		Transport:     gate{plain{http.DefaultTransport}, p},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// A plain transport refuses web pages and bounds the answer.
type plain struct{ next http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (p plain) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := p.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 300 && strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		res.Body.Close() //nolint:errcheck // nothing was read that could be lost
		return nil, errWebPage
	}
	res.Body = http.MaxBytesReader(nil, res.Body, maxBody)
	return res, nil
}

// failure says what went wrong with a request to an outside service, and what
// to do. Status is 0 if there was no answer; hint tells of 403 and 404.
func failure(service, doing string, status int, hint string, err error) error {
	at := doing + " in " + service + ": "
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New(at + "the call was given up")
	case errors.Is(err, context.DeadlineExceeded) || timedOut(err):
		return errors.New(at + "no answer in time; it may be overloaded or unreachable, which may be a finding. Ask for a shorter window")
	case errors.Is(err, errWebPage):
		return errors.New(at + "a web page came back instead of data; the operator must check its address in watchkeeper.yaml, or a login proxy before it")
	case status == http.StatusUnauthorized:
		return errors.New(at + "the token is not accepted (401); a human must renew it, do not try again")
	case status == http.StatusForbidden:
		return errors.New(at + "the token may not do this (403); " + hint)
	case status == http.StatusNotFound:
		return errors.New(at + "not found (404); " + hint)
	case status == http.StatusTooManyRequests:
		return errors.New(at + "it is throttling (429); wait a minute and ask for less")
	case status >= 500:
		return fmt.Errorf("%sit is broken at the moment (%d: %s), which may be a finding; try again in a few minutes", at, status, oneLine(err.Error(), 200))
	case status >= 300 && status < 400:
		return fmt.Errorf("%sit points elsewhere (%d), and redirects are not followed; the address or the project's path in watchkeeper.yaml is out of date", at, status)
	case status >= 400:
		return fmt.Errorf("%sit did not accept the question (%d): %s", at, status, oneLine(err.Error(), 400))
	}
	return fmt.Errorf("%sit cannot be reached (%s), which may be a finding", at, oneLine(err.Error(), 200))
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

var (
	email      = regexp.MustCompile(`[\w.+%-]+@[\w-]+(?:\.[\w-]+)+`)
	assignment = regexp.MustCompile(`^(\s*[-+ ]?\s*(?:export\s+|- )?["']?([\w.-]+)["']?\s*[:=]\s*)(["']?)([^\s"']+)(["']?[,;]?\s*)$`)
)

// withoutPeople is oneLine without the addresses of people.
func withoutPeople(s string, limit int) string {
	return oneLine(email.ReplaceAllString(head(s, 4*limit+1024), "[e-mail]"), limit)
}

// codeLines makes a piece of code or configuration safe to show, line by line:
// without addresses, secrets and the values of telling settings.
func codeLines(text string, limit int) []string {
	text = email.ReplaceAllString(secret.Redact(text), "[e-mail]")
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, l := range lines {
		l = head(l, 4*limit+1024)
		if m := assignment.FindStringSubmatch(l); m != nil {
			l = m[1] + m[3] + redactValue(m[2], m[4]) + m[5]
		}
		lines[i] = clean(strings.TrimRight(l, " \t\r"), limit)
	}
	return lines
}

// byNewest sorts by a time, the latest first.
func byNewest[T any](list []T, at func(T) time.Time) {
	slices.SortStableFunc(list, func(a, b T) int { return at(b).Compare(at(a)) })
}

// limited is n within 1 and most, or otherwise if it is 0.
func limited(n, otherwise, most int) int { return min(max(cmp.Or(n, otherwise), 1), most) }
