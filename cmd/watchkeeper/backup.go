package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/state"
	"watchkeeper/upkeep"
)

func newBackup(f *house.Flags) *cobra.Command {
	keep := 14
	cmd := &cobra.Command{
		Use:   "backup [FILE|DIR]",
		Short: "Copy the memory while it is in use, and check the copy",
		Long: "Writes a checked copy of the memory to FILE, or under a dated name to DIR: STATE/backups if none is named.\n" +
			"Of the dated copies in a folder, the newest --keep are kept. A file is never replaced.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keep < 1 {
				return fmt.Errorf("--keep %d: want at least 1", keep)
			}
			h, err := open(cmd, f)
			if err != nil {
				return err
			}
			defer h.Close()
			path, dated, err := backupPath(h.Dir, args, time.Now())
			if err != nil {
				return err
			}
			if err := backup(cmd.Context(), h, path); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), path)
			if !dated {
				return nil
			}
			return keepNewest(filepath.Dir(path), keep)
		},
	}
	cmd.Flags().IntVar(&keep, "keep", keep, "how many dated copies are kept in the folder")
	return cmd
}

// backupPath returns the file to write, and whether its name is a dated one.
func backupPath(d state.Dir, args []string, now time.Time) (path string, dated bool, err error) {
	name := "watchkeeper-" + now.UTC().Format("20060102T150405.000Z") + ".db"
	if len(args) == 0 {
		dir := d.Path("backups")
		return filepath.Join(dir, name), true, os.MkdirAll(dir, 0o700)
	}
	info, err := os.Stat(args[0])
	if err == nil && info.IsDir() {
		return filepath.Join(args[0], name), true, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return args[0], false, err
}

func backup(ctx context.Context, h *house.House, path string) error {
	start := time.Now()
	if err := h.Store.Backup(ctx, path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	size := upkeep.Bytes(uint64(info.Size())) //nolint:gosec // a size is not negative
	h.Log.InfoContext(ctx, "memory backed up", "path", path, "size", size, "took", time.Since(start))
	return h.Store.Beat(ctx, house.BackupBeat, path+", "+size)
}

// datedBackup is the name of a file that may be removed when it is old.
var datedBackup = regexp.MustCompile(`^watchkeeper-\d{8}T\d{6}\.\d{3}Z\.db$`)

// keepNewest removes all but the newest n dated copies of dir.
func keepNewest(dir string, n int) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for old backups: %w", err)
	}
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return !datedBackup.MatchString(e.Name()) })
	var errs []error
	for _, old := range entries[:max(0, len(entries)-n)] { // sorted by name, and so by time
		errs = append(errs, os.Remove(filepath.Join(dir, old.Name())))
	}
	return errors.Join(errs...)
}

func newRestore(f *house.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of the memory, and keep what was there",
		Long: "Checks FILE and makes the memory a copy of it; what was there is kept beside it. Nobody may be on duty\n" +
			"meanwhile. What was open at the time of the backup is open again, and is pushed and nagged about again.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := state.Open(f.State)
			if err != nil {
				return err
			}
			release, err := lockAll(dir)
			defer release()
			if err != nil {
				return err
			}
			kept, err := sqlite.Restore(cmd.Context(), dir.Database(), args[0], time.Now())
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is what %s has\n", dir.Database(), args[0])
			if kept != "" {
				fmt.Fprintf(cmd.OutOrStdout(), "the memory from before is %s; remove it when it is not needed\n", kept)
			}
			return nil
		},
	}
}

// lockAll takes the lock of every part, or says who is on duty. The caller
// calls release in any case.
func lockAll(d state.Dir) (release func(), err error) {
	var locks []*state.Lock
	release = func() {
		for _, l := range locks {
			l.Release() //nolint:errcheck // the kernel frees it with the process
		}
	}
	var held []string
	for _, part := range state.Parts() {
		switch lock, err := d.TryLock(part); {
		case errors.Is(err, state.ErrHeld):
			who, _ := d.Holder(part)
			held = append(held, fmt.Sprintf("%s by %s (pid %d)", part, who.Program, who.PID))
		case err != nil:
			return release, err
		default:
			locks = append(locks, lock)
		}
	}
	if len(held) > 0 {
		return release, fmt.Errorf("%s is in use: %s; stop it first (systemctl stop watchkeeper)", d, strings.Join(held, ", "))
	}
	return release, nil
}
