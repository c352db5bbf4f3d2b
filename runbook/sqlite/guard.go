package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"watchkeeper/runbook"
)

// AllowWrite reports whether w could begin at now, without beginning it: nil,
// or a [*runbook.WriteDenied].
func (s *Store) AllowWrite(ctx context.Context, w runbook.Write, l runbook.WriteLimits, now time.Time) error {
	past, err := pastWrites(ctx, s.read, now)
	if err != nil {
		return fmt.Errorf("look at the writes of the last day: %w", err)
	}
	return l.Allow(w, past, now)
}

// BeginWrite records that w is about to be sent and returns it with its ID. In
// the same transaction it checks the limits, so that two processes cannot both
// take the last place, and spends w.Confirm, if one is given. A
// [*runbook.WriteDenied] says why the write must not be sent; then nothing is
// recorded and nothing spent.
func (s *Store) BeginWrite(ctx context.Context, w runbook.Write, l runbook.WriteLimits, now time.Time) (runbook.Write, error) {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		past, err := pastWrites(ctx, tx, now)
		if err != nil {
			return err
		}
		if err := l.Allow(w, past, now); err != nil {
			return err
		}
		if w.Confirm != "" {
			if err := spend(ctx, tx, w, now); err != nil {
				return err
			}
		}
		res, err := tx.ExecContext(ctx, `INSERT INTO audit (at, actor, action, target, phase, detail, delivery_id) VALUES (?, ?, ?, ?, 'before', ?, ?)`,
			ms(now), w.Actor, w.Action, w.Target, w.Reason, w.Delivery)
		if err != nil {
			return err
		}
		if w.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE audit SET write_id = id WHERE id = ?`, w.ID)
		return err
	})
	if denied := (*runbook.WriteDenied)(nil); errors.As(err, &denied) {
		return w, denied
	}
	if err != nil {
		return w, fmt.Errorf("begin %s of %s: %w", w.Action, w.Target, err)
	}
	return w, nil
}

// EndWrite records how w ended and what was seen, in words. The first end
// counts; a second is ignored.
func (s *Store) EndWrite(ctx context.Context, w runbook.Write, o runbook.Outcome, detail string, now time.Time) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			INSERT INTO audit (at, actor, action, target, phase, detail, delivery_id, write_id, outcome)
			SELECT ?, actor, action, target, 'after', ?, delivery_id, id, ? FROM audit b
			WHERE id = ? AND phase = 'before' AND NOT EXISTS (SELECT 1 FROM audit WHERE write_id = b.id AND phase = 'after')`,
			ms(now), detail, o, w.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("end %s of %s: %w", w.Action, w.Target, err)
	}
	return nil
}

// Confirmation keeps a token that allows w once, for the object as it is in w,
// until expires.
func (s *Store) Confirmation(ctx context.Context, token string, w runbook.Write, expires time.Time) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO confirmations (token_hash, action, target, uid, version, expires_at) VALUES (?, ?, ?, ?, ?, ?)`,
			hashed(token), w.Action, w.Target, w.UID, w.Version, ms(expires))
		return err
	})
}

// spend uses up the confirmation of w, or says why it does not hold.
func spend(ctx context.Context, tx *sql.Tx, w runbook.Write, now time.Time) error {
	var action, target, uid, version string
	var expires, used int64
	err := tx.QueryRowContext(ctx, `SELECT action, target, uid, version, expires_at, used_at FROM confirmations WHERE token_hash = ?`, hashed(w.Confirm)).
		Scan(&action, &target, &uid, &version, &expires, &used)
	why := ""
	switch {
	case errors.Is(err, sql.ErrNoRows):
		why = "this confirm token was never given"
	case err != nil:
		return err
	case used > 0:
		why = "this confirm token was used before; it holds once"
	case action != w.Action || target != w.Target:
		why = fmt.Sprintf("this confirm token is for %s of %s", action, target)
	case now.After(at(expires)):
		why = "this confirm token has expired; it holds for 5 minutes"
	case uid != w.UID || version != w.Version:
		why = "the object has changed since this confirm token was given"
	}
	if why != "" {
		return &runbook.WriteDenied{Why: why}
	}
	_, err = tx.ExecContext(ctx, `UPDATE confirmations SET used_at = ? WHERE token_hash = ?`, ms(now), hashed(w.Confirm))
	return err
}

func hashed(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// pastWrites returns what began in the last WriteMemory.
func pastWrites(ctx context.Context, q querier, now time.Time) ([]runbook.PastWrite, error) {
	return collect(ctx, q, func(r *sql.Rows) (runbook.PastWrite, error) {
		var p runbook.PastWrite
		var began, ended int64
		err := r.Scan(&p.ID, &p.Action, &p.Target, &p.Delivery, &began, &ended, &p.Outcome)
		p.At, p.EndedAt = at(began), at(ended)
		return p, err
	}, `SELECT b.id, b.action, b.target, b.delivery_id, b.at, coalesce(e.at, 0), coalesce(e.outcome, '')
		FROM audit b LEFT JOIN audit e ON e.write_id = b.id AND e.phase = 'after'
		WHERE b.write_id > 0 AND b.phase = 'before' AND b.at > ? ORDER BY b.id DESC`, ms(now.Add(-runbook.WriteMemory)))
}
