package watch

import (
	"context"
	"fmt"
	"time"

	"watchkeeper/runbook"
)

// unsentFor is how long a message may wait for Slack.
const unsentFor = 10 * time.Minute

// An Outbox knows what could not be sent.
type Outbox interface {
	OldestUnsent(ctx context.Context) (since time.Time, why string, err error)
}

// A People expects that people can be reached. That they cannot is told to
// nobody but the monitor outside.
type People struct{ Outbox Outbox }

// Look implements [Check].
func (p People) Look(ctx context.Context, m Moment) ([]Finding, error) {
	since, why, err := p.Outbox.OldestUnsent(ctx)
	if err != nil || since.IsZero() || m.Now.Sub(since) <= unsentFor {
		return nil, err
	}
	return []Finding{{
		Key: "people", Since: since, Ours: true, Title: "people cannot be reached by Slack",
		Found: fmt.Sprintf("A message has waited for %s: %s", runbook.Short(m.Now.Sub(since)), why),
	}}, nil
}
