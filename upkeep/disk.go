package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"watchkeeper/runbook"
)

// The steps of a disk that fills up, in bytes that are free.
const (
	Low        = 1 << 30  // people get a message
	Scarce     = 96 << 20 // people are paged, and the reserve gives up its place
	reserveFor = 32 << 20 // what the reserve gives: room for a hundred thousand alerts
)

// A People is the way to people: rows of the memory.
type People interface {
	Send(ctx context.Context, m runbook.Message) error
	Escalate(ctx context.Context, e runbook.Escalation, text string) (runbook.Escalation, bool, error)
	Escalations(ctx context.Context, states ...runbook.EscalationState) ([]runbook.Escalation, error)
	ResolveEscalation(ctx context.Context, id int64, user string, now time.Time) error
}

// A Disk is what the state directory is on.
type Disk struct {
	Path   string // of the state directory
	People People
	Log    *slog.Logger

	// Free returns the bytes that we may still write below a path; nil asks the
	// kernel.
	Free func(path string) (uint64, error)
}

// Free returns the bytes that this user may still write below path.
func Free(path string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, fmt.Errorf("ask for the free space of %s: %w", path, err)
	}
	return s.Bavail * uint64(s.Bsize), nil //nolint:gosec // a block size is positive
}

// Look looks at the space that is left and does what the step wants.
func (d *Disk) Look(ctx context.Context, now time.Time) error {
	free := d.Free
	if free == nil {
		free = Free
	}
	left, err := free(d.Path)
	if err != nil {
		return err
	}
	switch {
	case left < Scarce:
		return d.scarce(ctx, left, now)
	case left < Low:
		return d.low(ctx, left, now)
	}
	return d.plenty(ctx, now)
}

// low tells people once a day.
func (d *Disk) low(ctx context.Context, left uint64, now time.Time) error {
	d.Log.WarnContext(ctx, "disk space is low", "free_bytes", left)
	return d.People.Send(ctx, runbook.Message{
		Key: "disk-low:" + now.UTC().Format(time.DateOnly), Kind: "message", CreatedAt: now,
		Text: fmt.Sprintf("The disk of Watchkeeper itself has %s left. Make room before it is full: no alert can be stored then. "+
			"What takes the space: du -xh --max-depth=2 / | sort -h | tail; what is safe to remove: docs/operations.md, \"The disk fills up\".", Bytes(left)),
	})
}

// scarce makes room first, since the page needs it.
func (d *Disk) scarce(ctx context.Context, left uint64, now time.Time) error {
	switch err := os.Remove(d.reserve()); {
	case err == nil:
		d.Log.ErrorContext(ctx, "disk is nearly full, reserve given up", "free_bytes", left)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("give up the reserve: %w", err)
	}
	e := runbook.Escalation{
		Key: pagePrefix + now.UTC().Format(time.DateOnly), Severity: runbook.Critical, Env: runbook.Prod, Alert: "disk of Watchkeeper",
		Title:     fmt.Sprintf("Watchkeeper's own disk is nearly full: %s left", Bytes(left)),
		Impact:    "Soon no alert can be stored. Senders get 503 then and repeat for a while; Grafana does not.",
		Found:     "The state directory is " + d.Path,
		Recommend: `Make room: docs/operations.md, "The disk fills up".`,
		Default:   "It goes on with the reserve of 32 MiB, then alerts are refused.",
		OpenedBy:  "watchdog", OpenedAt: now,
	}
	_, _, err := d.People.Escalate(ctx, e, e.Title+"\n"+e.Impact+"\n"+e.Recommend)
	return err
}

// plenty puts the reserve back, and ends what people were paged for: its cause
// is gone.
func (d *Disk) plenty(ctx context.Context, now time.Time) error {
	if info, err := os.Stat(d.reserve()); err == nil && info.Size() == reserveFor {
		return nil
	}
	open, err := d.People.Escalations(ctx, runbook.EscalationOpen, runbook.EscalationAcked, runbook.EscalationSnoozed)
	if err != nil {
		return err
	}
	for _, e := range open {
		if !strings.HasPrefix(e.Key, pagePrefix) {
			continue
		}
		d.Log.InfoContext(ctx, "disk has room again")
		if err := d.People.ResolveEscalation(ctx, e.ID, "watchdog", now); err != nil {
			return err
		}
	}
	if err := d.putBack(); err != nil {
		return fmt.Errorf("put the reserve back: %w", err)
	}
	return nil
}

// pagePrefix begins the key of a page; the day ends it, so that a disk that
// stays full is said once a day.
const pagePrefix = "disk:"

func (d *Disk) reserve() string { return filepath.Join(d.Path, "reserve") }

// putBack fills the reserve with what no file system can make smaller.
func (d *Disk) putBack() error {
	f, err := os.OpenFile(d.reserve(), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{}), reserveFor)
	return errors.Join(err, f.Close())
}
