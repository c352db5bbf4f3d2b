package runbook

import (
	"fmt"
	"slices"
	"time"
)

// A Write is one change to a cluster that somebody wants to make. It is in the
// audit before anything is sent.
type Write struct {
	ID       int64  // 0 until it began
	Action   string // one of [Actions]
	Target   string // cluster/namespace/kind/name
	Actor    string // "session", "responder", "human:U0123"
	Reason   string // redacted
	Delivery DeliveryID

	// The object as it was looked at. A confirmation holds for this state only.
	UID, Version string
	Confirm      string // token of the confirmation that it needs; "" if it needs none

	// Once says that it must be the only one for its delivery, as on production
	// unless a person asked for it: what one act did not mend, a person should.
	Once bool
}

// An Outcome is how a write ended; "" while it runs.
type Outcome string

// Outcomes. WriteUnknown is neither a success nor a failure: it was sent, and
// nobody saw it through.
const (
	WriteOK      Outcome = "ok"
	WriteFailed  Outcome = "failed"
	WriteUnknown Outcome = "unknown"
)

// A PastWrite is a write that began, as the audit has it.
type PastWrite struct {
	ID             int64
	Action, Target string
	Delivery       DeliveryID // 0 if none was named
	At             time.Time  // UTC, when it began
	EndedAt        time.Time  // UTC; zero while it runs, or if whoever ran it died
	Outcome        Outcome
}

// WriteLimits bounds what is written to all clusters together. 0 of the first
// two means nothing at all.
type WriteLimits struct {
	PerHour          int
	PerTargetPerHour int
}

// The circuit breaker: that many failures in a row stop all writes for a while.
const (
	FailuresInARow = 3
	BreakerPause   = 30 * time.Minute
	WriteTakes     = 3 * time.Minute // at most; one that has no end by then has lost its process
	ConfirmWithin  = 5 * time.Minute // from the first call to the second
	WriteMemory    = 24 * time.Hour  // how far back the rules look
)

// A WriteDenied says why a write must not begin now.
type WriteDenied struct {
	Why     string
	Until   time.Time // UTC; when it may be tried again, zero if waiting does not help
	Running int64     // the write of the same target that is under way; 0 if there is none
	Earlier int64     // the write that was made for the same delivery; 0 if that is not why
}

// Error implements error.
func (d *WriteDenied) Error() string {
	if d.Until.IsZero() {
		return d.Why
	}
	return fmt.Sprintf("%s; not before %s", d.Why, d.Until.UTC().Format("15:04:05Z"))
}

// Allow reports whether w may begin at now: nil, or a [*WriteDenied]. past are
// the writes of the last WriteMemory in any order.
func (l WriteLimits) Allow(w Write, past []PastWrite, now time.Time) error {
	past = slices.SortedFunc(slices.Values(past), func(a, b PastWrite) int { return b.At.Compare(a.At) }) // newest first
	for _, p := range past {
		if p.Target == w.Target && p.running(now) {
			return &WriteDenied{Why: fmt.Sprintf("%s of %s is under way since %s", p.Action, p.Target, p.At.UTC().Format("15:04:05Z")), Running: p.ID}
		}
	}
	for _, p := range past {
		if w.Once && p.Delivery == w.Delivery {
			return &WriteDenied{Why: fmt.Sprintf("%s of %s was done for %s at %s, and a second act for one event is not made on production", p.Action, p.Target, w.Delivery, p.At.UTC().Format("15:04:05Z")), Earlier: p.ID}
		}
	}
	if until := brokenUntil(past); until.After(now) {
		return &WriteDenied{Why: fmt.Sprintf("the last %d writes failed, so all writes are stopped", FailuresInARow), Until: until}
	}
	all := func(PastWrite) bool { return true }
	same := func(p PastWrite) bool { return p.Target == w.Target }
	if err := within(past, all, l.PerHour, now, "all clusters together"); err != nil {
		return err
	}
	return within(past, same, l.PerTargetPerHour, now, w.Target)
}

func (p PastWrite) running(now time.Time) bool {
	return p.Outcome == "" && now.Sub(p.At) < WriteTakes
}

// brokenUntil returns when the breaker closes again; the zero time if it is
// closed. past is newest first.
func brokenUntil(past []PastWrite) time.Time {
	var last time.Time
	failures := 0
	for _, p := range past {
		if p.Outcome == WriteOK {
			break
		}
		if p.Outcome != WriteFailed {
			continue
		}
		failures++
		if last.IsZero() {
			last = p.EndedAt
		}
	}
	if failures < FailuresInARow {
		return time.Time{}
	}
	return last.Add(BreakerPause)
}

// within counts the writes of the last hour. past is newest first.
func within(past []PastWrite, counts func(PastWrite) bool, limit int, now time.Time, where string) error {
	var hour []PastWrite
	for _, p := range past {
		if counts(p) && now.Sub(p.At) < time.Hour {
			hour = append(hour, p)
		}
	}
	switch {
	case limit <= 0:
		return &WriteDenied{Why: "the operator allows no writes (policy.writes in watchkeeper.yaml)"}
	case len(hour) >= limit:
		return &WriteDenied{Why: fmt.Sprintf("%d writes in an hour are allowed for %s, and that many were made", limit, where), Until: hour[limit-1].At.Add(time.Hour)}
	}
	return nil
}
