package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/upkeep"
)

// A Memory is the file that holds everything.
type Memory struct {
	Path    string
	Backups string // folder of the dated copies

	// Ready is set by Examine when the memory can be opened without changing
	// it: it is whole, and its schema is that of this program.
	Ready bool
}

const memory = place("memory")

// Examine reads every page of the memory, and looks for a backup.
func (m *Memory) Examine(ctx context.Context) []Finding {
	h, err := sqlite.Examine(ctx, m.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{memory.ok("integrity", "there is none yet; up makes it")}
	case err != nil:
		return []Finding{memory.wrong("integrity", err.Error(), "run as the user that is on duty; if it stays, look at the disk")}
	}
	m.Ready = h.Err() == nil && h.Version == h.Newest
	return []Finding{m.integrity(h), schema(h), m.backup(time.Now())}
}

func (m *Memory) integrity(h sqlite.Health) Finding {
	if len(h.Damage) > 0 {
		return memory.wrong("integrity", strings.Join(h.Damage, "; "),
			"systemctl stop watchkeeper; watchkeeper restore the newest of "+m.Backups+` (docs/operations.md, "Restore")`)
	}
	return memory.ok("integrity", "%s, %d incidents, every page and reference is whole", upkeep.Bytes(uint64(h.Bytes)), h.Incidents) //nolint:gosec // a size is not negative
}

func schema(h sqlite.Health) Finding {
	switch {
	case h.Version > h.Newest:
		return memory.wrong("schema", fmt.Sprintf("version %d, and this program knows %d", h.Version, h.Newest),
			`use the release that wrote it, or restore the backup from before the upgrade (docs/operations.md, "Roll back")`)
	case h.Version < h.Newest:
		return memory.ok("schema", "version %d; the next start brings it to %d", h.Version, h.Newest)
	case !h.WAL:
		return memory.advice("schema", "not in WAL mode yet", "nothing: the next start sets it")
	}
	return memory.ok("schema", "version %d", h.Version)
}

// backup looks for a dated copy that is not too old.
func (m *Memory) backup(now time.Time) Finding {
	const fix = "install deploy/systemd/watchkeeper-backup.timer or deploy/cron/watchkeeper, or run: watchkeeper backup"
	copies, _ := filepath.Glob(filepath.Join(m.Backups, "watchkeeper-*.db")) // the pattern is fine
	if len(copies) == 0 {
		return memory.advice("backup", "there is none in "+m.Backups, fix)
	}
	newest := copies[len(copies)-1] // sorted by name, and so by time
	info, err := os.Stat(newest)
	if err != nil {
		return memory.advice("backup", err.Error(), fix)
	}
	age := now.Sub(info.ModTime())
	if age > 2*runbook.Day {
		return memory.advice("backup", fmt.Sprintf("the newest is %s old: %s", runbook.Short(age), newest), fix)
	}
	return memory.ok("backup", "%d, the newest %s old", len(copies), runbook.Short(age))
}
