package responder

import (
	"context"
	"fmt"
	"strings"
	"time"

	"watchkeeper/runbook"
)

// What is a flood: so many escalations of the responder that nobody has
// resolved, within so long. Further ones go together under one, since a person
// who gets thirty messages reads none.
const (
	floodAbove  = 5
	floodWithin = 10 * time.Minute
	floodHolds  = 20 // events under one escalation
)

const floodKey = "flood:"

// tell tells a person about q, once. It returns the escalation under which
// that happened.
func (r *Responder) tell(ctx context.Context, q *inquiry, ruled ruling) (runbook.Escalation, error) {
	r.flood.Lock()
	defer r.flood.Unlock()
	e := q.escalation(ruled, time.Now())
	known, err := r.Store.Escalations(ctx, runbook.EscalationOpen, runbook.EscalationSnoozed, runbook.EscalationAcked)
	if err != nil {
		return e, err
	}
	recent := 0
	for _, k := range known {
		if k.Key == e.Key || strings.HasPrefix(k.Key, floodKey) && strings.Contains("\n"+k.Found, "\n"+mark(e)) {
			return k, nil // told before this was interrupted
		}
		if k.OpenedBy == e.OpenedBy && e.OpenedAt.Sub(k.OpenedAt) < floodWithin {
			recent++
		}
	}
	if recent < floodAbove {
		told, _, err := r.Store.Escalate(ctx, e, e.Text())
		return told, err
	}
	for _, k := range known {
		if holds(k, e) {
			return k, r.Store.AddFinding(ctx, k.ID, line(e))
		}
	}
	told, _, err := r.Store.Escalate(ctx, flood(e), flood(e).Text())
	return told, err
}

// holds reports whether e may go under the flood k: it must be as loud as e,
// unanswered, and not too long.
func holds(k, e runbook.Escalation) bool {
	return strings.HasPrefix(k.Key, floodKey) && k.State == runbook.EscalationOpen &&
		e.OpenedAt.Sub(k.OpenedAt) < floodWithin && strings.Count(k.Found, "\n") < floodHolds &&
		k.Severity.Rank() <= e.Severity.Rank() && (k.Env.Strict() || !e.Env.Strict())
}

// flood is the escalation of e and what follows it.
func flood(e runbook.Escalation) runbook.Escalation {
	e.Key = floodKey + e.Delivery.String()
	e.Title = "more alerts than can be told one by one"
	e.Found = line(e)
	e.Checked = noModel + " Each was looked at by itself; watchkeeper history tells what was found."
	e.Recommend = "Look for what they have in common: a node, the network, a release, a database."
	return e
}

// mark begins the line of e in a flood.
func mark(e runbook.Escalation) string { return e.Delivery.String() + ": " }

// line is e in a flood.
func line(e runbook.Escalation) string {
	where := strings.TrimSpace(e.Service + " " + e.Cluster)
	return mark(e) + flat(fmt.Sprintf("%s %s, %s: %s", e.Severity, e.Alert, where, e.Title), lineLimit)
}
