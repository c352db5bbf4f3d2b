package session

import (
	"context"
	"fmt"
	"time"
)

const (
	// authRetries is how often a refused login is tried again by the CLI
	// before we believe it; it would go on for minutes.
	authRetries = 4
	// longDelay is a retry of the CLI that is as good as no quota.
	longDelay = 2 * time.Minute
	// settled is how long a session must be idle to be at rest.
	settled = time.Second
)

// State returns what is known now.
func (s *Supervisor) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// Session returns the number of the session that takes events, 0 while none
// does.
func (s *Supervisor) Session() int64 {
	if st := s.State(); st.Phase == Up {
		return st.Session
	}
	return 0
}

// Push hands text to the session. It returns [ErrNoSession] unless one is Up,
// and never blocks for longer than [Stream.Send].
func (s *Supervisor) Push(ctx context.Context, text string) error {
	s.mu.Lock()
	p, up := s.process, s.state.Phase == Up
	s.mu.Unlock()
	if p == nil || !up {
		return ErrNoSession
	}
	if err := p.Send(ctx, text); err != nil {
		return fmt.Errorf("%w: %w", ErrNoSession, err)
	}
	s.change(func(st *State) { st.Busy = true })
	return nil
}

// Restart ends the session and lets a fresh one begin. It takes no more events
// at once, and waits for work under way first, until ctx is done: then it does
// not wait any longer. Without a session it ends the pause. It returns when the
// old session is gone.
func (s *Supervisor) Restart(ctx context.Context) error {
	old := s.State()
	if old.PID == 0 {
		select {
		case s.wake <- struct{}{}:
		default:
		}
		return nil
	}
	s.change(func(st *State) {
		if st.Phase == Up {
			st.Phase = Draining
		}
	})
	s.drain(ctx, old.PID)
	s.settle(ctx, old.PID)
	if s.State().PID == old.PID {
		s.finish(End{Cause: Restarted})
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*(closeGrace+signalGrace+serverGrace))
	defer cancel()
	return s.await(ctx, func(st State) bool { return st.PID != old.PID })
}

// settle waits until the process pid is idle and stays so for a while: between
// the report of a sub-agent and the turn that reads it nothing seems to run.
func (s *Supervisor) settle(ctx context.Context, pid int) {
	over := func(st State) bool { return st.PID != pid }
	for !over(s.State()) && ctx.Err() == nil {
		s.await(ctx, func(st State) bool { return over(st) || st.Idle() }) //nolint:errcheck // ctx is looked at
		s.sleep(ctx, settled)
		if st := s.State(); over(st) || st.Idle() {
			return
		}
	}
}

// Finish ends the session, for a reason that the caller has seen; a watchdog
// that finds it deaf, for example. A new one follows as the cause demands.
func (s *Supervisor) Finish(end End) { s.finish(end) }

func (s *Supervisor) finish(end End) {
	s.mu.Lock()
	cancel := s.end
	s.mu.Unlock()
	if cancel != nil {
		cancel(end)
	}
}

// await returns when ok holds for the state.
func (s *Supervisor) await(ctx context.Context, ok func(State) bool) error {
	for {
		s.mu.Lock()
		st, changed := s.state, s.changed
		s.mu.Unlock()
		if ok(st) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// begin is the state of a session that is being started.
func (s *Supervisor) begin(end context.CancelCauseFunc) {
	s.mu.Lock()
	s.end, s.limit, s.failures = end, Limit{}, 0
	select {
	case <-s.failed:
	default:
	}
	s.mu.Unlock()
	s.change(func(st *State) { *st = State{Phase: Starting, Cause: st.Cause, Detail: st.Detail} })
}

// adopt takes p over under the number that the store gave it.
func (s *Supervisor) adopt(p Process, id int64) {
	s.mu.Lock()
	s.process = p
	s.mu.Unlock()
	s.change(func(st *State) { st.Mode, st.Session, st.PID = p.Mode(), id, p.PID() })
}

// change alters the state and tells whoever waits for it; the caller's
// callback only if the phase or the cause is another.
func (s *Supervisor) change(alter func(st *State)) {
	s.telling.Lock() // the callback hears of changes in their order
	defer s.telling.Unlock()
	s.mu.Lock()
	before := s.state
	alter(&s.state)
	told := s.state.Phase != before.Phase || s.state.Cause != before.Cause
	if s.state.Phase != before.Phase || s.state.Since.IsZero() {
		s.state.Since = time.Now().UTC()
	}
	after := s.state
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	if told && s.cfg.OnChange != nil {
		s.cfg.OnChange(after)
	}
}

// observe learns from what the CLI says.
func (s *Supervisor) observe(o Output) {
	now := time.Now().UTC()
	s.change(func(st *State) { st.LastOutput = now })
	switch o := o.(type) {
	case Init:
		s.change(func(st *State) { st.ID, st.Model, st.Busy = o.SessionID, o.Model, true })
	case Used:
		if o.Agent == "" {
			s.change(func(st *State) { st.Context = o.Tokens })
		}
	case Said:
		s.alive(o.Agent)
	case ToolUse:
		s.alive(o.Agent)
	case Tasks:
		s.change(func(st *State) { st.Running = o.Running })
	case Limit:
		s.mu.Lock()
		s.limit = o
		s.mu.Unlock()
	case Failed:
		s.refused(o.Code, o.Text, now)
		s.change(func(st *State) { st.Detail = o.Text })
	case Retry:
		s.retrying(o, now)
	case TurnEnd:
		s.turnEnded(o)
	}
	if s.cfg.Observe != nil {
		s.cfg.Observe(o)
	}
}

// alive notes that the model answers.
func (s *Supervisor) alive(agent string) {
	if agent != "" {
		return
	}
	s.mu.Lock()
	s.failures = 0
	s.mu.Unlock()
	s.change(func(st *State) {
		st.Busy = true
		if st.Phase == Starting && st.Session != 0 {
			st.Phase, st.Cause, st.Detail = Up, "", ""
		}
	})
}

// refused ends a session that cannot go on with this error.
func (s *Supervisor) refused(code, text string, now time.Time) {
	s.mu.Lock()
	limit := s.limit
	s.mu.Unlock()
	if end, ok := endOf(code, text, limit, now); ok {
		s.finish(end)
	}
}

// retrying cuts short what the CLI would try for minutes to no avail.
func (s *Supervisor) retrying(r Retry, now time.Time) {
	switch cause := causeOf(r.Code); {
	case cause == LoggedOut && r.Attempt >= authRetries:
		s.refused(r.Code, "the login is refused", now)
	case cause == OutOfQuota && r.Delay >= longDelay:
		s.finish(End{Cause: OutOfQuota, Detail: "the API asks to wait", RetryAt: now.Add(r.Delay)})
	}
}

// turnEnded counts failed turns: the session lives on after one, and is given
// up after a few.
func (s *Supervisor) turnEnded(t TurnEnd) {
	s.change(func(st *State) { st.Busy, st.Cost = false, t.Cost })
	if !t.Failed {
		return
	}
	s.mu.Lock()
	s.failures++
	failures := s.failures
	s.mu.Unlock()
	if failures >= maxFailures {
		s.finish(End{Cause: Failing, Detail: t.Text})
		return
	}
	select {
	case s.failed <- struct{}{}:
	default:
	}
}
