// Package sqlite is the memory of Watchkeeper: one SQLite file that every
// process opens and that is the only bus between them.
//
// An exported method is one transaction. What it returns is durable: commits
// are synced to the disk before a method that writes comes back. There are two
// pools, because SQLite has one writer: one connection that writes, and a few
// that only read and never wait for it (WAL). Each [Watcher] has a connection
// of its own, which it keeps as long as it lives.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/mattn/go-sqlite3" // also registers the driver "sqlite3"

	"watchkeeper/runbook"
)

// readers is how many reads run at once in one process.
const readers = 4

// A Store is the open memory. It is safe for concurrent use, and several
// processes may open the same file.
type Store struct {
	write *sql.DB // one connection
	read  *sql.DB
	watch *sql.DB // of the watchers, without a limit: they would starve the readers
	puts  group
	wake  broadcast
	heard hearing
	stmts statements
}

// Open opens or creates the file at path and brings its schema up to date. Its
// directory must exist. The caller closes the Store.
func Open(ctx context.Context, path string) (*Store, error) {
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return nil, fmt.Errorf("open memory: %w", err)
	}
	s, err := open(ctx, path)
	for try := 0; isBusy(err) && try < 100; try++ {
		// Two processes make the file at once: SQLite does not wait for the lock
		// while it switches a new file to WAL.
		time.Sleep(20 * time.Millisecond)
		s, err = open(ctx, path)
	}
	if err != nil {
		return nil, fmt.Errorf("open memory %s: %w", path, explain(err))
	}
	return s, nil
}

func open(ctx context.Context, path string) (*Store, error) {
	write, err := sql.Open("sqlite3", dsn(path, nil))
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	s := &Store{write: write, puts: newGroup()}
	if err := migrate(ctx, write); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	readOnly := dsn(path, url.Values{"_query_only": {"on"}, "_txlock": {"deferred"}})
	if s.read, err = sql.Open("sqlite3", readOnly); err != nil {
		return nil, errors.Join(err, write.Close())
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	if s.watch, err = sql.Open("sqlite3", readOnly); err != nil {
		return nil, errors.Join(err, s.read.Close(), write.Close())
	}
	s.watch.SetMaxIdleConns(-1) // a watcher that ends closes its connection
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close closes the file. Nothing is lost when it is not called.
func (s *Store) Close() error { return errors.Join(s.watch.Close(), s.read.Close(), s.write.Close()) }

// dsn holds the settings that belong to a connection; PRAGMA by Exec would
// reach one connection of the pool only.
func dsn(path string, more url.Values) string {
	q := url.Values{
		"_busy_timeout": {"5000"}, // milliseconds; several processes write
		"_cache_size":   {"-512"}, // KiB of each connection; the kernel has the file in its cache too
		"_foreign_keys": {"on"},
		"_journal_mode": {"wal"},
		"_synchronous":  {"full"},      // an acknowledged alert survives a power cut
		"_txlock":       {"immediate"}, // take the write lock at BEGIN, not halfway
	}
	maps.Copy(q, more)
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// inTx runs fn in one immediate transaction and wakes whoever waits for a
// change.
func (s *Store) inTx(ctx context.Context, fn func(tx *sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return explain(err)
	}
	defer tx.Rollback()
	if err := fn(tx); err != nil {
		return explain(domainErr(err))
	}
	if err := tx.Commit(); err != nil {
		return explain(err)
	}
	s.wake.all()
	return nil
}

// domainErr turns the driver errors that callers act on into runbook errors.
func domainErr(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return runbook.ErrNotFound
	}
	return err
}

// explain adds what to do to the errors that an operator can mend.
func explain(err error) error {
	var se sqlite3.Error
	if !errors.As(err, &se) {
		return err
	}
	switch se.Code {
	case sqlite3.ErrFull:
		return fmt.Errorf("%w: the disk is full; free some space, nothing was written", err)
	case sqlite3.ErrReadonly, sqlite3.ErrPerm, sqlite3.ErrCantOpen:
		return fmt.Errorf("%w: the state directory must be writable by the user that runs Watchkeeper", err)
	case sqlite3.ErrBusy, sqlite3.ErrLocked:
		return fmt.Errorf("%w: another process holds the memory for longer than 5 s", err)
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return fmt.Errorf("%w: restore the last backup (docs/operations.md)", err)
	}
	return err
}

func isBusy(err error) bool {
	var se sqlite3.Error
	return errors.As(err, &se) && (se.Code == sqlite3.ErrBusy || se.Code == sqlite3.ErrLocked)
}

// Check reads a row and reports whether the memory can be written: the answer
// to a readiness probe.
func (s *Store) Check(ctx context.Context) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		var n int
		return tx.QueryRowContext(ctx, `SELECT count(*) FROM sessions WHERE id < 0`).Scan(&n)
	})
}

// ms converts a time to a column; the zero time is 0.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// at converts a column to a time in UTC; 0 is the zero time.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Nanosecond columns hold the years 1678 to 2262; anything else, such as the
// year 1 that senders use for "none", is 0.
func ns(t time.Time) int64 {
	if t.Year() < 1679 || t.Year() > 2261 {
		return 0
	}
	return t.UnixNano()
}

func atNanos(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
