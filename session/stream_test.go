package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/session"
)

// testStream is a Stream of the fake CLI that is running.
type testStream struct {
	*session.Stream
	t    *testing.T
	out  chan session.Output
	end  context.CancelFunc
	done chan error
	ran  bool
}

func start(t *testing.T, c session.Command, o session.Options) *testStream {
	t.Helper()
	s := &testStream{t: t, out: make(chan session.Output, 1000), done: make(chan error, 1)}
	o.Observe = func(out session.Output) { s.out <- out }
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.Stream, err = session.Start(c, o); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s.end = cancel
	go func() { s.done <- s.Run(ctx) }()
	t.Cleanup(func() { s.stop() })
	return s
}

// stop ends the stream and returns how it ended.
func (s *testStream) stop() error {
	s.end()
	return s.wait()
}

func (s *testStream) wait() error {
	s.t.Helper()
	if s.ran {
		return nil
	}
	select {
	case err := <-s.done:
		s.ran = true
		return err
	case <-time.After(20 * time.Second):
		s.t.Fatal("the stream does not end")
		return nil
	}
}

func (s *testStream) tell(text string) {
	s.t.Helper()
	if err := s.Send(s.t.Context(), text); err != nil {
		s.t.Fatalf("Send(%q) = %v", text, err)
	}
}

// turn returns what was said until the turn ended.
func (s *testStream) turn() []session.Output {
	s.t.Helper()
	var all []session.Output
	for {
		select {
		case o := <-s.out:
			all = append(all, o)
			if _, ok := o.(session.TurnEnd); ok {
				return all
			}
		case <-time.After(10 * time.Second):
			s.t.Fatalf("no end of the turn; so far %+v; stderr %s", all, s.Stderr())
		}
	}
}

func (s *testStream) said() string {
	s.t.Helper()
	for _, o := range s.turn() {
		if said, ok := o.(session.Said); ok {
			return said.Text
		}
	}
	return ""
}

func TestTurnIsTyped(t *testing.T) {
	s := start(t, command(t), session.Options{})
	s.tell("hello")
	want := []session.Output{
		session.Init{SessionID: "s1", Model: "m", Tools: []string{"Agent"}, Servers: []session.ServerStatus{{Name: "slack", Status: "connected"}}},
		session.Used{Tokens: 10},
		session.Said{Text: "heard hello"},
		session.TurnEnd{Text: "heard hello", Cost: 0.5},
	}
	if diff := cmp.Diff(want, s.turn()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	servers, err := s.Servers(t.Context())
	if err != nil || len(servers) != 1 || servers[0].Name != "slack" {
		t.Errorf("Servers() = %v, %v", servers, err)
	}
	if err := s.stop(); err != nil {
		t.Errorf("Run() = %v after an end that was asked for", err)
	}
	if err := s.Send(t.Context(), "late"); !errors.Is(err, session.ErrGone) {
		t.Errorf("Send() after the end = %v, want ErrGone", err)
	}
}

func TestUnknownLinesAreSkipped(t *testing.T) {
	s := start(t, command(t), session.Options{})
	s.tell("garbage")
	if got := s.said(); got != "after garbage" {
		t.Errorf("said %q, want what came after the lines that nobody knows", got)
	}
}

func TestEnvironmentIsTheOneGiven(t *testing.T) {
	t.Setenv("SLACK_BOT_TOKEN", "xoxb-1")
	s := start(t, command(t, "HOME=/somewhere"), session.Options{})
	s.tell("env")
	if got := s.said(); got != "HOME=/somewhere SESSION_TEST_ROLE=cli" {
		t.Errorf("environment = %s", got)
	}
}

// approver answers as it is told, and may wait for the request to be withdrawn.
type approver struct {
	decision session.Decision
	err      error
	asked    chan session.Request
	wait     bool
}

func (a approver) Approve(ctx context.Context, r session.Request) (session.Decision, error) {
	if a.asked != nil {
		a.asked <- r
	}
	if a.wait {
		<-ctx.Done()
	}
	return a.decision, a.err
}

func TestPermissionRequests(t *testing.T) {
	tests := []struct {
		name     string
		approver session.Approver
		want     string
	}{
		{"nobody decides: denied, with what to do", nil, `"behavior":"deny","message":"Not permitted in this session`},
		{"allowed with the input that was asked for", approver{decision: session.Decision{Allow: true}}, `{"behavior":"allow","updatedInput":{"a":1}}`},
		{"allowed with another input", approver{decision: session.Decision{Allow: true, Input: json.RawMessage(`{"a":2}`)}}, `"updatedInput":{"a":2}`},
		{"denied with a reason", approver{decision: session.Decision{Message: "ask Ada"}}, `{"behavior":"deny","message":"ask Ada"}`},
		{"an error is a denial", approver{err: errors.New("store is gone"), decision: session.Decision{Allow: true}}, `"behavior":"deny"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, command(t), session.Options{Approver: tt.approver})
			s.tell("ask mcp__x__y")
			if got := s.said(); !strings.Contains(got, tt.want) {
				t.Errorf("answer = %s, want %s in it", got, tt.want)
			}
		})
	}
}

func TestWithdrawnPermissionRequestIsNotAnswered(t *testing.T) {
	asked := make(chan session.Request, 1)
	s := start(t, command(t), session.Options{Approver: approver{asked: asked, wait: true}})
	s.tell("ask mcp__x__y")
	want := session.Request{ID: "p1", Tool: "mcp__x__y", Title: "T", ToolUse: "t1", Input: json.RawMessage(`{"a":1}`)}
	if diff := cmp.Diff(want, <-asked); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	s.tell("withdraw")
	s.tell("on")
	if got := s.said(); got != "heard on" {
		t.Errorf("said %q, want the next turn and no answer", got)
	}
}

func TestUnknownControlRequestIsRefused(t *testing.T) {
	s := start(t, command(t), session.Options{})
	s.tell("hook")
	if got := s.said(); got != "answer " {
		t.Errorf("said %q, want an answer without a response", got)
	}
}

func TestSendToACLIThatDoesNotReadGivesUp(t *testing.T) {
	s := start(t, command(t), session.Options{})
	s.tell("deaf")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Send(ctx, strings.Repeat("x", 1<<20)); !errors.Is(err, session.ErrNotReading) {
		t.Errorf("Send() = %v, want ErrNotReading", err)
	}
	if err := s.wait(); !errors.Is(err, session.ErrNotReading) {
		t.Errorf("Run() = %v, want ErrNotReading", err)
	}
}

func TestEndByItself(t *testing.T) {
	s := start(t, command(t), session.Options{})
	s.tell("die")
	if err := s.wait(); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("Run() = %v, want the exit status", err)
	}
	if got := s.Stderr(); got != "dying as told" {
		t.Errorf("Stderr() = %q", got)
	}
}

func TestStderrIsBounded(t *testing.T) {
	var log strings.Builder
	s := start(t, command(t), session.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	s.tell("noise")
	s.turn()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "session says"); n != 60 {
		t.Errorf("%d lines logged, want 60 a minute", n)
	}
	if n := len(s.Stderr()); n > 20*2100 {
		t.Errorf("%d bytes kept", n)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	tests := []struct {
		name string
		env  []string
		end  func(s *testStream)
	}{
		{"an obedient CLI with a stubborn server", nil, func(s *testStream) { s.end() }},
		{"a CLI that ignores the end of its input and SIGINT", []string{"SESSION_TEST_DEAF=1"}, func(s *testStream) { s.end() }},
		{"a CLI that is killed", nil, func(s *testStream) { syscall.Kill(s.PID(), syscall.SIGKILL) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, command(t, append(tt.env, "SESSION_TEST_SERVER=1")...), session.Options{})
			s.tell("hello")
			s.turn()
			tt.end(s)
			s.wait()
			if left := group(t, s.PID()); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// group lists the living processes of a process group.
func group(t *testing.T, pgid int) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Skip("no /proc here")
	}
	var left []string
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(after); len(f) > 2 && f[2] == itoa(pgid) && f[0] != "Z" {
			left = append(left, string(text))
		}
	}
	return left
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestProgramThatIsNotThere(t *testing.T) {
	_, err := session.Start(session.Command{Path: "/nonexistent/claude", Dir: t.TempDir()}, session.Options{Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Start() = %v, want one that is os.ErrNotExist", err)
	}
}

func TestTranscriptHoldsBothDirectionsAndRotates(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "session.jsonl")
	script, err := session.OpenTranscript(path, 2000, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer script.Close()
	s := start(t, command(t), session.Options{Transcript: script})
	for range 10 {
		s.tell("hello")
		s.turn()
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	dirs := map[string]int{}
	for _, name := range []string{path, path + ".1", path + ".2"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 2000 {
			t.Errorf("%s has %d bytes, want at most 2000", name, len(text))
		}
		for l := range strings.Lines(string(text)) {
			var entry struct {
				T    time.Time
				Dir  string
				Line map[string]any
			}
			if err := json.Unmarshal([]byte(l), &entry); err != nil || entry.T.IsZero() || entry.Line == nil {
				t.Errorf("line %q: %v", l, err)
			}
			dirs[entry.Dir]++
		}
	}
	if dirs["in"] == 0 || dirs["out"] == 0 {
		t.Errorf("lines by direction = %v", dirs)
	}
	if _, err := os.Stat(path + ".3"); err == nil {
		t.Error("a third old file is kept")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v, want 0600", info.Mode(), err)
	}
}
