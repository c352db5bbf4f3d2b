package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"watchkeeper/runbook"
)

// SendCanary records that a canary with nonce is about to be sent: only then
// does the intake know it.
func (s *Store) SendCanary(ctx context.Context, nonce string, now time.Time) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO canaries (nonce, sent_at) VALUES (?, ?)`, nonce, ms(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("send a canary: %w", err)
	}
	return nil
}

const canaryColumns = `id, nonce, sent_at, delivery_id, decided_at, lost_at`

func scanCanary(r row) (runbook.Canary, error) {
	var c runbook.Canary
	var sent, decided, lost int64
	err := r.Scan(&c.ID, &c.Nonce, &sent, &c.Delivery, &decided, &lost)
	c.SentAt, c.DecidedAt, c.LostAt = at(sent), at(decided), at(lost)
	return c, err
}

// Canaries returns the newest ones, newest first.
func (s *Store) Canaries(ctx context.Context, limit int) ([]runbook.Canary, error) {
	return collect(ctx, s.read, func(r *sql.Rows) (runbook.Canary, error) { return scanCanary(r) },
		`SELECT `+canaryColumns+` FROM canaries ORDER BY id DESC LIMIT ?`, limit)
}

// LoseCanary gives canary id up: it did not come back in time, and is not
// pushed any more.
func (s *Store) LoseCanary(ctx context.Context, id int64, now time.Time) error {
	return s.dropCanary(ctx, id, now, `UPDATE canaries SET lost_at = ?2 WHERE id = ?1 AND lost_at = 0 AND decided_at = 0`)
}

// WithdrawCanary forgets canary id: it could not come back, and says nothing.
func (s *Store) WithdrawCanary(ctx context.Context, id int64, now time.Time) error {
	return s.dropCanary(ctx, id, now, `DELETE FROM canaries WHERE id = ?1 AND ?2 > 0`)
}

func (s *Store) dropCanary(ctx context.Context, id int64, now time.Time, query string) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'done', done_at = ?2
			WHERE id = (SELECT delivery_id FROM canaries WHERE id = ?1) AND state <> 'done'`, id, ms(now))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, query, id, ms(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("give canary %d up: %w", id, err)
	}
	return nil
}

// canary stores a as a canary of ours; ours is false if its nonce is not one
// that we sent, and it is an alert like any other then.
func (w putter) canary(a runbook.Alert) (ours, fresh bool, err error) {
	nonce := a.Labels[runbook.CanaryLabel]
	if nonce == "" {
		return false, false, nil
	}
	c, err := scanCanary(w.tx.QueryRowContext(w.ctx, `SELECT `+canaryColumns+` FROM canaries WHERE nonce = ?`, nonce))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return false, false, nil
	case err != nil, c.Delivery != 0:
		return true, false, err
	}
	res, err := w.tx.ExecContext(w.ctx, `
		INSERT INTO deliveries (kind, channel, state, alert, severity, env, status, created_at, last_at, due_at)
		VALUES (?, 'webhook', 'queued', ?, ?, ?, ?, ?, ?, ?)`,
		runbook.EventCanary, runbook.CanaryAlert, runbook.Info, runbook.Dev, runbook.Firing, ms(w.now), ms(w.now), ms(w.now))
	if err != nil {
		return true, false, err
	}
	id, err := res.LastInsertId()
	if err != nil {
		return true, false, err
	}
	_, err = w.tx.ExecContext(w.ctx, `UPDATE canaries SET delivery_id = ? WHERE id = ?`, id, c.ID)
	return true, true, err
}

// canaryBack closes the delivery of a canary with its verdict, of which nothing
// is kept: it is no incident.
func canaryBack(ctx context.Context, tx *sql.Tx, in runbook.Incident, d deliveryRow) (runbook.Incident, error) {
	if d.State == runbook.Done {
		return runbook.Incident{Delivery: d.ID}, runbook.ErrDecided
	}
	in.Alert, in.Alerts, in.Severity, in.Env, in.StartedAt = d.Alert, d.Alerts, d.Severity, d.Env, d.CreatedAt
	_, err := tx.ExecContext(ctx, `UPDATE canaries SET decided_at = ? WHERE delivery_id = ? AND decided_at = 0`, ms(in.DecidedAt), d.ID)
	if err != nil {
		return in, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE deliveries SET state = 'done', done_at = ? WHERE id = ?`, ms(in.DecidedAt), d.ID)
	return in, err
}
