package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Backup writes a copy of the memory, as it is at one instant, to the new file
// at path, while everybody else goes on reading and writing. The copy is one
// file without a log beside it, smaller than the memory if that has holes, and
// readable by nobody else. It is examined and synced before it gets its name:
// whoever finds a file at path finds a whole one. A file that exists is never
// replaced; the error is then [fs.ErrExist].
func (s *Store) Backup(ctx context.Context, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("back up to %s: %w; name a new file", path, fs.ErrExist)
	}
	removeUnfinished(filepath.Dir(path))
	dir, err := os.MkdirTemp(filepath.Dir(path), unfinished) // mode 0700, on the same disk
	if err != nil {
		return fmt.Errorf("back up to %s: %w", path, err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the next backup sweeps what is left
	copied := filepath.Join(dir, "memory.db")
	if err := s.vacuumInto(ctx, copied); err != nil {
		return fmt.Errorf("back up to %s: %w", path, explain(err))
	}
	if err := certify(ctx, copied); err != nil {
		return fmt.Errorf("back up to %s: %w", path, err)
	}
	if err := errors.Join(publish(copied, path), syncFile(filepath.Dir(path))); err != nil {
		return fmt.Errorf("back up to %s: %w", path, err)
	}
	return nil
}

// unfinished are the folders in which backups are made.
const unfinished = ".backup-*"

// removeUnfinished removes what killed backups left in dir. None takes an hour.
func removeUnfinished(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, unfinished)) // the pattern is fine
	for _, path := range left {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > time.Hour {
			os.RemoveAll(path) //nolint:errcheck // the next one tries again
		}
	}
}

// publish gives a file its name. A link, unlike a renaming, fails if somebody
// was faster; not every disk that one backs up to has links.
func publish(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		return os.Rename(from, to)
	}
	return err
}

// vacuumInto copies on a connection of its own: the readers of a Store may
// write nowhere, and its writer is needed meanwhile.
func (s *Store) vacuumInto(ctx context.Context, path string) error {
	var source string
	if err := s.read.QueryRowContext(ctx, `SELECT file FROM pragma_database_list WHERE name = 'main'`).Scan(&source); err != nil {
		return err
	}
	db, err := sql.Open("sqlite3", dsn(source, url.Values{"mode": {"ro"}}))
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, path)
	return err
}

// certify makes a finished copy durable, and refuses one that is not whole.
func certify(ctx context.Context, path string) error {
	if err := errors.Join(os.Chmod(path, 0o600), syncFile(path)); err != nil {
		return err
	}
	h, err := Examine(ctx, path)
	if err != nil {
		return err
	}
	return h.Err()
}

// Restore makes the memory at path a copy of the backup, and keeps what was
// there: it returns the path of that, or "" if there was nothing. The backup is
// examined first; nothing is changed unless it is whole and not newer than this
// program. The caller holds every lock of the state directory. A process that
// has the memory open without a lock makes it fail, with a hint; a memory that
// is too damaged to tell is set aside as it is. now names what is kept.
func Restore(ctx context.Context, path, backup string, now time.Time) (kept string, err error) {
	if err := restorable(ctx, backup); err != nil {
		return "", fmt.Errorf("restore %s: %w", backup, err)
	}
	fresh := path + ".restoring"
	if err := copyFile(fresh, backup); err != nil {
		return "", fmt.Errorf("restore %s: %w", backup, err)
	}
	defer os.Remove(fresh) //nolint:errcheck // is gone when all went well
	if err := certify(ctx, fresh); err != nil {
		return "", fmt.Errorf("restore %s: %w", backup, err)
	}
	if kept, err = setAside(ctx, path, now); err != nil {
		return "", fmt.Errorf("restore %s: %w", backup, err)
	}
	if err := errors.Join(os.Rename(fresh, path), syncFile(filepath.Dir(path))); err != nil {
		return kept, fmt.Errorf("restore %s: %w; the memory from before is %s", backup, err, kept)
	}
	return kept, nil
}

func restorable(ctx context.Context, backup string) error {
	h, err := Examine(ctx, backup)
	if err != nil {
		return err
	}
	return h.Err()
}

// setAside gives the memory at path a second name, under which it stays, and
// returns that; "" if there is none.
func setAside(ctx context.Context, path string, now time.Time) (string, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	switch err := alone(ctx, path); {
	case isBusy(err):
		return "", errors.New("another process has the memory open; end every session and every watchkeeper command, then try again")
	case isFull(err):
		return "", explain(err)
	}
	kept := path + ".before-" + now.UTC().Format("20060102T150405Z")
	// Only a damaged memory still has its log: it would be poison beside another
	// file. The memory itself keeps its name until the new one takes it, so that
	// a process that starts after a kill never finds none and makes an empty one.
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Rename(path+suffix, kept+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return kept, publish(path, kept)
}

// alone folds the log of the memory into its file, which SQLite does only for
// the one process that has it open.
func alone(ctx context.Context, path string) error {
	db, err := sql.Open("sqlite3", dsn(path, url.Values{"_journal_mode": {"delete"}, "_busy_timeout": {"1000"}}))
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx)
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// syncFile makes a file, or the names in a directory, survive a power cut.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
