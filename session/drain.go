package session

import (
	"context"
	"sync"
	"time"
)

// forgotten is how long a session must be idle before a restart stops waiting
// for the work that it has claimed: nothing runs that could finish it.
const forgotten = time.Minute

// drain waits for work under way, but not for what the session has claimed and
// forgotten. Meanwhile no event is pushed, and the next session is owed all of
// it again.
func (s *Supervisor) drain(ctx context.Context, pid int) {
	if s.cfg.Drain == nil {
		return
	}
	draining, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		s.untilForgotten(draining, pid)
		cancel()
	})
	err := s.cfg.Drain(draining)
	if draining.Err() != nil && ctx.Err() == nil {
		s.cfg.Log.WarnContext(ctx, "restarting with work that nobody does any more", "idle_for", forgotten)
	} else if err != nil {
		s.cfg.Log.WarnContext(ctx, "restarting with work under way", "err", err)
	}
	cancel()
	watch.Wait()
}

// untilForgotten returns when the process pid has been idle for long enough, or
// ctx is done.
func (s *Supervisor) untilForgotten(ctx context.Context, pid int) {
	idle := func(st State) bool { return st.PID != pid || st.Idle() }
	for ctx.Err() == nil {
		if s.await(ctx, idle) != nil {
			return
		}
		calm, cancel := context.WithTimeout(ctx, forgotten)
		err := s.await(calm, func(st State) bool { return !idle(st) })
		cancel()
		if err != nil { // nothing began in that time
			return
		}
	}
}
