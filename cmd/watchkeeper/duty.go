package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"watchkeeper/channels"
	"watchkeeper/cmd/internal/house"
	"watchkeeper/cmd/internal/toolbox"
	"watchkeeper/responder"
	"watchkeeper/runbook"
	"watchkeeper/session"
	"watchkeeper/state"
)

// duty keeps a session, or the responder in its stead, and pushes events into
// it, until ctx is done.
func duty(ctx context.Context, h *house.House, f house.Flags) error {
	eyes, err := toolbox.New(h)
	if err != nil {
		return err
	}
	floor := newFloor(h)
	floor.clear(ctx)
	defer floor.take()
	g, ctx := errgroup.WithContext(ctx)
	triage := responder.New(responder.Config{
		Store: h.Store, Looker: responder.FirstLook{Tools: eyes.FirstLook()},
		Policy: h.Config.Policy.Rules(), Playbooks: h.Playbooks, Log: h.Log,
	})
	if h.Config.Session.Mode == "responder" {
		g.Go(func() error { return triage.Run(ctx) })
		g.Go(func() error { return h.Pump(ctx, state.Pump, "webhook", triage) })
		return g.Wait()
	}
	s, err := newSession(h, f, floor)
	if err != nil {
		return err
	}
	defer s.Close()
	stream := streamSink{s.supervisor, "webhook"}
	relief := &relief{session: stream, state: s.supervisor.State, log: h.Log}
	if h.Config.Session.Mode == "auto" {
		relief.responder = triage
	}
	g.Go(func() error { return s.supervisor.Run(ctx) })
	g.Go(func() error { return floor.Run(ctx) })
	g.Go(func() error { return relief.Run(ctx) })
	g.Go(func() error { return noteKeeper(ctx, h, s.supervisor.State) })
	g.Go(func() error { return h.PumpWhile(ctx, floor.ours, state.Pump, "webhook", relief) })
	g.Go(func() error {
		return h.PumpWhile(ctx, floor.ours, state.Talk, "slack", streamSink{s.supervisor, "slack"})
	})
	g.Go(func() error { return restarts(ctx, h, s.supervisor) })
	return g.Wait()
}

// A streamSink pushes events into a session in stream mode: the tag that the
// CLI would make of a notification, as a message of the user.
type streamSink struct {
	session *session.Supervisor
	source  string // name of the server that the event is of
}

// Session implements [channels.Sink].
func (s streamSink) Session() int64 { return s.session.Session() }

// Push implements [channels.Sink].
func (s streamSink) Push(ctx context.Context, e channels.Event) error {
	if err := s.session.Push(ctx, e.Tag(s.source)); err != nil {
		return fmt.Errorf("%w: %w", channels.ErrNoSession, err)
	}
	return nil
}

// restarts gives the session a fresh context once a day, and when `watchkeeper
// restart` asks for it.
func restarts(ctx context.Context, h *house.House, s *session.Supervisor) error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	defer signal.Stop(asked)
	for ctx.Err() == nil {
		next := time.NewTimer(time.Until(h.Config.Session.RestartAt.Next(time.Now())))
		select {
		case <-ctx.Done():
		case <-asked:
		case <-next.C:
		}
		next.Stop()
		if ctx.Err() != nil {
			break
		}
		h.Log.InfoContext(ctx, "restarting the session")
		drain, cancel := context.WithTimeout(ctx, drainWithin)
		if err := s.Restart(drain); err != nil && ctx.Err() == nil {
			h.Log.ErrorContext(ctx, "session not restarted", "err", err)
		}
		cancel()
	}
	return nil
}

// drained waits until nothing is claimed, or ctx is done.
func drained(h *house.House) func(context.Context) error {
	return func(ctx context.Context) error {
		for {
			open, err := h.Store.Open(ctx)
			if err != nil || ctx.Err() != nil {
				return err
			}
			claimed := 0
			for _, d := range open {
				if d.State == runbook.Claimed {
					claimed++
				}
			}
			if claimed == 0 {
				return nil
			}
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// preflight reports what a session cannot do without, before anything runs.
func preflight(h *house.House) error {
	if h.Config.Session.Mode == "responder" {
		return nil
	}
	var errs []error
	if _, err := os.Stat(filepath.Join(h.Workspace, "CLAUDE.md")); err != nil {
		errs = append(errs, fmt.Errorf("no runbook in %s: %w; run watchkeeper up where CLAUDE.md is, or make a workspace with watchkeeper init", h.Workspace, err))
	}
	for _, name := range servers {
		if _, err := serverPath(name); err != nil {
			errs = append(errs, err)
		}
	}
	_, err := subAgents(h)
	return errors.Join(append(errs, err)...)
}
