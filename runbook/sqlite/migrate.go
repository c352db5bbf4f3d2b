package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate applies what is missing. Several servers start at once: one migrates,
// the others find it busy, and Open tries again. goose was chosen over our own loop because it keeps a table of
// what ran when, which an operator can read, and works on an embedded
// directory without a tool.
func migrate(ctx context.Context, db *sql.DB) error {
	done, err := current(ctx, db)
	if err != nil || done {
		return err
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, dir,
		goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		if _, err = provider.Up(ctx); err == nil {
			return nil
		}
		if done, lookErr := current(ctx, db); lookErr == nil && done {
			return nil // another process was faster
		}
		if isBusy(err) || ctx.Err() != nil || try == migrateTries {
			return err
		}
		// Another process is halfway: goose looked before it committed a step,
		// and found that step done when it came to it.
		time.Sleep(20 * time.Millisecond)
	}
}

// migrateTries bounds the wait for another process to about 5 seconds; a
// migration that is wrong fails every time.
const migrateTries = 250

// current reports whether the newest embedded migration has run: the common
// case at start, which must be fast. A schema that is newer than all of them is
// an error: nobody knows what writing to it would do.
func current(ctx context.Context, db *sql.DB) (bool, error) {
	newest, err := newestMigration()
	if err != nil {
		return false, err
	}
	version, err := schemaVersion(ctx, db)
	if version > newest {
		return false, fmt.Errorf("its schema has version %d and this program knows %d; use the program that wrote it, or a newer one, "+
			"or restore the backup from before the upgrade", version, newest)
	}
	return version == newest, err
}
