package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"watchkeeper/runbook"
)

// recent is how many earlier occurrences a History tells one by one.
const recent = 10

// History answers whether alert has fired on service and cluster before, up to
// now. The delivery except, if not 0, is the one being asked about: it counts
// in the windows and is left out of Recent.
func (s *Store) History(ctx context.Context, alert, service, cluster string, now time.Time, except runbook.DeliveryID) (runbook.History, error) {
	h := runbook.History{Alert: alert, Service: service, Cluster: cluster, Family: runbook.Family(service)}
	exact := `alert = ? AND service = ? AND cluster = ?`
	err := s.tally(ctx, now, exact, []any{alert, service, cluster}, &h.Day, &h.Week, &h.Fortnight, &h.Month)
	if err != nil {
		return h, fmt.Errorf("history of %q: %w", alert, err)
	}
	h.FamilyWeek, h.FamilyMonth = h.Week, h.Month
	if h.Family != service {
		family := `alert = ? AND family = ? AND family <> service`
		h.FamilyWeek, h.FamilyMonth = runbook.Tally{}, runbook.Tally{}
		err = s.tally(ctx, now, family, []any{alert, h.Family}, &runbook.Tally{}, &h.FamilyWeek, &runbook.Tally{}, &h.FamilyMonth)
		if err != nil {
			return h, fmt.Errorf("history of %q on %s: %w", alert, h.Family, err)
		}
	}
	h.Recent, err = s.recent(ctx, alert, service, cluster, except)
	if err != nil {
		return h, fmt.Errorf("history of %q: %w", alert, err)
	}
	return h, nil
}

// tally counts over the four windows in one pass over an index.
func (s *Store) tally(ctx context.Context, now time.Time, where string, args []any, into ...*runbook.Tally) error {
	rows, err := s.read.QueryContext(ctx, `
		SELECT (starts_at > ?) + (starts_at > ?) + (starts_at > ?) AS windows, verdict, escalated, count(*)
		FROM occurrences WHERE `+where+` AND starts_at > ? AND starts_at <= ?
		GROUP BY windows, verdict, escalated`,
		append(append([]any{ns(now.Add(-runbook.Day)), ns(now.Add(-runbook.Week)), ns(now.Add(-2 * runbook.Week))}, args...),
			ns(now.Add(-runbook.Month)), ns(now))...)
	if err != nil {
		return explain(err)
	}
	defer rows.Close()
	for rows.Next() {
		var windows, n int
		var verdict runbook.Verdict
		var escalated bool
		if err := rows.Scan(&windows, &verdict, &escalated, &n); err != nil {
			return err
		}
		// 3 windows: within the day, and so in all of into; 0: in the month only.
		for _, t := range into[len(into)-1-windows:] {
			count(t, verdict, escalated, n)
		}
	}
	return rows.Err()
}

func count(t *runbook.Tally, v runbook.Verdict, escalated bool, n int) {
	t.Total += n
	switch v {
	case runbook.Noise:
		t.Noise += n
	case runbook.Real:
		t.Real += n
	case runbook.AutoFixed:
		t.AutoFixed += n
	}
	if escalated {
		t.Escalated += n
	}
}

// recent tells the latest earlier occurrences, one for each delivery.
func (s *Store) recent(ctx context.Context, alert, service, cluster string, except runbook.DeliveryID) ([]runbook.Past, error) {
	rows, err := collect(ctx, s.read, scanPast, `
		SELECT o.delivery_id, o.service, o.starts_at, o.ends_at, o.verdict, o.escalated,
		  coalesce(i.decided_by, ''), coalesce(i.summary, ''), coalesce(i.root_cause, ''), coalesce(i.actions, '')
		FROM occurrences o LEFT JOIN incidents i ON i.delivery_id = o.delivery_id
		WHERE o.alert = ? AND o.service = ? AND o.cluster = ? AND o.delivery_id <> ?
		ORDER BY o.starts_at DESC LIMIT ?`, alert, service, cluster, except, 5*recent)
	if err != nil {
		return nil, err
	}
	var out []runbook.Past
	seen := map[runbook.DeliveryID]bool{}
	for _, p := range rows {
		if !seen[p.Delivery] && len(out) < recent {
			seen[p.Delivery] = true
			out = append(out, p)
		}
	}
	return out, nil
}

func scanPast(r *sql.Rows) (runbook.Past, error) {
	var p runbook.Past
	var started, ended int64
	err := r.Scan(&p.Delivery, &p.Service, &started, &ended, &p.Verdict, &p.Escalated, &p.DecidedBy, &p.Summary,
		&p.RootCause, &p.Actions)
	p.StartedAt = atNanos(started)
	if ended > started {
		p.Lasted = time.Duration(ended - started)
	}
	return p, err
}

// Incident returns the incident of delivery id, or [runbook.ErrNotFound] while
// it is undecided.
func (s *Store) Incident(ctx context.Context, id runbook.DeliveryID) (runbook.Incident, error) {
	in, err := findIncident(ctx, s.read, id)
	if errors.Is(err, sql.ErrNoRows) {
		return in, runbook.ErrNotFound
	}
	return in, err
}
