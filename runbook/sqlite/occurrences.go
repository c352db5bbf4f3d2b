package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"watchkeeper/runbook"
)

const occurrenceColumns = `o.id, o.source, o.fingerprint, o.starts_at, o.ends_at, o.status, o.alert, o.service, o.cluster,
	o.namespace, o.env, o.severity, o.severity_raw, o.no_data, o.test, o.unrecognised, o.count, o.flaps, o.received_at,
	o.delivery_id, d.state, o.verdict, o.escalated, o.detail`

func scanOccurrence(r *sql.Rows) (runbook.Occurrence, error) {
	var o runbook.Occurrence
	var starts, ends, received int64
	var text string
	err := r.Scan(&o.ID, &o.Source, &o.Fingerprint, &starts, &ends, &o.Status, &o.Name, &o.Service, &o.Cluster,
		&o.Namespace, &o.Env, &o.Severity, &o.SeverityRaw, &o.NoData, &o.Test, &o.Unrecognised, &o.Count, &o.Flaps,
		&received, &o.Delivery, &o.State, &o.Verdict, &o.Escalated, &text)
	if err != nil {
		return o, err
	}
	o.StartsAt, o.EndsAt, o.ReceivedAt = atNanos(starts), atNanos(ends), at(received)
	var more detail
	err = json.Unmarshal([]byte(text), &more)
	o.Labels, o.Annotations, o.GeneratorURL, o.Body = more.Labels, more.Annotations, more.GeneratorURL, more.Body
	return o, err
}

// Alerts returns the occurrences of delivery id: the worst first, then the
// oldest; at most limit.
func (s *Store) Alerts(ctx context.Context, id runbook.DeliveryID, limit int) ([]runbook.Occurrence, error) {
	return collect(ctx, s.read, scanOccurrence, `SELECT `+occurrenceColumns+`
		FROM occurrences o JOIN deliveries d ON d.id = o.delivery_id WHERE o.delivery_id = ?
		ORDER BY o.status, CASE o.severity WHEN 'critical' THEN 0 WHEN 'info' THEN 2 ELSE 1 END, o.starts_at, o.id LIMIT ?`, id, limit)
}

// Groups sums delivery id up for a digest, most frequent first within a
// severity; at most limit.
func (s *Store) Groups(ctx context.Context, id runbook.DeliveryID, limit int) ([]runbook.AlertGroup, error) {
	return collect(ctx, s.read, func(r *sql.Rows) (runbook.AlertGroup, error) {
		var g runbook.AlertGroup
		return g, r.Scan(&g.Alert, &g.Service, &g.Cluster, &g.Severity, &g.Count, &g.Firing)
	}, `SELECT alert, service, cluster, severity, count(*), sum(status = 'firing') FROM occurrences
		WHERE delivery_id = ? GROUP BY alert, service, cluster, severity
		ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'info' THEN 2 ELSE 1 END, count(*) DESC, alert LIMIT ?`, id, limit)
}

// Occurrences calls yield for the occurrences that were received since then,
// newest first, until it returns false; at most limit, all of them for 0.
// alert is a glob over the name, "" for any.
func (s *Store) Occurrences(ctx context.Context, since time.Time, alert string, limit int, yield func(runbook.Occurrence) bool) error {
	rows, err := s.read.QueryContext(ctx, `SELECT `+occurrenceColumns+`
		FROM occurrences o JOIN deliveries d ON d.id = o.delivery_id
		WHERE o.received_at >= ? ORDER BY o.id DESC`, ms(since))
	if err != nil {
		return explain(err)
	}
	defer rows.Close()
	for n := 0; rows.Next() && (limit == 0 || n < limit); {
		o, err := scanOccurrence(rows)
		if err != nil {
			return err
		}
		if !runbook.Glob(alert, o.Name) {
			continue
		}
		n++
		if !yield(o) {
			break
		}
	}
	return rows.Err()
}
