package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"watchkeeper/runbook"
)

// maxSpans bounds what waits for a receiver of traces that does not answer:
// tracing must not fill the disk.
const maxSpans = 20_000

// RecordSpans keeps steps until they are exported. The first one of a delivery
// gives it a trace.
func (s *Store) RecordSpans(ctx context.Context, spans ...runbook.Span) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		for _, sp := range spans {
			if err := recordSpan(ctx, tx, sp); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record spans: %w", err)
	}
	return nil
}

func recordSpan(ctx context.Context, tx *sql.Tx, sp runbook.Span) error {
	facts, err := json.Marshal(sp.Facts)
	if err != nil {
		return err
	}
	if sp.Facts == nil {
		facts = []byte("{}")
	}
	if _, err = tx.ExecContext(ctx, `
		INSERT INTO spans (delivery_id, name, program, began_at, ended_at, facts, failed)
		SELECT ?, ?, ?, ?, ?, ?, ? WHERE (SELECT coalesce(max(id) - min(id), 0) FROM spans) < ?`,
		sp.Delivery, sp.Name, sp.Program, ns(sp.Began), ns(sp.Ended), string(facts), sp.Failed, maxSpans); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE deliveries SET trace = lower(hex(randomblob(16))) WHERE id = ? AND trace = ''`, sp.Delivery)
	return err
}

// Received returns the deliveries that alerts of b are in, at most a hundred.
func (s *Store) Received(ctx context.Context, b runbook.Batch) ([]runbook.DeliveryID, error) {
	var all []runbook.DeliveryID
	seen := map[runbook.DeliveryID]bool{}
	for _, a := range b.Alerts[:min(len(b.Alerts), 100)] {
		var id runbook.DeliveryID
		err := s.read.QueryRowContext(ctx, `
			SELECT delivery_id FROM occurrences WHERE source = ? AND fingerprint = ? ORDER BY starts_at DESC LIMIT 1`,
			a.Source, a.Fingerprint).Scan(&id)
		if err != nil && domainErr(err) != runbook.ErrNotFound { //nolint:errorlint // domainErr makes it
			return nil, fmt.Errorf("find the delivery of an alert: %w", err)
		}
		if id != 0 && !seen[id] {
			seen[id] = true
			all = append(all, id)
		}
	}
	return all, nil
}

// OnlyClaimed returns the delivery that is being investigated, if it is the
// only one: what a tool is asked without a delivery is about it then. Else it
// returns 0.
func (s *Store) OnlyClaimed(ctx context.Context) (runbook.DeliveryID, error) {
	var n int
	var id sql.Null[runbook.DeliveryID]
	err := s.read.QueryRowContext(ctx, `SELECT count(*), min(id) FROM deliveries WHERE state = 'claimed'`).Scan(&n, &id)
	if err != nil || n != 1 {
		return 0, explain(err)
	}
	return id.V, nil
}

// Spans returns steps that are to be exported, oldest first. Those of a
// delivery have its trace; a message to a person is one too.
func (s *Store) Spans(ctx context.Context, limit int) ([]runbook.Span, error) {
	all, err := collect(ctx, s.read, func(r *sql.Rows) (runbook.Span, error) {
		var sp runbook.Span
		var began, ended int64
		var facts []byte
		if err := r.Scan(&sp.ID, &sp.Delivery, &sp.Name, &sp.Program, &began, &ended, &facts, &sp.Failed, &sp.Trace); err != nil {
			return sp, err
		}
		sp.Began, sp.Ended = atNanos(began), atNanos(ended)
		return sp, json.Unmarshal(facts, &sp.Facts)
	}, `SELECT s.id, s.delivery_id, s.name, s.program, s.began_at, s.ended_at, s.facts, s.failed, coalesce(nullif(m.trace, ''), d.trace, '')
		FROM spans s LEFT JOIN deliveries d ON d.id = s.delivery_id LEFT JOIN deliveries m ON m.id = d.merged_into ORDER BY s.id LIMIT ?`, limit)
	if err != nil {
		return nil, fmt.Errorf("read spans: %w", err)
	}
	return all, nil
}

// SentUntraced returns messages that were sent after since and whose way is to
// be exported; one that is about several deliveries once for each.
func (s *Store) SentUntraced(ctx context.Context, since time.Time, limit int) ([]runbook.Sent, error) {
	all, err := collect(ctx, s.read, func(r *sql.Rows) (runbook.Sent, error) {
		var m runbook.Sent
		var stored, shown int64
		err := r.Scan(&m.ID, &m.Delivery, &m.Trace, &m.Kind, &stored, &shown)
		m.Stored, m.Shown = at(stored), at(shown)
		return m, err
	}, `SELECT o.id, d.id, d.trace, o.kind, o.created_at, o.sent_at
		FROM outbox o JOIN escalations e ON e.id = o.escalation OR e.id IN (SELECT value FROM json_each(o.about))
		JOIN deliveries d ON d.id = e.delivery_id
		WHERE o.state = 'sent' AND o.traced = 0 AND o.sent_at > ? AND d.trace <> '' ORDER BY o.sent_at, o.id, d.id LIMIT ?`, ms(since), limit)
	if err != nil {
		return nil, fmt.Errorf("read sent messages: %w", err)
	}
	return all, nil
}

// Journeys returns traced deliveries that are done and whose root is to be
// exported, oldest first.
func (s *Store) Journeys(ctx context.Context, limit int) ([]runbook.Journey, error) {
	all, err := collect(ctx, s.read, func(r *sql.Rows) (runbook.Journey, error) {
		var j runbook.Journey
		var created, pushed, claimed, done int64
		err := r.Scan(&j.ID, &j.Kind, &j.Alert, &j.Service, &j.Cluster, &j.Namespace, &j.Severity, &j.Env, &j.Alerts, &j.Pushes,
			&created, &pushed, &claimed, &done, &j.Trace, &j.Verdict, &j.Escalated)
		j.CreatedAt, j.PushedAt, j.ClaimedAt, j.DoneAt = at(created), at(pushed), at(claimed), at(done)
		return j, err
	}, `SELECT d.id, d.kind, d.alert, d.service, d.cluster, d.namespace, d.severity, d.env, d.alerts, d.pushes,
		  d.created_at, d.pushed_at, d.claimed_at, d.done_at, d.trace, coalesce(i.verdict, ''), coalesce(i.escalated, 0)
		FROM deliveries d LEFT JOIN incidents i ON i.delivery_id = d.id
		WHERE d.trace <> '' AND d.traced = 0 AND d.done_at > 0 ORDER BY d.done_at LIMIT ?`, limit)
	if err != nil {
		return nil, fmt.Errorf("read journeys: %w", err)
	}
	return all, nil
}

// Exported forgets the spans, and marks the rest, that a receiver of traces
// has.
func (s *Store) Exported(ctx context.Context, spans []runbook.Span, sent []runbook.Sent, journeys []runbook.Journey) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		for _, sp := range spans {
			if _, err := tx.ExecContext(ctx, `DELETE FROM spans WHERE id = ?`, sp.ID); err != nil {
				return err
			}
		}
		for _, m := range sent {
			if _, err := tx.ExecContext(ctx, `UPDATE outbox SET traced = 1 WHERE id = ?`, m.ID); err != nil {
				return err
			}
		}
		for _, j := range journeys {
			if _, err := tx.ExecContext(ctx, `UPDATE deliveries SET traced = 1 WHERE id = ?`, j.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("mark as exported: %w", err)
	}
	return nil
}
