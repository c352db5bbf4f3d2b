package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

const (
	probeWithin = 10 * time.Second // for one answer of the CLI
	maxSilent   = 3                // answers that may be missing in a row
	maxFailures = 3                // failed turns in a row
	nudgeAfter  = 20 * time.Second // after a failed turn; doubles with each
)

// goOn wakes a model whose turn was lost to an error of the API.
const goOn = "The last turn was cut off by an error of the API (%s). Go on where you were. " +
	"pending_events shows what still has no verdict."

// attend gives the session its briefing, looks after it, and returns when ctx
// is done.
func (s *Supervisor) attend(ctx context.Context, p Process) {
	s.connect(ctx, p)
	if !s.brief(ctx, p) {
		return
	}
	probe := time.NewTicker(s.cfg.Probe)
	defer probe.Stop()
	var nudge <-chan time.Time
	silent := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.failed:
			nudge = time.After(nudgeAfter << (s.failuresNow() - 1))
		case <-nudge:
			nudge = nil
			s.nudge(ctx, p)
		case <-probe.C:
			if err := s.probe(ctx, p); err == nil {
				silent = 0
				s.diagnose(ctx, time.Now())
			} else if silent++; silent >= maxSilent {
				s.finish(End{Cause: Hung, Detail: err.Error()})
				return
			}
		}
	}
}

// connect waits until no server is pending, because the model sees only the
// tools of those that are connected when its turn begins.
func (s *Supervisor) connect(ctx context.Context, p Process) {
	deadline := time.Now().Add(probeWithin)
	for time.Now().Before(deadline) {
		servers, err := s.servers(ctx, p)
		if err != nil {
			return // the probe will see to it
		}
		if !slices.ContainsFunc(servers, func(sv ServerStatus) bool { return sv.Status == "pending" }) {
			return
		}
		s.sleep(ctx, 50*time.Millisecond)
	}
}

func (s *Supervisor) sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// brief sends the first message; false if there is no session to go on with.
func (s *Supervisor) brief(ctx context.Context, p Process) bool {
	text, err := s.cfg.Briefing(ctx)
	if err != nil {
		s.finish(End{Cause: Crashed, Detail: fmt.Sprintf("no briefing: %v", err)})
		return false
	}
	if err := p.Send(ctx, text); err != nil {
		if errors.Is(err, ErrGone) {
			return false // Run says why
		}
		s.finish(End{Cause: Crashed, Detail: fmt.Sprintf("briefing not sent: %v", err)})
		return false
	}
	return true
}

// probe sees whether the CLI answers, brings back servers that it has lost, and
// leaves a heartbeat.
func (s *Supervisor) probe(ctx context.Context, p Process) error {
	servers, err := s.servers(ctx, p)
	if err != nil {
		return fmt.Errorf("the CLI does not answer: %w", err)
	}
	for _, sv := range servers {
		if sv.Status != "failed" {
			continue
		}
		s.cfg.Log.WarnContext(ctx, "server failed, reconnecting", "server", sv.Name, "err", sv.Error)
		if err := s.reconnect(ctx, p, sv.Name); err != nil {
			s.cfg.Log.ErrorContext(ctx, "server not reconnected", "server", sv.Name, "err", err)
		}
	}
	st := s.State()
	detail := fmt.Sprintf("%s session=%d pid=%d running=%d context=%d", st.Phase, st.Session, st.PID, len(st.Running), st.Context)
	if st.Phase != Up && st.Phase != Draining {
		return nil // the CLI lives, but no model has answered yet
	}
	if err := s.cfg.Store.Beat(ctx, "session", detail); err != nil && ctx.Err() == nil {
		s.cfg.Log.ErrorContext(ctx, "heartbeat not recorded", "err", err)
	}
	return nil
}

func (s *Supervisor) servers(ctx context.Context, p Process) ([]ServerStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	return p.Servers(ctx)
}

func (s *Supervisor) reconnect(ctx context.Context, p Process, server string) error {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	return p.Reconnect(ctx, server)
}

// nudge takes up a session whose last turn failed. One that never had an
// answer gets the briefing again.
func (s *Supervisor) nudge(ctx context.Context, p Process) {
	st := s.State()
	if st.Phase == Starting {
		s.brief(ctx, p)
		return
	}
	if st.Busy || s.failuresNow() == 0 {
		return // something else has started a turn
	}
	if err := p.Send(ctx, fmt.Sprintf(goOn, st.Detail)); err != nil && ctx.Err() == nil {
		s.cfg.Log.WarnContext(ctx, "session not woken after a failed turn", "err", err)
	}
}

func (s *Supervisor) failuresNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures
}
