package upkeep

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"watchkeeper/runbook/sqlite"
)

const (
	lookEvery  = time.Minute
	pruneEvery = 24 * time.Hour
	pruneAgain = time.Hour // after one that failed
)

// BeatName is the sign of life that remembers the last pruning.
const BeatName = "prune"

// A Keeper is the upkeep of one state directory. The fields are set before Run
// and not changed.
type Keeper struct {
	Memory    *sqlite.Store
	Disk      *Disk
	Raw       time.Duration // how long texts are kept
	Incidents time.Duration // how long everything else is kept
	Log       *slog.Logger
}

// Run looks after disk and memory until ctx is done, and returns nil then. What
// fails is logged and tried again: nothing else may end because of it.
func (k *Keeper) Run(ctx context.Context) error {
	next := k.due(ctx)
	for ctx.Err() == nil {
		if err := k.Disk.Look(ctx, time.Now()); err != nil && ctx.Err() == nil {
			k.Log.ErrorContext(ctx, "disk not looked after", "err", err)
		}
		if now := time.Now(); !now.Before(next) {
			next = now.Add(k.prune(ctx, now))
		}
		select {
		case <-ctx.Done():
		case <-time.After(lookEvery):
		}
	}
	return nil
}

// due returns when the memory is to be pruned next; the last time is in it.
func (k *Keeper) due(ctx context.Context) time.Time {
	next := time.Now().Add(lookEvery) // everybody else starts first
	beats, err := k.Memory.Beats(ctx)
	if err != nil && ctx.Err() == nil {
		k.Log.WarnContext(ctx, "last pruning not known, it is soon done again", "err", err)
	}
	for _, b := range beats {
		if last := b.At.Add(pruneEvery); b.Name == BeatName && last.After(next) {
			next = last
		}
	}
	return next
}

// prune forgets what is old, and returns how long to wait for the next time.
func (k *Keeper) prune(ctx context.Context, now time.Time) time.Duration {
	forgot, err := k.Prune(ctx, now)
	if err != nil {
		if ctx.Err() == nil {
			k.Log.ErrorContext(ctx, "memory not pruned", "err", err, "before_that", forgot)
		}
		return pruneAgain
	}
	k.Log.InfoContext(ctx, "memory pruned", "forgot", forgot, "took", time.Since(now))
	return pruneEvery
}

// Prune has the memory forget what is old at now, and returns in words what
// that was; with an error, what it was before. Several may run at once.
func (k *Keeper) Prune(ctx context.Context, now time.Time) (forgot string, err error) {
	done, err := k.Memory.Prune(ctx, sqlite.Retention{Raw: now.Add(-k.Raw), Incidents: now.Add(-k.Incidents)})
	forgot = told(done)
	if err == nil {
		err = k.Memory.Beat(ctx, BeatName, forgot)
	}
	return forgot, err
}

func told(done []sqlite.Pruned) string {
	var parts []string
	for _, p := range done {
		parts = append(parts, fmt.Sprintf("%d %s", p.Rows, p.What))
	}
	if len(parts) == 0 {
		return "nothing was old"
	}
	return strings.Join(parts, ", ")
}

// Bytes is a size for people, in binary units.
func Bytes(n uint64) string {
	const unit = 1024
	size, name := float64(n), "B"
	for _, next := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if size < unit {
			break
		}
		size, name = size/unit, next
	}
	if size < 10 && name != "B" {
		return fmt.Sprintf("%.1f %s", size, name)
	}
	return fmt.Sprintf("%.0f %s", size, name)
}
