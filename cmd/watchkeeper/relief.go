package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"watchkeeper/channels"
	"watchkeeper/runbook"
	"watchkeeper/session"
)

const (
	// reliefAfter is how long a session may be away for whatever reason before
	// the responder takes over. A session that cannot come back by itself is
	// relieved at once.
	reliefAfter = runbook.ClaimWithin
	// reliefLook is how often the state of the session is looked at.
	reliefLook = 200 * time.Millisecond
)

// A relief is the sink that hands events to the session, and to the responder
// while no model can take them. Each has session numbers of its own, so that
// the pump pushes again what the other one left undone.
type relief struct {
	session   channels.Sink
	responder standIn // nil: never relieved
	state     func() session.State
	log       *slog.Logger

	mu     sync.Mutex
	relief bool      // the responder is on duty
	away   time.Time // since when no session takes events; zero while one does
}

// A standIn is a sink that listens while it runs.
type standIn interface {
	channels.Sink
	Run(ctx context.Context) error
}

// Session implements [channels.Sink].
func (r *relief) Session() int64 { return r.sink().Session() }

// Push implements [channels.Sink].
func (r *relief) Push(ctx context.Context, e channels.Event) error { return r.sink().Push(ctx, e) }

func (r *relief) sink() channels.Sink {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.relief {
		return r.responder
	}
	return r.session
}

// Run watches the session until ctx is done. The responder runs while it is on
// duty only. The watchdog tells people that no session works; here it is only
// logged who takes over.
func (r *relief) Run(ctx context.Context) error {
	if r.responder == nil {
		return nil
	}
	for ctx.Err() == nil {
		r.watch(ctx, true)
		if ctx.Err() == nil {
			r.shift(ctx)
		}
	}
	return nil
}

// shift lets the responder work until a session is back.
func (r *relief) shift(ctx context.Context) {
	r.log.WarnContext(ctx, "the responder takes over", "cause", r.state().Cause)
	working, stop := context.WithCancel(ctx)
	var shift sync.WaitGroup
	shift.Go(func() { _ = r.responder.Run(working) }) // it returns nil: it retries what fails
	r.watch(ctx, false)
	stop()
	shift.Wait()
	if ctx.Err() == nil {
		r.log.InfoContext(ctx, "the responder hands back", "session", r.session.Session())
	}
}

// watch looks at the session until the responder is on duty, or is not, as
// until says.
func (r *relief) watch(ctx context.Context, until bool) {
	look := time.NewTicker(reliefLook)
	defer look.Stop()
	for ctx.Err() == nil && r.look(time.Now()) != until {
		select {
		case <-ctx.Done():
		case <-look.C:
		}
	}
}

// look decides who is on duty at now, and reports whether it is the responder.
func (r *relief) look(now time.Time) bool {
	cause := r.state().Cause
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session.Session() != 0 {
		r.away, r.relief = time.Time{}, false
		return false
	}
	if r.away.IsZero() {
		r.away = now
	}
	if hopeless(cause) || now.Sub(r.away) >= reliefAfter {
		r.relief = true
	}
	return r.relief
}

// hopeless reports whether no session can work until something outside
// changes.
func hopeless(c session.Cause) bool {
	switch c {
	case session.NoCLI, session.LoggedOut, session.OutOfQuota, session.Failing:
		return true
	}
	return false
}
