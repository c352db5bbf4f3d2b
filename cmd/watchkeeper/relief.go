package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"watchkeeper/channels"
	"watchkeeper/cmd/internal/house"
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
	house     *house.House

	mu      sync.Mutex
	relief  bool
	away    time.Time // since when no session takes events; zero while one does
	relieve string    // cause of the last relief, said once
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
// duty only. People are told once when it takes over, and when it hands back.
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
	working, stop := context.WithCancel(ctx)
	var shift sync.WaitGroup
	shift.Go(func() { _ = r.responder.Run(working) }) // it returns nil: it retries what fails
	r.watch(ctx, false)
	stop()
	shift.Wait()
}

// watch looks at the session until the responder is on duty, or is not, as
// until says.
func (r *relief) watch(ctx context.Context, until bool) {
	look := time.NewTicker(reliefLook)
	defer look.Stop()
	for ctx.Err() == nil {
		if text := r.look(time.Now()); text != "" {
			r.tell(ctx, text)
		}
		if r.relieved() == until {
			return
		}
		select {
		case <-ctx.Done():
		case <-look.C:
		}
	}
}

func (r *relief) relieved() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.relief
}

// look decides who is on duty at now, and returns what people should hear of
// it; "" for nothing.
func (r *relief) look(now time.Time) string {
	st := r.state()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.session.Session() != 0 {
		r.away = time.Time{}
		if !r.relief {
			return ""
		}
		r.relief, r.relieve = false, ""
		return "A session is back and takes over from the responder."
	}
	if r.away.IsZero() {
		r.away = now
	}
	if r.relief || !hopeless(st.Cause) && now.Sub(r.away) < reliefAfter {
		return ""
	}
	r.relief = true
	cause := string(st.Cause)
	if cause == "" {
		cause = "it does not start"
	}
	if cause == r.relieve {
		return ""
	}
	r.relieve = cause
	return fmt.Sprintf("No model is on duty (%s). The responder triages alone: it dismisses what is known noise or has "+
		"provably recovered, escalates the rest, and changes nothing. %s", cause, advice(st))
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

// advice says what a person can do.
func advice(st session.State) string {
	switch st.Cause {
	case session.NoCLI:
		return "Install Claude Code, or set session.claude to its path."
	case session.LoggedOut:
		return "Log in again: run claude as the user of Watchkeeper and type /login."
	case session.OutOfQuota:
		if !st.RetryAt.IsZero() {
			return "A session is tried again at " + st.RetryAt.UTC().Format("15:04 UTC") + "."
		}
		return "A session is tried again by itself."
	}
	return "See watchkeeper status."
}

func (r *relief) tell(ctx context.Context, text string) {
	now := time.Now()
	r.house.Log.WarnContext(ctx, "change of duty", "what", text)
	err := r.house.Store.Send(ctx, runbook.Message{Key: fmt.Sprintf("relief:%d", now.UnixMilli()), Kind: "message", Text: text, CreatedAt: now})
	if err != nil && ctx.Err() == nil {
		r.house.Log.ErrorContext(ctx, "change of duty not told", "err", err)
	}
}
