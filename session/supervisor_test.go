package session_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/session"
)

// fakeProcess is a session in memory. What it does is up to the script: a
// function that is called with every message.
type fakeProcess struct {
	pid     int
	observe func(session.Output)
	script  func(p *fakeProcess, text string)
	end     chan error

	mu        sync.Mutex
	mute      bool   // answers no control request
	status    string // of the server
	got       []string
	reconnect []string
}

func (p *fakeProcess) Send(_ context.Context, text string) error {
	p.mu.Lock()
	p.got = append(p.got, text)
	p.mu.Unlock()
	go p.script(p, text) // output comes on another goroutine, as with a real process
	return nil
}

func (p *fakeProcess) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.end:
		return err
	}
}

func (p *fakeProcess) Servers(ctx context.Context) ([]session.ServerStatus, error) {
	p.mu.Lock()
	mute, status := p.mute, p.status
	p.mu.Unlock()
	if mute {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []session.ServerStatus{{Name: "slack", Status: status}}, nil
}

func (p *fakeProcess) Reconnect(_ context.Context, server string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reconnect = append(p.reconnect, server)
	return nil
}

func (p *fakeProcess) Stderr() string { return "last words" }
func (p *fakeProcess) PID() int       { return p.pid }
func (p *fakeProcess) Mode() string   { return "stream" }

// become changes what the CLI answers to control requests.
func (p *fakeProcess) become(status string, mute bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status, p.mute = status, mute
}

func (p *fakeProcess) turn() {
	p.observe(session.Init{SessionID: "s"})
	p.observe(session.Said{Text: "fine"})
	p.observe(session.TurnEnd{})
}

func (p *fakeProcess) fail(code string) {
	p.observe(session.Init{SessionID: "s"})
	p.observe(session.Failed{Code: code, Text: code + " text"})
	p.observe(session.TurnEnd{Failed: true, Text: code + " text"})
}

// fakeStore remembers what it is told.
type fakeStore struct {
	mu      sync.Mutex
	started int64
	ended   []string
	beats   int
	err     error
}

func (s *fakeStore) StartSession(context.Context, string, int) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started++
	return s.started, s.err
}

func (s *fakeStore) EndSession(_ context.Context, id int64, reason string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, fmt.Sprintf("%d %s", id, reason))
	return nil
}

func (s *fakeStore) Beat(context.Context, string, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beats++
	return nil
}

// house is a Supervisor at work in a bubble.
type house struct {
	*session.Supervisor
	store     *fakeStore
	mu        sync.Mutex
	processes []*fakeProcess
	starts    []time.Duration // since the first
	changes   []string
}

// supervise runs a Supervisor whose processes do as script says, until the
// test ends.
func supervise(t *testing.T, script func(p *fakeProcess, text string), adapt ...func(h *house, c *session.Config)) *house {
	t.Helper()
	h := &house{store: &fakeStore{}}
	began := time.Now()
	c := session.Config{
		Store:    h.store,
		Log:      slog.New(slog.DiscardHandler),
		Briefing: func(context.Context) (string, error) { return "briefing", nil },
		OnChange: func(s session.State) {
			h.changes = append(h.changes, strings.TrimSpace(string(s.Phase)+" "+string(s.Cause)))
		},
		Launch: func(_ session.Command, o session.Options) (session.Process, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			p := &fakeProcess{pid: len(h.processes) + 1, observe: o.Observe, script: script, end: make(chan error, 1), status: "connected"}
			h.processes = append(h.processes, p)
			h.starts = append(h.starts, time.Since(began))
			return p, nil
		},
	}
	for _, a := range adapt {
		a(h, &c)
	}
	h.Supervisor = session.NewSupervisor(c)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
		if st := h.State(); st.Phase != session.Stopped || h.Session() != 0 {
			t.Errorf("state after Run = %+v", st)
		}
	})
	synctest.Wait()
	return h
}

func (h *house) last() *fakeProcess {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.processes[len(h.processes)-1]
}

// pass lets fake time pass, and everything that falls due in it happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (h *house) first() *fakeProcess {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.processes[0]
}

// count is how many sessions were started.
func (h *house) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.processes)
}

// ends is how they ended, as recorded.
func (h *house) ends() []string {
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	return slices.Clone(h.store.ended)
}

// messages are those that p was sent.
func (p *fakeProcess) messages() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

func obedient(p *fakeProcess, _ string) { p.turn() }

func TestSessionIsBriefedAndTakesPushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := supervise(t, obedient)
		if st := h.State(); st.Phase != session.Up || st.Session != 1 || st.Busy || h.Session() != 1 {
			t.Fatalf("state = %+v", st)
		}
		if err := h.Push(t.Context(), "event"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"briefing", "event"}, h.last().messages()); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		pass(95 * time.Second)
		if h.store.beats != 3 {
			t.Errorf("%d heartbeats in 95 s, want 3", h.store.beats)
		}
	})
}

func TestPushWithoutASession(t *testing.T) {
	s := session.NewSupervisor(session.Config{})
	if err := s.Push(t.Context(), "event"); !errors.Is(err, session.ErrNoSession) {
		t.Errorf("Push() = %v, want ErrNoSession", err)
	}
}

func TestSessionIsNotUpBeforeTheModelAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := supervise(t, func(p *fakeProcess, _ string) { p.observe(session.Init{SessionID: "s"}) })
		if st := h.State(); st.Phase != session.Starting {
			t.Errorf("phase = %s, want starting", st.Phase)
		}
		if err := h.Push(t.Context(), "event"); !errors.Is(err, session.ErrNoSession) {
			t.Errorf("Push() = %v, want ErrNoSession", err)
		}
	})
}

func TestCrashesAreRestartedMoreAndMoreSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := supervise(t, func(p *fakeProcess, _ string) { p.end <- errors.New("exit status 1") })
		pass(time.Hour)
		if n := h.count(); n < 12 || n > 25 {
			t.Fatalf("%d starts in an hour, want few", n)
		}
		if first := h.starts[1]; first > 2*time.Second {
			t.Errorf("first restart after %s, want about a second", first)
		}
		if gap := h.starts[11] - h.starts[10]; gap < 3*time.Minute || gap > 7*time.Minute {
			t.Errorf("late gap = %s, want about 5 minutes", gap)
		}
		if got, want := h.ends()[0], "1 crashed: exit status 1: last words"; got != want {
			t.Errorf("first end = %q, want %q", got, want)
		}
	})
}

func TestLongSessionForgetsEarlierCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := supervise(t, func(p *fakeProcess, _ string) {
			p.turn()
			if p.pid < 8 {
				p.end <- nil
			}
		})
		pass(10 * time.Minute)
		if h.count() != 8 {
			t.Fatalf("%d starts, want 8", h.count())
		}
		h.last().end <- errors.New("killed")
		pass(2 * time.Second)
		if h.count() != 9 {
			t.Errorf("no restart within 2 s after a long session")
		}
	})
}

func TestEndsAreTold(t *testing.T) {
	reset := 3 * time.Hour
	tests := []struct {
		name   string
		script func(p *fakeProcess)
		cause  session.Cause
		least  time.Duration // of the pause
		most   time.Duration
	}{
		{"no login", func(p *fakeProcess) { p.fail("authentication_failed") }, session.LoggedOut, 5 * time.Minute, 6 * time.Minute},
		{"login refused again and again", func(p *fakeProcess) {
			p.observe(session.Retry{Attempt: 4, Code: "authentication_failed", Status: 401, Delay: 4 * time.Second})
		}, session.LoggedOut, 5 * time.Minute, 6 * time.Minute},
		{"usage limit with its reset", func(p *fakeProcess) {
			p.observe(session.Limit{Rejected: true, Resets: time.Now().Add(reset)})
			p.fail("rate_limit")
		}, session.OutOfQuota, reset, reset + time.Minute},
		{"rate limit without a reset", func(p *fakeProcess) { p.fail("rate_limit") }, session.OutOfQuota, 10 * time.Minute, 12 * time.Minute},
		{"no credit", func(p *fakeProcess) { p.fail("billing_error") }, session.OutOfQuota, 10 * time.Minute, 12 * time.Minute},
		{"asked to wait for long", func(p *fakeProcess) {
			p.observe(session.Retry{Attempt: 1, Code: "rate_limit", Status: 429, Delay: time.Hour})
		}, session.OutOfQuota, time.Hour - time.Second, time.Hour + time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := supervise(t, func(p *fakeProcess, _ string) {
					if p.pid == 1 {
						tt.script(p)
						return
					}
					p.turn()
				})
				st := h.State()
				if wait := time.Until(st.RetryAt); st.Phase != session.Waiting || st.Cause != tt.cause || wait < tt.least || wait > tt.most {
					t.Fatalf("state = %+v, retry in %s", st, wait)
				}
				if err := h.Push(t.Context(), "event"); !errors.Is(err, session.ErrNoSession) {
					t.Errorf("Push() = %v, want ErrNoSession", err)
				}
				pass(tt.most)
				if st := h.State(); st.Phase != session.Up || st.Cause != "" {
					t.Errorf("state after the pause = %+v, want up", st)
				}
				want := []string{"starting", "waiting " + string(tt.cause), "starting " + string(tt.cause), "up"}
				if diff := cmp.Diff(want, h.changes); diff != "" {
					t.Errorf("changes (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestFailedTurnIsTakenUpAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := true
		h := supervise(t, func(p *fakeProcess, text string) {
			if text == "event" && failing {
				failing = false
				p.fail("server_error")
				return
			}
			p.turn()
		})
		if err := h.Push(t.Context(), "event"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		got := h.last().messages()
		if h.count() != 1 || len(got) != 3 || !strings.HasPrefix(got[2], "The last turn was cut off by an error of the API (server_error text).") {
			t.Errorf("messages = %q, want one that wakes the model", got)
		}
	})
}

func TestSessionThatOnlyFailsIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := supervise(t, func(p *fakeProcess, _ string) { p.fail("server_error") })
		pass(65 * time.Second) // 20 s and 40 s between three turns
		if h.count() != 2 || len(h.ends()) != 1 || !strings.Contains(h.ends()[0], "failing") {
			t.Errorf("%d sessions, ends %q, want the first given up as failing", h.count(), h.ends())
		}
	})
}

func TestSilentCLIIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := supervise(t, func(p *fakeProcess, _ string) { p.become("connected", p.pid == 1); p.turn() })
		pass(3 * time.Minute)
		if h.count() != 2 || !strings.Contains(strings.Join(h.ends(), " "), "hung") {
			t.Errorf("%d sessions, ends %q", h.count(), h.ends())
		}
	})
}

func TestFailedServerIsReconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := supervise(t, func(p *fakeProcess, _ string) { p.turn(); p.become("failed", false) })
		pass(35 * time.Second)
		if got := h.last().reconnect; len(got) != 1 || got[0] != "slack" {
			t.Errorf("reconnected %q, want slack", got)
		}
	})
}

func TestMissingProgramIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := supervise(t, obedient, func(h *house, c *session.Config) {
			launch := c.Launch
			c.Launch = func(cmd session.Command, o session.Options) (session.Process, error) {
				if h.store.beats++; h.store.beats == 1 {
					return nil, fmt.Errorf("start claude: %w", fs.ErrNotExist)
				}
				return launch(cmd, o)
			}
		})
		if st := h.State(); st.Cause != session.NoCLI || st.Phase != session.Waiting {
			t.Fatalf("state = %+v, want waiting for the program", st)
		}
		pass(2 * time.Minute)
		if h.Session() == 0 {
			t.Errorf("state = %+v, want up", h.State())
		}
	})
}

func TestSessionThatIsNotRecordedDoesNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := supervise(t, obedient, func(h *house, _ *session.Config) { h.store.err = errors.New("disk full") })
		if st := h.State(); st.Phase != session.Waiting || !strings.Contains(st.Detail, "disk full") {
			t.Errorf("state = %+v", st)
		}
		if got := h.first().messages(); len(got) != 0 {
			t.Errorf("messages = %q, want none", got)
		}
	})
}

func TestRestartWaitsForWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		drained := make(chan struct{})
		h := supervise(t, func(p *fakeProcess, text string) {
			if text == "event" {
				p.observe(session.Init{SessionID: "s"})
				p.observe(session.Tasks{Running: []session.Task{{ID: "a1"}}})
				p.observe(session.TurnEnd{})
				time.Sleep(time.Minute)
				p.observe(session.Tasks{})
				time.Sleep(100 * time.Millisecond) // the report is on its way
			}
			p.turn()
		}, func(_ *house, c *session.Config) {
			c.Drain = func(context.Context) error { <-drained; return nil }
		})
		if err := h.Push(t.Context(), "event"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		done := make(chan error, 1)
		go func() { done <- h.Restart(t.Context()) }()
		synctest.Wait()
		if st := h.State(); st.Phase != session.Draining || h.Session() != 0 {
			t.Errorf("state = %+v, want draining, without pushes", st)
		}
		close(drained)
		pass(59 * time.Second)
		if h.count() != 1 {
			t.Error("restarted while a sub-agent worked")
		}
		pass(5 * time.Second)
		if err := <-done; err != nil {
			t.Errorf("Restart() = %v", err)
		}
		synctest.Wait()
		if st := h.State(); h.count() != 2 || st.Phase != session.Up || h.ends()[0] != "1 restarted" {
			t.Errorf("state = %+v, ends %q, want a second session", st, h.ends())
		}
	})
}

func TestRestartDoesNotWaitForWhatIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := supervise(t, func(p *fakeProcess, _ string) { p.turn() }, func(_ *house, c *session.Config) {
			c.Drain = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() } // a claim that nobody works on
		})
		done := make(chan error, 1)
		go func() { done <- h.Restart(t.Context()) }()
		pass(59 * time.Second)
		if h.count() != 1 {
			t.Error("restarted at once, want a minute for a report that is on its way")
		}
		pass(5 * time.Second)
		if err := <-done; err != nil || h.count() != 2 {
			t.Errorf("Restart() = %v with %d sessions, want a second one", err, h.count())
		}
	})
}

func TestRestartDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := supervise(t, func(p *fakeProcess, text string) {
			if text == "event" {
				p.observe(session.Init{SessionID: "s"}) // and no end of the turn
				return
			}
			p.turn()
		})
		if err := h.Push(t.Context(), "event"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		began := time.Now()
		if err := h.Restart(ctx); err != nil {
			t.Errorf("Restart() = %v", err)
		}
		synctest.Wait()
		if d := time.Since(began); d < 10*time.Minute || d > 11*time.Minute {
			t.Errorf("restarted after %s, want at the limit", d)
		}
		synctest.Wait()
		if h.count() != 2 {
			t.Errorf("%d sessions, want 2", h.count())
		}
	})
}

func TestRestartEndsAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := supervise(t, func(p *fakeProcess, _ string) {
			if p.pid == 1 {
				p.fail("authentication_failed")
				return
			}
			p.turn()
		})
		if err := h.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if h.Session() != 2 {
			t.Errorf("state = %+v, want up at once", h.State())
		}
	})
}

func TestSupervisorOfAProcess(t *testing.T) {
	up, down := make(chan session.State, 10), make(chan session.State, 10)
	s := session.NewSupervisor(session.Config{
		Command: command(t), Store: &fakeStore{}, Log: slog.New(slog.DiscardHandler),
		Briefing: func(context.Context) (string, error) { return "briefing", nil },
		OnChange: func(s session.State) {
			switch s.Phase {
			case session.Up:
				up <- s
			case session.Waiting:
				down <- s
			}
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	first := <-up
	if err := s.Push(ctx, "die"); err != nil {
		t.Fatal(err)
	}
	if st := <-down; st.Cause != session.Crashed || st.Detail != "exit status 3: dying as told" {
		t.Errorf("state = %+v", st)
	}
	if second := <-up; second.PID == first.PID || second.Session != 2 {
		t.Errorf("second session = %+v", second)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run() = %v", err)
	}
}
