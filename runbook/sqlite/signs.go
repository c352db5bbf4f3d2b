package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

// Names of signs of life, see [Store.Beats]. The first two are prefixes.
const (
	SenderSign    = "sender:"    // and the sender: something came from it
	HeartbeatSign = "heartbeat:" // and the cluster: its heartbeat alert came
	SessionSign   = "session"    // the model works; its detail is for people
	KeeperSign    = "keeper"     // somebody keeps the session; its detail begins with the phase and the cause
	WatchdogSign  = "watchdog"   // somebody watches; its detail is since when
)

// heardEvery bounds how often the same sign is written: a flood of alerts is
// one sign of life.
const heardEvery = 10 * time.Second

// maxSigns bounds how many there are: their names are the senders' choice.
const maxSigns = 1000

// A hearing remembers which signs were written lately.
type hearing struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// news reports whether name is to be written at now.
func (h *hearing) news(name string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if last, ok := h.last[name]; ok && now.Sub(last) < heardEvery && now.Sub(last) >= 0 {
		return false
	}
	if h.last == nil || len(h.last) > maxSigns {
		h.last = map[string]time.Time{}
	}
	h.last[name] = now
	return true
}

// heard notes a sign of life within the transaction of w.
func (w putter) heard(name, detail string) error {
	if !w.s.heard.news(name, w.now) {
		return nil
	}
	_, err := w.tx.ExecContext(w.ctx, `
		INSERT INTO beats (name, at, detail) SELECT ?1, ?2, ?3
		WHERE (SELECT count(*) FROM beats) < ?4 OR EXISTS (SELECT 1 FROM beats WHERE name = ?1)
		ON CONFLICT (name) DO UPDATE SET at = max(at, excluded.at), detail = excluded.detail`, name, ms(w.now), detail, maxSigns)
	return err
}

// Watching says that somebody watches at now, and returns since when somebody
// has without a gap longer than gap: what was silent before that may have
// spoken while nobody listened.
func (s *Store) Watching(ctx context.Context, now time.Time, gap time.Duration) (since time.Time, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		var last int64
		var began string
		err := tx.QueryRowContext(ctx, `SELECT at, detail FROM beats WHERE name = ?`, WatchdogSign).Scan(&last, &began)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		since, err = time.Parse(time.RFC3339Nano, began)
		if err != nil || now.Sub(at(last)) > gap {
			since = now
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO beats (name, at, detail) VALUES (?, ?, ?)
			ON CONFLICT (name) DO UPDATE SET at = excluded.at, detail = excluded.detail`,
			WatchdogSign, ms(now), since.UTC().Format(time.RFC3339Nano))
		return err
	})
	return since, err
}

// OldestUnsent returns since when a message waits that could not be sent, the
// zero time if none does, and why.
func (s *Store) OldestUnsent(ctx context.Context) (since time.Time, why string, err error) {
	var created int64
	err = s.read.QueryRowContext(ctx, `
		SELECT created_at, error FROM outbox WHERE state IN ('queued', 'sending') AND error <> '' ORDER BY created_at LIMIT 1`).
		Scan(&created, &why)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, "", nil
	}
	return at(created), why, explain(err)
}
