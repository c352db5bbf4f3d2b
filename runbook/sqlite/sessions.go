package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"watchkeeper/runbook"
)

// StartSession records that a session begins and returns its number, which
// grows. mode is "channels", "stream", "responder" or "mcp".
func (s *Store) StartSession(ctx context.Context, mode string, pid int) (id int64, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO sessions (mode, pid, started_at) VALUES (?, ?, ?)`, mode, pid, ms(time.Now()))
		if err != nil {
			return err
		}
		id, err = res.LastInsertId()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("start session: %w", err)
	}
	return id, nil
}

// EndSession records why session id ended.
func (s *Store) EndSession(ctx context.Context, id int64, reason string) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE sessions SET ended_at = ?, reason = ? WHERE id = ? AND ended_at = 0`, ms(time.Now()), reason, id)
		return err
	})
}

// A Session is one life of the model, or of the responder in its stead.
type Session struct {
	ID                 int64
	Mode               string
	PID                int
	StartedAt, EndedAt time.Time // EndedAt is zero while it lives, or when its end was not seen
	Reason             string
}

// LastSession returns the newest session, or [runbook.ErrNotFound].
func (s *Store) LastSession(ctx context.Context) (Session, error) {
	var v Session
	var started, ended int64
	err := s.read.QueryRowContext(ctx, `SELECT id, mode, pid, started_at, ended_at, reason FROM sessions ORDER BY id DESC LIMIT 1`).
		Scan(&v.ID, &v.Mode, &v.PID, &started, &ended, &v.Reason)
	v.StartedAt, v.EndedAt = at(started), at(ended)
	return v, domainErr(err)
}

// Beat records a sign of life of the part called name.
func (s *Store) Beat(ctx context.Context, name, detail string) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO beats (name, at, detail) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET at = excluded.at, detail = excluded.detail`, name, ms(time.Now()), detail)
		return err
	})
}

// A Heartbeat is the latest sign of life of a part.
type Heartbeat struct {
	Name   string
	At     time.Time
	Detail string
}

// Beats returns the latest sign of life of every part.
func (s *Store) Beats(ctx context.Context) ([]Heartbeat, error) {
	return collect(ctx, s.read, func(r *sql.Rows) (Heartbeat, error) {
		var b Heartbeat
		var when int64
		err := r.Scan(&b.Name, &when, &b.Detail)
		b.At = at(when)
		return b, err
	}, `SELECT name, at, detail FROM beats ORDER BY name`)
}

// Audit stores one entry.
func (s *Store) Audit(ctx context.Context, a runbook.AuditEntry) error {
	return s.inTx(ctx, func(tx *sql.Tx) error { return insertAudit(ctx, tx, a) })
}

func insertAudit(ctx context.Context, tx *sql.Tx, a runbook.AuditEntry) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO audit (at, actor, action, target, phase, detail, delivery_id) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		ms(a.At), a.Actor, a.Action, a.Target, a.Phase, a.Detail, a.Delivery)
	return err
}

// Audits returns the entries of action since then, newest first; all actions
// for "".
func (s *Store) Audits(ctx context.Context, action string, since time.Time) ([]runbook.AuditEntry, error) {
	return collect(ctx, s.read, func(r *sql.Rows) (runbook.AuditEntry, error) {
		var a runbook.AuditEntry
		var when int64
		err := r.Scan(&a.ID, &when, &a.Actor, &a.Action, &a.Target, &a.Phase, &a.Detail, &a.Delivery)
		a.At = at(when)
		return a, err
	}, `SELECT id, at, actor, action, target, phase, detail, delivery_id FROM audit
		WHERE (?1 = '' OR action = ?1) AND at >= ?2 ORDER BY id DESC LIMIT 10000`, action, ms(since))
}
