package runbook

import (
	"strings"
	"time"
)

// A Status says whether the sender holds an alert to be true.
type Status string

// The two states that a sender reports.
const (
	Firing   Status = "firing"
	Resolved Status = "resolved"
)

// A Severity is a sender's word for urgency, folded into four.
type Severity string

// Severities, worst first. SeverityUnknown is handled like SeverityWarning.
const (
	Critical        Severity = "critical"
	Warning         Severity = "warning"
	Info            Severity = "info"
	SeverityUnknown Severity = "unknown"
)

// severities maps what senders write to our four words. SigNoz uses the name
// of the threshold, so anything can arrive; a word that is not here is
// SeverityUnknown.
var severities = map[string]Severity{
	"critical": Critical, "crit": Critical, "fatal": Critical, "emergency": Critical, "emerg": Critical,
	"page": Critical, "disaster": Critical, "sev0": Critical, "sev1": Critical, "p0": Critical, "p1": Critical,
	"error": Critical, "err": Critical, "high": Critical, "major": Critical,
	"warning": Warning, "warn": Warning, "medium": Warning, "minor": Warning, "average": Warning,
	"sev2": Warning, "sev3": Warning, "p2": Warning, "p3": Warning, "ticket": Warning,
	"info": Info, "information": Info, "informational": Info, "notice": Info, "none": Info, "low": Info,
	"debug": Info, "sev4": Info, "sev5": Info, "p4": Info, "p5": Info, "ok": Info,
}

// ParseSeverity folds a sender's word; case and surrounding space do not
// matter.
func ParseSeverity(s string) Severity {
	if sev, ok := severities[strings.ToLower(strings.TrimSpace(s))]; ok {
		return sev
	}
	return SeverityUnknown
}

// Rank orders severities: 0 is the worst. SeverityUnknown ranks beside
// Warning, because it may be anything.
func (s Severity) Rank() int {
	switch s {
	case Critical:
		return 0
	case Info:
		return 2
	default:
		return 1
	}
}

// An Env is the kind of cluster an alert comes from.
type Env string

// Environments. EnvUnknown is treated as Prod wherever it matters.
const (
	Prod       Env = "prod"
	Dev        Env = "dev"
	EnvUnknown Env = "unknown"
)

// ParseEnv folds a label such as "production" or "staging". Everything that is
// not production and has a common name counts as Dev.
func ParseEnv(s string) Env {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "prod", "production", "prd", "live":
		return Prod
	case "dev", "development", "test", "testing", "qa", "uat", "sandbox", "staging", "stage", "stg", "preview", "local":
		return Dev
	}
	return EnvUnknown
}

// Strict reports whether production rules apply.
func (e Env) Strict() bool { return e != Dev }

// An Alert is one alert of one sender at one moment, after normalising. Text
// in it was written by whoever can reach a service, and is not trusted.
type Alert struct {
	Source       string    // who sent it: "signoz", "alertmanager", "grafana" or the path's name
	Fingerprint  string    // the sender's identity of the label set, or our hash of it
	StartsAt     time.Time // UTC, nanoseconds kept: part of the identity; zero if the sender gave none
	EndsAt       time.Time // UTC; zero while firing
	Status       Status
	Name         string
	Severity     Severity
	SeverityRaw  string // as sent; "" if there was none
	Service      string // "" if nothing names one
	Cluster      string // a configured name where the label or an alias matches, else the label; "" if none
	Namespace    string
	Env          Env
	Labels       map[string]string
	Annotations  map[string]string
	GeneratorURL string
	NoData       bool   // the sender lost its data: nothing is known to be wrong, or right
	Test         bool   // somebody pressed a test button
	Heartbeat    bool   // it always fires and only shows that monitoring lives: no event, the memory keeps when it was last seen
	Unrecognised bool   // well-formed JSON of no known format; Body holds it
	Body         string // of an unrecognised alert, cut to 16 KiB; else ""
}

// A Batch is what one webhook request carried.
type Batch struct {
	Source     string
	Format     string    // "alertmanager", "signoz", "grafana" or "unrecognised"
	GroupKey   string    // the sender's grouping; "" if there is none
	Truncated  int       // alerts that the sender left out of the body
	ReceivedAt time.Time // UTC
	Alerts     []Alert
}

// A Receipt says what became of a [Batch].
type Receipt struct {
	Accepted   int // new occurrences, and changes of state of known ones
	Duplicates int // repetitions of what was known already
}

// An Occurrence is one firing of one alert, from its start to its end, as the
// memory keeps it. Its identity is (Source, Fingerprint, StartsAt).
type Occurrence struct {
	ID int64
	Alert
	Count      int       // how often the sender sent this firing; 1 for the first time
	Flaps      int       // how often it resolved and came back while its delivery was open
	ReceivedAt time.Time // UTC, millisecond precision
	Delivery   DeliveryID
	State      DeliveryState // of its delivery
	Verdict    Verdict       // "" until decided
	Escalated  bool
}

// Duration is how long the firing lasted, or 0 while it lasts or when the
// sender gave no end.
func (o Occurrence) Duration() time.Duration {
	if o.EndsAt.IsZero() || o.EndsAt.Before(o.StartsAt) {
		return 0
	}
	return o.EndsAt.Sub(o.StartsAt)
}
