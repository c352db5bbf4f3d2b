package claude_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"watchkeeper/session"
	"watchkeeper/test/messages"
)

// store counts sessions.
type store struct {
	n     atomic.Int64
	ended chan string
}

func (s *store) StartSession(context.Context, string, int) (int64, error) { return s.n.Add(1), nil }
func (s *store) Beat(context.Context, string, string) error               { return nil }
func (s *store) EndSession(_ context.Context, id int64, reason string) error {
	s.ended <- fmt.Sprintf("%d %s", id, reason)
	return nil
}

// supervise keeps a session of c alive until the test ends. It returns the
// states of each phase as they come.
func supervise(t *testing.T, c session.Command) (*session.Supervisor, map[session.Phase]chan session.State, *store) {
	t.Helper()
	states := map[session.Phase]chan session.State{}
	for _, p := range []session.Phase{session.Starting, session.Up, session.Draining, session.Waiting, session.Stopped} {
		states[p] = make(chan session.State, 100)
	}
	st := &store{ended: make(chan string, 100)}
	s := session.NewSupervisor(session.Config{
		Command: c, Store: st, Log: logTo(t), LoginRetry: 200 * time.Millisecond, Probe: time.Second,
		Briefing: func(context.Context) (string, error) { return "=== SRE Briefing ===", nil },
		OnChange: func(s session.State) { states[s.Phase] <- s },
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	return s, states, st
}

func TestKilledCLIIsReplacedAndBriefed(t *testing.T) {
	script, api := model(t, messages.Rule{Name: "brief", When: messages.Match{Text: "=== SRE Briefing"}},
		messages.Rule{Name: "event", When: messages.Match{Text: "d42"}})
	s, states, st := supervise(t, command(t, api, apiKey))
	first := await(t, "first session", states[session.Up])
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if down := await(t, "end", states[session.Waiting]); down.Cause != session.Crashed {
		t.Errorf("state = %+v, want crashed", down)
	}
	second := await(t, "second session", states[session.Up])
	if second.PID == first.PID || second.Session != 2 {
		t.Errorf("second session = %+v", second)
	}
	if err := s.Push(t.Context(), alert); err != nil {
		t.Fatal(err)
	}
	if _, err := script.AwaitRule(within(t), "event"); err != nil {
		t.Error(err)
	}
	if n := script.Count("brief"); n != 2 {
		t.Errorf("%d briefings, want one a session", n)
	}
	if got := await(t, "record", st.ended); got != "1 crashed: signal: killed" {
		t.Errorf("first session ended %q", got)
	}
}

func TestCausesAreRecognised(t *testing.T) {
	reset := time.Now().Add(time.Hour).Truncate(time.Second)
	limit := &messages.Failure{
		Status: 429, Type: "rate_limit_error", Message: "This request would exceed your account's rate limit.",
		Header: map[string]string{
			"Anthropic-Ratelimit-Unified-Status": "rejected", "Anthropic-Ratelimit-Unified-Reset": strconv.FormatInt(reset.Unix(), 10),
			"Anthropic-Ratelimit-Unified-Representative-Claim": "five_hour",
		},
	}
	tests := []struct {
		name  string
		login string
		fail  *messages.Failure
		want  session.Cause
	}{
		{"no login at all", "X=1", nil, session.LoggedOut},
		{"a key that is refused", apiKey, &messages.Failure{Status: 401, Type: "authentication_error", Message: "invalid x-api-key"}, session.LoggedOut},
		{"a plan whose limit is reached", oauthKey, limit, session.OutOfQuota},
		{"no credit", apiKey, &messages.Failure{
			Status: 400, Type: "invalid_request_error",
			Message: "Your credit balance is too low to access the Anthropic API.",
		}, session.OutOfQuota},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, api := model(t, messages.Rule{Fail: tt.fail})
			_, states, _ := supervise(t, command(t, api, tt.login))
			st := await(t, "end", states[session.Waiting])
			if st.Cause != tt.want {
				t.Errorf("state = %+v, want %s", st, tt.want)
			}
			if tt.fail == limit && (st.RetryAt.Before(reset) || st.RetryAt.After(reset.Add(time.Minute))) {
				t.Errorf("retry at %s, want soon after the reset at %s", st.RetryAt, reset)
			}
		})
	}
}

func TestSessionComesBackAfterALogin(t *testing.T) {
	script, api := model(t, messages.Rule{Fail: &messages.Failure{Status: 401, Type: "authentication_error"}})
	_, states, _ := supervise(t, command(t, api, apiKey, "CLAUDE_CODE_MAX_RETRIES=0"))
	if st := await(t, "end", states[session.Waiting]); st.Cause != session.LoggedOut {
		t.Fatalf("state = %+v, want logged out", st)
	}
	if err := script.Set(); err != nil {
		t.Fatal(err)
	}
	if st := await(t, "session", states[session.Up]); st.Cause != "" {
		t.Errorf("state = %+v, want up without a cause", st)
	}
}

func TestOverloadIsLivedThrough(t *testing.T) {
	script, api := model(t,
		messages.Rule{Name: "overloaded", When: messages.Match{Text: "d42"}, Times: 1, Fail: &messages.Failure{Status: 529, Type: "overloaded_error"}},
		messages.Rule{Name: "seen", When: messages.Match{Anywhere: "d42"}})
	s, states, _ := supervise(t, command(t, api, apiKey))
	first := await(t, "session", states[session.Up])
	if err := s.Push(t.Context(), alert); err != nil {
		t.Fatal(err)
	}
	if _, err := script.AwaitRule(within(t), "seen"); err != nil {
		t.Error(err)
	}
	if st := s.State(); st.PID != first.PID {
		t.Errorf("state = %+v, want the same process", st)
	}
}

func TestRestartGivesAFreshContext(t *testing.T) {
	script, api := model(t, messages.Rule{Name: "event", When: messages.Match{Text: "d42"}})
	s, states, st := supervise(t, command(t, api, apiKey))
	await(t, "session", states[session.Up])
	if err := s.Push(t.Context(), alert); err != nil {
		t.Fatal(err)
	}
	if _, err := script.AwaitRule(within(t), "event"); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(within(t)); err != nil {
		t.Fatal(err)
	}
	await(t, "fresh session", states[session.Up])
	if got := await(t, "record", st.ended); got != "1 restarted" {
		t.Errorf("first session ended %q", got)
	}
	all := script.Requests()
	if last := all[len(all)-1]; last.Conversation() == "" || len(last.Conversation()) >= len(all[1].Conversation()) {
		t.Errorf("the fresh session sent %d characters, the old one %d", len(last.Conversation()), len(all[1].Conversation()))
	}
}
