package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// maxDamages bounds what an examination lists.
const maxDamages = 10

// A Health is what an examination of a memory found.
type Health struct {
	Version   int      // of its schema; 0 if it is no memory of ours
	Newest    int      // the version that this program writes
	WAL       bool     // readers and the writer do not wait for each other
	Bytes     int64    // of its pages, in the file and in the log
	Incidents int      // what it remembers
	Damage    []string // lines of SQLite's own checks; empty if it is whole
}

// Err returns what makes the memory unusable for this program, or nil.
func (h Health) Err() error {
	switch {
	case h.Version == 0:
		return errors.New("it is no memory of Watchkeeper")
	case h.Version > h.Newest:
		return fmt.Errorf("its schema has version %d and this program knows %d; use the program that wrote it, or a newer one", h.Version, h.Newest)
	case len(h.Damage) > 0:
		return fmt.Errorf("it is damaged: %s", strings.Join(h.Damage, "; "))
	}
	return nil
}

// Examine looks at the file at path without changing it, whether or not others
// use it: it reads every page (PRAGMA quick_check) and every reference. The
// error is [fs.ErrNotExist] if there is no file; what cannot be read as a
// database at all is damage.
func Examine(ctx context.Context, path string) (Health, error) {
	newest, err := newestMigration()
	if err != nil {
		return Health{}, err
	}
	h := Health{Newest: newest}
	if _, err := os.Stat(path); err != nil {
		return h, err
	}
	db, err := sql.Open("sqlite3", dsn(path, url.Values{"mode": {"ro"}, "_query_only": {"on"}, "_txlock": {"deferred"}, "_journal_mode": nil}))
	if err != nil {
		return h, err
	}
	defer db.Close()
	if err := h.look(ctx, db); isDamage(err) {
		h.Damage = append(h.Damage, err.Error())
	} else if err != nil {
		return h, fmt.Errorf("examine %s: %w", path, explain(err))
	}
	return h, nil
}

func (h *Health) look(ctx context.Context, db *sql.DB) error {
	var mode string
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return err
	}
	h.WAL = mode == "wal"
	if err := db.QueryRowContext(ctx, `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`).Scan(&h.Bytes); err != nil {
		return err
	}
	pages, err := lines(ctx, db, fmt.Sprintf(`PRAGMA quick_check(%d)`, maxDamages))
	if err != nil {
		return err
	}
	references, err := lines(ctx, db, fmt.Sprintf(`SELECT 'row ' || rowid || ' of ' || "table" || ' refers to nothing in ' || parent
		FROM pragma_foreign_key_check LIMIT %d`, maxDamages))
	if err != nil {
		return err
	}
	h.Damage = slices.DeleteFunc(append(pages, references...), func(line string) bool { return line == "ok" })
	if h.Version, err = schemaVersion(ctx, db); err != nil || h.Version == 0 {
		return err
	}
	return db.QueryRowContext(ctx, `SELECT count(*) FROM incidents`).Scan(&h.Incidents)
}

func lines(ctx context.Context, db *sql.DB, query string) ([]string, error) {
	return collect(ctx, db, func(r *sql.Rows) (string, error) {
		var line string
		return line, r.Scan(&line)
	}, query)
}

// isDamage tells what is wrong with a file from what is wrong with our access.
func isDamage(err error) bool {
	var se sqlite3.Error
	return errors.As(err, &se) && (se.Code == sqlite3.ErrCorrupt || se.Code == sqlite3.ErrNotADB)
}

func isFull(err error) bool {
	var se sqlite3.Error
	return errors.As(err, &se) && se.Code == sqlite3.ErrFull
}

// newestMigration is the schema version of this program.
func newestMigration() (int, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	return len(files), err
}

// schemaVersion returns the newest migration that ran, 0 if none did.
func schemaVersion(ctx context.Context, db *sql.DB) (int, error) {
	var tables, version int
	err := db.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE name = 'goose_db_version'`).Scan(&tables)
	if err != nil || tables == 0 {
		return 0, err
	}
	err = db.QueryRowContext(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied = 1`).Scan(&version)
	return version, err
}
