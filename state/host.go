package state

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// retryLock is how often a standby looks whether the lock is free, and so how
// long a part may be without a host.
const retryLock = time.Second

// Host waits for the lock of part, runs fn while it holds it, and gives it
// back. It returns what fn returned; nil if ctx ended while it stood by; and
// at once an error of the lock file, which waiting would not cure.
func (d Dir) Host(ctx context.Context, part Part, log *slog.Logger, fn func(context.Context) error) error {
	lock, err := d.wait(ctx, part, log)
	if lock == nil {
		return err
	}
	log.InfoContext(ctx, "hosting", "part", part)
	err = fn(ctx)
	return errors.Join(err, lock.Release())
}

// wait returns the lock of part, or nil when ctx ended first.
func (d Dir) wait(ctx context.Context, part Part, log *slog.Logger) (*Lock, error) {
	for said := false; ctx.Err() == nil; {
		lock, err := d.TryLock(part)
		if !errors.Is(err, ErrHeld) {
			return lock, err
		}
		if !said {
			holder, _ := d.Holder(part)
			log.InfoContext(ctx, "standing by", "part", part, "holder_pid", holder.PID, "holder", holder.Program)
			said = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryLock):
		}
	}
	return nil, nil
}
