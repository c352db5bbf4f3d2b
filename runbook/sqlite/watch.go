package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"
)

// pollEvery is how often a [Watcher] asks whether another process has written.
// The question costs a few microseconds; a change of this process is seen at
// once.
const pollEvery = 20 * time.Millisecond

// A broadcast wakes everybody who waits.
type broadcast struct {
	mu sync.Mutex
	ch chan struct{}
}

func (b *broadcast) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

func (b *broadcast) all() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

// A Watcher notices commits of any process. It is for one goroutine.
type Watcher struct {
	store   *Store
	conn    *sql.Conn
	version int64 // SQLite's data_version as this connection last saw it
	next    <-chan struct{}
}

// Watch returns a Watcher that has seen everything up to now. The caller
// closes it.
func (s *Store) Watch(ctx context.Context) (*Watcher, error) {
	conn, err := s.watch.Conn(ctx)
	if err != nil {
		return nil, explain(err)
	}
	w := &Watcher{store: s, conn: conn, next: s.wake.next()}
	if _, err := w.changed(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return w, nil
}

// Close gives the connection back.
func (w *Watcher) Close() error { return w.conn.Close() }

// Wait returns when something was written since the last Wait, when d has
// passed, or with ctx's error.
func (w *Watcher) Wait(ctx context.Context, d time.Duration) error {
	deadline := time.NewTimer(d)
	defer deadline.Stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.next:
			w.next = w.store.wake.next()
			_, err := w.changed(ctx)
			return err
		case <-deadline.C:
			return nil
		case <-poll.C:
			if yes, err := w.changed(ctx); yes || err != nil {
				return err
			}
		}
	}
}

func (w *Watcher) changed(ctx context.Context) (bool, error) {
	before := w.version
	err := w.conn.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&w.version)
	return w.version != before, err
}
