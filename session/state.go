package session

import (
	"cmp"
	"context"
	"time"
)

// A Phase is what the [Supervisor] is at.
type Phase string

// Starting lasts until the model has answered for the first time; Up takes
// pushes; Draining finishes its work and takes none; Waiting has no session
// until RetryAt; Stopped is before and after Run.
const (
	Starting Phase = "starting"
	Up       Phase = "up"
	Draining Phase = "draining"
	Waiting  Phase = "waiting"
	Stopped  Phase = "stopped"
)

// A Cause is why a session ended.
type Cause string

// Causes. With LoggedOut, OutOfQuota and NoCLI no session can work until
// something outside changes; Failing is the API, which answers with errors.
const (
	Ended      Cause = "ended"        // it was asked for: shutdown
	Restarted  Cause = "restarted"    // it was asked for: a fresh start
	Crashed    Cause = "crashed"      // the process ended by itself
	Hung       Cause = "hung"         // the CLI answers nothing, or reads nothing
	Deaf       Cause = "deaf"         // the model is idle while nobody claims what was pushed to it
	Stuck      Cause = "stuck"        // work is under way and nothing comes of it
	Failing    Cause = "failing"      // turn after turn ended in an error of the API
	LoggedOut  Cause = "logged_out"   // no login, or one that is refused
	OutOfQuota Cause = "out_of_quota" // usage limit, rate limit or no credit
	NoCLI      Cause = "no_cli"       // the program cannot be started
	NoChannels Cause = "no_channels"  // the CLI does not take our servers as channels
)

// An End is how a session ended. It is an error so that it can be the cause of
// a context.
type End struct {
	Cause   Cause
	Detail  string    // for people; may be ""
	RetryAt time.Time // UTC; when the limit resets; zero if nobody said
}

// Error implements error.
func (e End) Error() string {
	if e.Detail == "" {
		return string(e.Cause)
	}
	return string(e.Cause) + ": " + e.Detail
}

// A State is what is known of the session at a moment.
type State struct {
	Phase   Phase
	Cause   Cause     // why the last session ended; "" from the moment a new one is Up
	Detail  string    // of the Cause
	Since   time.Time // UTC; when Phase began
	RetryAt time.Time // UTC; zero unless Waiting

	Mode    string // "stream" or "channels"; "" while no process runs
	Session int64  // number in the store; 0 while no process runs
	PID     int    // 0 while no process runs
	ID      string // the CLI's own identifier of the session
	Model   string

	Busy       bool      // the model works on a turn
	Running    []Task    // sub-agents in the background
	Context    int       // tokens that the last turn sent
	Cost       float64   // US dollars so far, as the CLI counts
	LastOutput time.Time // UTC; zero before the first
}

// Idle reports whether nothing is under way.
func (s State) Idle() bool { return !s.Busy && len(s.Running) == 0 }

// A Store is what the [Supervisor] writes down.
type Store interface {
	// StartSession numbers a session of a process.
	StartSession(ctx context.Context, mode string, pid int) (int64, error)
	// EndSession records why it ended.
	EndSession(ctx context.Context, id int64, reason string) error
	// Beat says that name is alive.
	Beat(ctx context.Context, name, detail string) error
}

// causeOf says what an error code of the API means for the session; "" if the
// session can go on.
func causeOf(code string) Cause {
	switch code {
	case "authentication_failed", "oauth_org_not_allowed", "account_on_hold", "verification_required", "cloud_credential_error":
		return LoggedOut
	case "rate_limit", "billing_error":
		return OutOfQuota
	}
	return ""
}

// endOf is the End that a failure of the API calls for; false if the session
// can go on.
func endOf(code, text string, limit Limit, now time.Time) (End, bool) {
	cause := causeOf(code)
	if cause == "" {
		return End{}, false
	}
	end := End{Cause: cause, Detail: cmp.Or(text, code)}
	if cause == OutOfQuota && limit.Rejected && limit.Resets.After(now) {
		end.RetryAt = limit.Resets
	}
	return end, true
}
