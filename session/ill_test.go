package session_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"watchkeeper/session"
)

func TestADeafSessionIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var unheard atomic.Bool
		h := supervise(t, obedient, func(_ *house, c *session.Config) {
			c.Unheard = func(_ context.Context, session int64) (string, error) {
				if unheard.Load() && session == 1 {
					return "d42", nil
				}
				return "", nil
			}
		})
		pass(time.Hour)
		if h.count() != 1 {
			t.Fatalf("%d sessions while all is heard, want 1", h.count())
		}
		unheard.Store(true)
		pass(35 * time.Second)
		if got := h.ends(); len(got) != 1 || !strings.Contains(got[0], "1 deaf: idle for") || !strings.Contains(got[0], "did not claim d42") {
			t.Errorf("ends = %q, want a deaf one", got)
		}
		pass(time.Hour)
		if h.count() != 2 || h.State().Phase != session.Up {
			t.Errorf("%d sessions, %+v, want the second at work", h.count(), h.State())
		}
	})
}

func TestABusySessionIsNotDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := supervise(t, obedient, func(_ *house, c *session.Config) {
			c.Unheard = func(context.Context, int64) (string, error) { return "d42", nil }
		})
		h.last().observe(session.Tasks{Running: []session.Task{{ID: "a"}}})
		for range 20 {
			pass(time.Minute)
			h.last().observe(session.ToolUse{Agent: "a", Name: "kube_get"})
		}
		if h.count() != 1 {
			t.Errorf("%d sessions, want the busy one left alone", h.count())
		}
	})
}

func TestAStuckSessionIsReplacedAndNeverInAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(p *fakeProcess, _ string) {
			p.turn()
			p.observe(session.Tasks{Running: []session.Task{{ID: "a", Agent: "investigator"}}})
		}
		h := supervise(t, hang)
		pass(14 * time.Minute)
		if h.count() != 1 {
			t.Fatalf("replaced after 14 minutes without a word")
		}
		pass(2 * time.Minute)
		if got := h.ends(); len(got) != 1 || !strings.Contains(got[0], "1 stuck: no word for 15m") || !strings.Contains(got[0], "1 sub-agents") {
			t.Errorf("ends = %q, want a stuck one", got)
		}
		pass(24 * time.Hour)
		if n := h.count(); n > 24*4 {
			t.Errorf("%d sessions in a day, want at most 4 an hour", n)
		}
		if gap := h.starts[12] - h.starts[11]; gap < 18*time.Minute {
			t.Errorf("the twelfth was replaced after %s, want a pause that has grown to minutes", gap)
		}
	})
}

func TestASessionThatWaitsForAPersonIsNotStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var answer atomic.Value
		answer.Store("asked")
		h := supervise(t, func(p *fakeProcess, _ string) {
			p.turn()
			p.observe(session.ToolUse{Name: "Agent"})
		}, func(_ *house, c *session.Config) {
			c.Asking = func(context.Context) (bool, error) {
				if answer.Load() == "unknown" {
					return false, errors.New("locked")
				}
				return answer.Load() == "asked", nil
			}
		})
		pass(time.Hour)
		answer.Store("unknown")
		pass(time.Hour)
		if h.count() != 1 {
			t.Fatalf("%d sessions, want it to wait for the person", h.count())
		}
		answer.Store("answered")
		pass(time.Minute)
		if got := h.ends(); len(got) != 1 || !strings.Contains(got[0], "stuck") {
			t.Errorf("ends = %q, want it stuck after the answer", got)
		}
	})
}

func TestABriefingWithoutAnAnswerIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := supervise(t, func(p *fakeProcess, _ string) {
			if p.pid > 1 {
				p.turn()
			}
		})
		pass(16 * time.Minute)
		if got := h.ends(); len(got) != 1 || !strings.Contains(got[0], "stuck: no answer to the briefing") || h.State().Phase != session.Up {
			t.Errorf("ends = %q, %+v, want the second at work", got, h.State())
		}
		if h.store.beats > 3 {
			t.Errorf("%d signs of life, want none of the session that never answered", h.store.beats)
		}
	})
}
