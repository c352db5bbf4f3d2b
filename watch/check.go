package watch

import (
	"context"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// A Finding is something that is wrong.
type Finding struct {
	Key       string           // what it is about; the same while it lasts
	Since     time.Time        // when it began
	Severity  runbook.Severity // "" is shown to the outside monitor and told to nobody
	Cluster   string           // "" if it is about none
	Env       runbook.Env      // of the cluster; "" is treated as prod
	Title     string           // one line, without the time that passes
	Found     string
	Impact    string
	Recommend string
	Default   string // what happens if nobody does anything
	Ours      bool   // Watchkeeper itself is not well: the outside monitor hears of it
}

// A Moment is what a [Check] looks at.
type Moment struct {
	Now   time.Time
	Since time.Time // since when somebody has watched without a gap
	Signs map[string]sqlite.Heartbeat
}

// silence returns since when name has given no sign. What was never seen, or
// was silent while nobody watched, counts from when the watch began.
func (m Moment) silence(name string) time.Time {
	if last := m.Signs[name].At; last.After(m.Since) {
		return last
	}
	return m.Since
}

// A Check looks for one kind of trouble. What it does not return is over.
type Check interface {
	Look(ctx context.Context, m Moment) ([]Finding, error)
}
