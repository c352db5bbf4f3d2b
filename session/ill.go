package session

import (
	"context"
	"fmt"
	"time"
)

const (
	// stuckAfter is how long work may be under way without a word: longer than
	// any tool may take, and than a long answer of the model.
	stuckAfter = 15 * time.Minute
	// deafAfter is how long a model must have been idle to count as deaf, if
	// something that was pushed to it is unheard.
	deafAfter = time.Minute
)

// ill reports whether the session lived and did not work. Its successor may
// well do the same, so a long life is no reason to start it at once.
func (e End) ill() bool { return e.Cause == Deaf || e.Cause == Stuck }

// diagnose ends a session that is deaf or stuck. The CLI answers us all the
// same in both.
func (s *Supervisor) diagnose(ctx context.Context, now time.Time) {
	st := s.State()
	quiet := now.Sub(later(st.Since, st.LastOutput))
	switch {
	case st.Phase == Starting && quiet > stuckAfter:
		s.finish(End{Cause: Stuck, Detail: fmt.Sprintf("no answer to the briefing for %s", quiet.Round(time.Second))})
	case st.Phase != Up:
	case !st.Idle() && quiet > stuckAfter && !s.asking(ctx):
		s.finish(End{Cause: Stuck, Detail: fmt.Sprintf("no word for %s, with %d sub-agents at work", quiet.Round(time.Second), len(st.Running))})
	case st.Idle() && quiet > deafAfter:
		if what := s.unheard(ctx, st.Session); what != "" {
			s.finish(End{Cause: Deaf, Detail: fmt.Sprintf("idle for %s, and did not claim %s", quiet.Round(time.Second), what)})
		}
	}
}

func (s *Supervisor) unheard(ctx context.Context, session int64) string {
	if s.cfg.Unheard == nil {
		return ""
	}
	what, err := s.cfg.Unheard(ctx, session)
	if err != nil && ctx.Err() == nil {
		s.cfg.Log.WarnContext(ctx, "not known whether the session is deaf", "err", err)
	}
	return what
}

// asking is also true when nobody knows: a person's answer must not be lost.
func (s *Supervisor) asking(ctx context.Context) bool {
	if s.cfg.Asking == nil {
		return false
	}
	yes, err := s.cfg.Asking(ctx)
	if err != nil && ctx.Err() == nil {
		s.cfg.Log.WarnContext(ctx, "not known whether the session is stuck", "err", err)
	}
	return yes || err != nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
