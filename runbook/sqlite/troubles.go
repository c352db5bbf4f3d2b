package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"watchkeeper/runbook"
)

// Troubles returns the open ones, oldest first.
func (s *Store) Troubles(ctx context.Context) ([]runbook.Trouble, error) {
	return collect(ctx, s.read, func(r *sql.Rows) (runbook.Trouble, error) { return scanTrouble(r) },
		`SELECT id, key, since, escalation FROM troubles WHERE ended_at = 0 ORDER BY id`)
}

func scanTrouble(r row) (runbook.Trouble, error) {
	var t runbook.Trouble
	var since int64
	err := r.Scan(&t.ID, &t.Key, &since, &t.Escalation)
	t.Since = at(since)
	return t, err
}

// Complain opens a Trouble under key and tells a person of it by e and its
// first message, text, in one step. While one is open under that key nothing
// changes, and it reports false.
func (s *Store) Complain(ctx context.Context, key string, since time.Time, e runbook.Escalation, text string) (opened bool, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := findTrouble(ctx, tx, key)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO troubles (key, since, escalation) VALUES (?, ?, 0)`, key, ms(since))
		if err != nil {
			return err
		}
		id, err := res.LastInsertId()
		if err != nil {
			return err
		}
		e.Key = fmt.Sprintf("trouble:%d", id)
		out, _, err := escalate(ctx, tx, e, text)
		if err != nil {
			return err
		}
		opened = true
		_, err = tx.ExecContext(ctx, `UPDATE troubles SET escalation = ? WHERE id = ?`, out.ID, id)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("complain about %s: %w", key, err)
	}
	return opened, nil
}

// Recover ends the open Trouble under key, says text once in the thread of its
// escalation, without ringing anybody, and resolves that. Where a person has
// resolved it before, nothing is said.
func (s *Store) Recover(ctx context.Context, key, text string, now time.Time) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		t, err := findTrouble(ctx, tx, key)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE troubles SET ended_at = ? WHERE id = ?`, ms(now), t.ID); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `
			UPDATE escalations SET state = 'resolved', resolved_by = 'watchdog', resolved_at = ?2, next_nag_at = 0
			WHERE id = ?1 AND state <> 'resolved'`, t.Escalation, ms(now))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return insertMessage(ctx, tx, runbook.Message{
			Key: fmt.Sprintf("recovered:%d", t.ID), Kind: "message", Escalation: t.Escalation, Text: text, CreatedAt: now,
		})
	})
	if err != nil {
		return fmt.Errorf("recover from %s: %w", key, err)
	}
	return nil
}

func findTrouble(ctx context.Context, q querier, key string) (runbook.Trouble, error) {
	return scanTrouble(q.QueryRowContext(ctx, `SELECT id, key, since, escalation FROM troubles WHERE key = ? AND ended_at = 0`, key))
}
