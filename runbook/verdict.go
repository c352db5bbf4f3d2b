package runbook

import (
	"fmt"
	"strings"
	"time"
)

// A Verdict is how an investigation ended. "" is undecided.
type Verdict string

// The verdicts.
const (
	Noise     Verdict = "noise"
	Real      Verdict = "real"
	AutoFixed Verdict = "auto_fixed"
)

// ParseVerdict reads a verdict; case, surrounding space and "auto-fixed" are
// forgiven.
func ParseVerdict(s string) (Verdict, error) {
	v := Verdict(strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), "-", "_"))
	switch v {
	case Noise, Real, AutoFixed:
		return v, nil
	}
	return "", fmt.Errorf("unknown verdict %q, want noise, real or auto_fixed", s)
}

// An Incident is the record of one decided delivery.
type Incident struct {
	ID        int64
	Delivery  DeliveryID
	Verdict   Verdict
	Escalated bool
	Summary   string // one line for the briefing
	RootCause string // "" if unknown
	Actions   string // what was done; "" for nothing
	Evidence  string // what was seen, with references
	DecidedBy string // "session", "responder", or a Slack user ID
	DecidedAt time.Time

	// Copied from the delivery, so that the record outlives the raw events.
	Alert, Service, Cluster, Namespace string
	Env                                Env
	Severity                           Severity
	StartedAt                          time.Time // of the first alert
	EndedAt                            time.Time // of the last; zero if it still fires
	Alerts                             int
}
