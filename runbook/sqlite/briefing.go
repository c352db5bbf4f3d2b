package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sort"
	"time"

	"watchkeeper/runbook"
)

// What the briefing shows at most; it is read by a person on a phone too.
const (
	recurringFrom = 3 // times in the window
	maxRecurring  = 10
	maxIncidents  = 10
)

// Briefing gathers the page for the days before now.
//
// Its queries name their index: a planner without statistics prefers one that
// spares the sorting of a few thousand rows, and reads a million for it. The
// index holds decided rows only, which "decided_at > 0" tells the planner.
func (s *Store) Briefing(ctx context.Context, now time.Time, days int) (runbook.Briefing, error) {
	b := runbook.Briefing{Days: days}
	since := ms(now.Add(-time.Duration(days) * runbook.Day))
	err := s.read.QueryRowContext(ctx, `
		SELECT count(*), coalesce(sum(verdict = 'noise'), 0), coalesce(sum(verdict = 'real'), 0),
		  coalesce(sum(verdict = 'auto_fixed'), 0), coalesce(sum(escalated), 0)
		FROM occurrences INDEXED BY occurrences_decided WHERE decided_at > 0 AND decided_at > ?`, since).
		Scan(&b.Total, &b.Noise, &b.Real, &b.AutoFixed, &b.Escalated)
	if err != nil {
		return b, fmt.Errorf("briefing: %w", explain(err))
	}
	if b.Pending, err = s.Escalations(ctx, runbook.EscalationOpen, runbook.EscalationSnoozed); err != nil {
		return b, fmt.Errorf("briefing: %w", err)
	}
	if b.Recurring, err = s.recurring(ctx, since); err != nil {
		return b, fmt.Errorf("briefing: %w", err)
	}
	if b.Incidents, err = s.realIncidents(ctx, since, b.Pending); err != nil {
		return b, fmt.Errorf("briefing: %w", err)
	}
	return b, nil
}

// recurring counts noise by alert and service; several services of one family
// become one line.
func (s *Store) recurring(ctx context.Context, since int64) ([]runbook.Recurring, error) {
	rows, err := collect(ctx, s.read, func(r *sql.Rows) (runbook.Recurring, error) {
		var rec runbook.Recurring
		return rec, r.Scan(&rec.Alert, &rec.Service, &rec.Times)
	}, `SELECT alert, service, count(*) FROM occurrences INDEXED BY occurrences_decided
		WHERE decided_at > 0 AND decided_at > ? AND verdict = 'noise' GROUP BY alert, service`, since)
	if err != nil {
		return nil, err
	}
	out := collapse(rows)
	out = slices.DeleteFunc(out, func(r runbook.Recurring) bool { return r.Times < recurringFrom })
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.Times != b.Times {
			return a.Times > b.Times
		}
		return a.Alert+a.Service < b.Alert+b.Service
	})
	return out[:min(len(out), maxRecurring)], nil
}

func collapse(rows []runbook.Recurring) []runbook.Recurring {
	type key struct{ alert, family string }
	members := map[key][]runbook.Recurring{}
	for _, r := range rows {
		k := key{r.Alert, runbook.Family(r.Service)}
		members[k] = append(members[k], r)
	}
	var out []runbook.Recurring
	for k, m := range members {
		sum := m[0]
		for _, r := range m[1:] {
			sum.Service = k.family
			sum.Times += r.Times
		}
		out = append(out, sum)
	}
	return out
}

// realIncidents returns the latest real or auto-fixed incident of each alert
// and service, without those whose escalation is shown as pending.
func (s *Store) realIncidents(ctx context.Context, since int64, pending []runbook.Escalation) ([]runbook.Incident, error) {
	rows, err := collect(ctx, s.read, func(r *sql.Rows) (runbook.Incident, error) { return scanIncident(r) },
		`SELECT `+incidentColumns+` FROM incidents
		 WHERE decided_at > ? AND verdict <> 'noise' ORDER BY decided_at DESC, id DESC LIMIT 500`, since)
	if err != nil {
		return nil, err
	}
	shown := map[string]bool{}
	waiting := map[runbook.DeliveryID]bool{}
	for _, e := range pending {
		waiting[e.Delivery] = true
	}
	var out []runbook.Incident
	for _, in := range rows {
		key := in.Alert + "\x00" + in.Service + "\x00" + in.Cluster
		if shown[key] || waiting[in.Delivery] || len(out) == maxIncidents {
			continue
		}
		shown[key] = true
		out = append(out, in)
	}
	return out, nil
}
