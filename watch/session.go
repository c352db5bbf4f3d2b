package watch

import (
	"context"
	"fmt"
	"strings"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

const (
	// downAfter is how long a session may be away: a restart takes a minute, and
	// its end is waited for.
	downAfter = 5 * time.Minute
	// hopelessAfter is the same when it cannot come back by itself.
	hopelessAfter = 90 * time.Second
	// keptWithin is how old the keeper's sign may be.
	keptWithin = 2 * time.Minute
	// aliveWithin is how old a sign of the session may be.
	aliveWithin = 2 * time.Minute
)

// A Session expects that one is on duty.
type Session struct {
	StandIn bool // the responder triages meanwhile, so that nobody has to be woken
}

// Look implements [Check].
func (s Session) Look(_ context.Context, m Moment) ([]Finding, error) {
	f := Finding{
		Key: "session", Since: m.silence(sqlite.SessionSign), Severity: runbook.Critical, Ours: !s.StandIn,
		Title:   "no session is on duty",
		Impact:  "Nobody investigates alerts. They are kept, and each is paged about 9 minutes after it came.",
		Default: "I go on trying.",
	}
	if s.StandIn {
		f.Severity = runbook.Warning
		f.Impact = "The responder triages without a model: it dismisses what is known noise or has provably recovered, escalates the rest, and changes nothing."
	}
	cause := f.ask(m)
	patience := downAfter
	if _, ok := remedies()[cause]; ok {
		patience = hopelessAfter
	}
	if m.Now.Sub(f.Since) <= patience {
		return nil, nil
	}
	return []Finding{f}, nil
}

// ask says in f what the keeper says, and returns the cause.
func (f *Finding) ask(m Moment) (cause string) {
	f.Recommend = "See watchkeeper status, and the log of watchkeeper up."
	keeper, ok := m.Signs[sqlite.KeeperSign]
	if !ok || m.Now.Sub(keeper.At) > keptWithin {
		f.Found = "Nothing keeps a session: watchkeeper up does not run, or stands by for another that hangs."
		f.Recommend = "Start watchkeeper up (systemctl restart watchkeeper), then look at its log."
		return ""
	}
	f.Found = "The keeper says: " + keeper.Detail
	words := strings.Fields(keeper.Detail)
	if len(words) > 1 {
		cause = strings.TrimSuffix(words[1], ":")
	}
	if r, ok := remedies()[cause]; ok {
		f.Title = fmt.Sprintf("no session is on duty: %s", r.what)
		f.Recommend = r.do
	}
	return cause
}

// A remedy is what a person can do about a cause that does not go away by
// itself.
type remedy struct{ what, do string }

// remedies are by the cause as the session's keeper names it.
func remedies() map[string]remedy {
	return map[string]remedy{
		"logged_out":   {"logged out", "Log in again: run claude as the user of Watchkeeper, and type /login."},
		"out_of_quota": {"the quota is used up", "Nothing, if the time at which it is tried again is soon enough. Else raise the limit."},
		"no_cli":       {"the claude program cannot be started", "Install Claude Code, or set session.claude to its path."},
	}
}

// alive reports whether a session has given a sign lately.
func (m Moment) alive() bool {
	sign, ok := m.Signs[sqlite.SessionSign]
	return ok && m.Now.Sub(sign.At) <= aliveWithin
}
