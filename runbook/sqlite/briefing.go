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
// Its query names its index: a planner without statistics prefers one that
// spares the sorting of a few thousand rows, and reads a million for it. The
// index holds decided rows only, which "decided_at > 0" tells the planner.
func (s *Store) Briefing(ctx context.Context, now time.Time, days int) (runbook.Briefing, error) {
	b := runbook.Briefing{Days: days}
	since := ms(now.Add(-time.Duration(days) * runbook.Day))
	noise, err := s.decided(ctx, since, &b)
	if err != nil {
		return b, fmt.Errorf("briefing: %w", explain(err))
	}
	b.Recurring = recurring(noise)
	if b.Pending, err = s.Escalations(ctx, runbook.EscalationOpen, runbook.EscalationSnoozed); err != nil {
		return b, fmt.Errorf("briefing: %w", err)
	}
	if b.Incidents, err = s.realIncidents(ctx, since, b.Pending); err != nil {
		return b, fmt.Errorf("briefing: %w", err)
	}
	return b, nil
}

// decided counts into b what was decided since then, and returns the noise of
// it by alert and service. One pass over the index serves both.
func (s *Store) decided(ctx context.Context, since int64, b *runbook.Briefing) (noise []runbook.Recurring, err error) {
	rows, err := s.read.QueryContext(ctx, `
		SELECT alert, service, verdict, escalated, count(*) FROM occurrences INDEXED BY occurrences_decided
		WHERE decided_at > 0 AND decided_at > ? GROUP BY alert, service, verdict, escalated`, since)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all runbook.Tally
	times := map[runbook.Recurring]int{}
	for rows.Next() {
		var r runbook.Recurring
		var verdict runbook.Verdict
		var escalated bool
		var n int
		if err := rows.Scan(&r.Alert, &r.Service, &verdict, &escalated, &n); err != nil {
			return nil, err
		}
		count(&all, verdict, escalated, n)
		if verdict == runbook.Noise {
			times[r] += n
		}
	}
	b.Total, b.Noise, b.Real, b.AutoFixed, b.Escalated = all.Total, all.Noise, all.Real, all.AutoFixed, all.Escalated
	for r, n := range times {
		r.Times = n
		noise = append(noise, r)
	}
	return noise, rows.Err()
}

// recurring keeps what came again and again, most frequent first; several
// services of one family become one line.
func recurring(noise []runbook.Recurring) []runbook.Recurring {
	out := slices.DeleteFunc(collapse(noise), func(r runbook.Recurring) bool { return r.Times < recurringFrom })
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.Times != b.Times {
			return a.Times > b.Times
		}
		return a.Alert+a.Service < b.Alert+b.Service
	})
	return out[:min(len(out), maxRecurring)]
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
