package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"watchkeeper/runbook"
)

// Digest merges every queued alert of the webhook channel into one storm
// event, which owns their alerts from then on. It is due at once, or
// StormInterval after the digest before it. Digest returns how many events it
// merged.
func (s *Store) Digest(ctx context.Context, now time.Time) (merged int, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		members, err := collect(ctx, tx, func(r *sql.Rows) (deliveryRow, error) { return scanDelivery(r) },
			`SELECT `+deliveryColumns+` FROM deliveries
			 WHERE state = 'queued' AND channel = 'webhook' AND kind IN ('alert', 'unrecognised')`)
		if err != nil || len(members) == 0 {
			return err
		}
		storm, err := openStorm(ctx, tx, members[0], now)
		if err != nil {
			return err
		}
		for _, m := range members {
			storm.absorb(m)
			if err := mergeInto(ctx, tx, m.ID, storm.ID); err != nil {
				return err
			}
		}
		merged = len(members)
		_, err = tx.ExecContext(ctx, `
			UPDATE deliveries SET alert = ?2, service = ?3, cluster = ?4, namespace = ?5, severity = ?6, env = ?7,
			  status = ?8, alerts = ?9, last_at = ?10, firing = (SELECT sum(status = 'firing') FROM occurrences WHERE delivery_id = ?1)
			WHERE id = ?1`,
			storm.ID, storm.Alert, storm.Service, storm.Cluster, storm.Namespace, storm.Severity, storm.Env,
			storm.Status, storm.Alerts, ms(now))
		return err
	})
	return merged, err
}

// openStorm returns the digest that is being gathered, or begins one with what
// its first member says.
func openStorm(ctx context.Context, tx *sql.Tx, first deliveryRow, now time.Time) (deliveryRow, error) {
	d, err := scanDelivery(tx.QueryRowContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries
		WHERE kind = 'storm' AND state = 'queued' AND pushes = 0 ORDER BY id DESC LIMIT 1`))
	if !errors.Is(err, sql.ErrNoRows) {
		return d, err
	}
	var last int64
	err = tx.QueryRowContext(ctx, `SELECT coalesce(max(pushed_at), 0) FROM deliveries WHERE kind = 'storm'`).Scan(&last)
	if err != nil {
		return d, err
	}
	due := max(ms(now), last+runbook.StormInterval.Milliseconds())
	res, err := tx.ExecContext(ctx, `
		INSERT INTO deliveries (kind, channel, state, created_at, last_at, due_at)
		VALUES ('storm', 'webhook', 'queued', ?, ?, ?)`, ms(now), ms(now), due)
	if err != nil {
		return d, err
	}
	id, err := res.LastInsertId()
	d = first
	d.ID, d.Kind, d.Alerts = runbook.DeliveryID(id), runbook.EventStorm, 0
	return d, err
}

// absorb folds member m into the digest.
func (d *deliveryRow) absorb(m deliveryRow) {
	d.add(runbook.Alert{
		Severity: m.Severity, Env: m.Env, Status: m.Status,
		Service: m.Service, Cluster: m.Cluster, Namespace: m.Namespace,
	})
	d.Alert = common(d.Alert, m.Alert)
	d.Alerts += m.Alerts
}

func mergeInto(ctx context.Context, tx *sql.Tx, member, storm runbook.DeliveryID) error {
	_, err := tx.ExecContext(ctx, `UPDATE occurrences SET delivery_id = ? WHERE delivery_id = ?`, storm, member)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE deliveries SET state = 'merged', merged_into = ? WHERE id = ?`, storm, member)
	return err
}
