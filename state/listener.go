package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"
)

// SetListener names the session that takes events from its own servers: the
// one that was started with token in its environment. "" says that there is
// none. Only the holder of [Session] calls it.
func (d Dir) SetListener(token string) error {
	path := d.Path("listener")
	if token == "" {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("name no listener: %w", err)
		}
		return nil
	}
	fresh := path + ".new"
	err := os.WriteFile(fresh, []byte(token), 0o600)
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		return fmt.Errorf("name the listener: %w", err)
	}
	return nil
}

// MayPush reports whether the servers of a session that was started with token
// ("" by hand) may push events into it. While somebody keeps a session, only
// those of the one that is named may: the copies that other claude processes
// start must not take its events away. Without a keeper everybody may, and the
// locks decide.
func (d Dir) MayPush(token string) bool {
	if _, kept := d.Holder(Session); !kept {
		return true
	}
	named, err := os.ReadFile(d.Path("listener"))
	return err == nil && token != "" && strings.TrimSpace(string(named)) == token
}

// HostWhile is like [Dir.Host], as long as allowed says so: it stands back when
// that ends, and takes its turn again later. It returns when ctx is done, or
// when fn returns by itself.
func (d Dir) HostWhile(ctx context.Context, part Part, log *slog.Logger, allowed func() bool, fn func(context.Context) error) error {
	for await(ctx, allowed) {
		turn, stop := context.WithCancel(ctx)
		over := make(chan struct{})
		go func() {
			defer close(over)
			defer stop()
			await(turn, func() bool { return !allowed() })
		}()
		err := d.Host(turn, part, log, fn)
		byItself := turn.Err() == nil
		stop()
		<-over
		if err != nil || byItself {
			return err
		}
	}
	return nil
}

// lookAllowed is how often it is seen whether somebody may host.
const lookAllowed = 100 * time.Millisecond

// await reports whether ok held before ctx was done.
func await(ctx context.Context, ok func() bool) bool {
	look := time.NewTicker(lookAllowed)
	defer look.Stop()
	for ctx.Err() == nil {
		if ok() {
			return true
		}
		select {
		case <-ctx.Done():
		case <-look.C:
		}
	}
	return false
}
