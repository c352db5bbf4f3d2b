package session_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/session"
	"watchkeeper/test/fakes/claude"
)

// patience bounds every wait; the machine may be busy.
const patience = 60 * time.Second

// show is a terminal with a fake CLI in it, at work.
type show struct {
	*session.Terminal
	t        *testing.T
	play     *claude.Play
	home     string
	command  session.Command
	channels session.Channels

	mu   sync.Mutex
	seen []session.Output
	stop context.CancelFunc
	done chan error
}

// stage makes everything that a terminal needs. Its observer is this binary.
func stage(t *testing.T) *show {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		if os.Getenv("WATCHKEEPER_REQUIRE_BINARIES") != "" {
			t.Fatalf("%v; Debian's package tmux has it", err)
		}
		t.Skipf("SKIPPED, NOT TESTED: %v; Debian's package tmux has it", err)
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	s := &show{t: t, play: claude.New(t), home: t.TempDir()}
	s.command = session.Command{
		Path: s.play.Path, Dir: t.TempDir(), Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.home, "LANG=C.UTF-8"},
		MCPConfig: file("mcp.json", `{"mcpServers":{"webhook":{},"slack":{}}}`),
		Settings:  file("settings.json", `{"permissions":{"allow":["Agent"]},"hooks":{"Stop":[{"hooks":[{"type":"command","command":"touch stopped"}]}]}}`),
	}
	s.channels = session.Channels{
		Dir: filepath.Join(dir, "session"), AnswerAfter: time.Second,
		Servers: []session.Channel{{Name: "webhook", Probe: "pending_events"}, {Name: "slack", Probe: "list_escalations"}},
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s.channels.Observer = []string{"env", "SESSION_TEST_ROLE=note", self, s.channels.Notes()}
	return s
}

// options are for a session whose output s keeps.
func (s *show) options() session.Options {
	return session.Options{Log: slog.New(slog.DiscardHandler), Observe: func(o session.Output) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, o)
	}}
}

// begin starts the terminal, which runs until the test ends.
func (s *show) begin() {
	s.t.Helper()
	terminal, err := session.StartTerminal(s.command, s.channels, s.options())
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.Terminal, s.stop, s.done = terminal, stop, make(chan error, 1)
	over := make(chan struct{})
	go func() {
		defer close(over)
		s.done <- terminal.Run(ctx)
	}()
	s.t.Cleanup(func() {
		stop()
		<-over
	})
}

// end waits for the end of Run.
func (s *show) end() error {
	s.t.Helper()
	select {
	case err := <-s.done:
		return err
	case <-time.After(patience):
		s.t.Fatal("Run does not end")
		return nil
	}
}

// outputs are those of one kind.
func outputs[T session.Output](s *show) []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []T
	for _, o := range s.seen {
		if o, ok := o.(T); ok {
			all = append(all, o)
		}
	}
	return all
}

// runs reports whether a process has not ended.
func runs(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(status), "State:\tZ")
}

// until waits until ok holds.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %s", what, patience)
		}
	}
}

func texts(records []claude.Record) []string {
	var all []string
	for _, r := range records {
		all = append(all, r.Text)
	}
	return all
}

func TestTerminalPassesTheDialogsThatItKnows(t *testing.T) {
	t.Parallel()
	s := stage(t)
	s.play.Set("dialogs", "trust,key,warning")
	s.begin()
	page := "=== SRE Briefing ===\n  - one | 12x\n\x1b[201~  - \"two\" $(x) | 8x\nYou are on duty."
	if err := s.Send(t.Context(), page); err != nil {
		t.Fatal(err)
	}
	want := []string{"Yes, I trust this folder", "Yes", "I am using this for local development"}
	if diff := cmp.Diff(want, texts(s.play.Records("answered"))); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	want = []string{strings.ReplaceAll(page, "\x1b", "")}
	if diff := cmp.Diff(want, texts(s.play.Records("prompt"))); diff != "" {
		t.Errorf("prompts (-want +got):\n%s", diff)
	}
	until(t, "end of the turn", func() bool { return len(outputs[session.TurnEnd](s)) == 1 })
	if got := outputs[session.Init](s); len(got) != 1 || got[0].SessionID != "fake" || got[0].Model != "fake" {
		t.Errorf("Init = %+v, want one turn of the session", got)
	}
	if got := outputs[session.Said](s); len(got) != 1 || got[0].Text != "On duty." {
		t.Errorf("Said = %+v", got)
	}
	if _, err := os.Stat(filepath.Join(s.command.Dir, "stopped")); err != nil {
		t.Errorf("the hook of the settings did not run: %v", err)
	}
	start := s.play.Records("start")[0].Text
	if !strings.HasSuffix(start, "--dangerously-load-development-channels server:webhook server:slack") || !strings.Contains(start, "--strict-mcp-config") {
		t.Errorf("the CLI was started with %s", start)
	}
}

func TestTerminalAnswersNothingThatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	s := stage(t)
	s.play.Set("dialogs", "a subscription")
	s.begin()
	var u *session.Unavailable
	if err := s.end(); !errors.As(err, &u) || !strings.Contains(u.Screen, "A new question from the vendor: a subscription") {
		t.Errorf("Run = %#v, want the screen with the question", err)
	}
	if got := s.play.Records("answered"); len(got) != 0 {
		t.Errorf("answers = %+v, want none", got)
	}
}

func TestTerminalSaysWhyThereIsNoSession(t *testing.T) {
	t.Parallel()
	t.Run("a gate that is closed, whatever a server says", func(t *testing.T) {
		t.Parallel()
		s := stage(t)
		s.play.Set("gate", "closed")
		s.begin()
		var u *session.Unavailable
		if err := s.end(); !errors.As(err, &u) || !strings.Contains(u.Reason, "channels feature is not currently available") {
			t.Errorf("Run = %v, want the CLI's reason", err)
		}
		if err := s.Send(t.Context(), "hello"); !errors.Is(err, session.ErrGone) {
			t.Errorf("Send = %v, want ErrGone", err)
		}
	})
	t.Run("nobody is logged in", func(t *testing.T) {
		t.Parallel()
		s := stage(t)
		s.play.Set("dialogs", "login")
		s.begin()
		var end session.End
		if err := s.end(); !errors.As(err, &end) || end.Cause != session.LoggedOut {
			t.Errorf("Run = %v, want logged out", err)
		}
	})
	t.Run("a CLI that ends at once", func(t *testing.T) {
		t.Parallel()
		s := stage(t)
		s.play.Set("refuse", "not in your country")
		s.begin()
		var u *session.Unavailable
		if err := s.end(); !errors.As(err, &u) || !strings.Contains(u.Reason, "ended before it registered the channels") || !strings.Contains(u.Screen, "not in your country") {
			t.Errorf("Run = %#v, want how it ended and what it said", err)
		}
	})
	t.Run("a CLI that is killed", func(t *testing.T) {
		t.Parallel()
		s := stage(t)
		s.begin()
		if err := s.Send(t.Context(), "hello"); err != nil {
			t.Fatal(err)
		}
		syscall.Kill(s.PID(), syscall.SIGKILL)
		if err := s.end(); err == nil || !strings.HasPrefix(err.Error(), "the process ended") {
			t.Errorf("Run = %v, want that it ended", err)
		}
		if !strings.Contains(s.Stderr(), "On duty.") {
			t.Errorf("last words = %q, want those of the screen", s.Stderr())
		}
	})
}

func TestTerminalEndsInOrder(t *testing.T) {
	t.Parallel()
	s := stage(t)
	s.begin()
	if err := s.Send(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	s.stop()
	if err := s.end(); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if runs(s.PID()) {
		t.Errorf("process %d is left behind", s.PID())
	}
	if out, err := s.tmux("ls"); err == nil {
		t.Errorf("the terminal is left behind: %s", out)
	}
}

// tmux asks the terminal's own server.
func (s *show) tmux(args ...string) (string, error) {
	cmd := exec.Command("tmux", append([]string{"-S", "tmux.sock"}, args...)...)
	cmd.Dir = s.channels.Dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestTerminalOfAKilledKeeperIsEndedFirst(t *testing.T) {
	t.Parallel()
	s := stage(t)
	old, err := session.StartTerminal(s.command, s.channels, s.options())
	if err != nil {
		t.Fatal(err)
	}
	s.begin()
	if runs(old.PID()) {
		t.Errorf("the old process %d lives beside the new one", old.PID())
	}
	if err := s.Send(t.Context(), "hello"); err != nil {
		t.Error(err)
	}
}

func TestTerminalTypesNothingIntoADialog(t *testing.T) {
	t.Parallel()
	s := stage(t)
	s.begin()
	if err := s.Send(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	s.play.Set("ask", "may I?")
	if err := s.Send(t.Context(), "more"); err != nil { // after it the CLI asks
		t.Fatal(err)
	}
	until(t, "dialog", func() bool {
		screen, _ := s.tmux("capture-pane", "-p")
		return strings.Contains(screen, "may I?")
	})
	if err := s.Send(t.Context(), "and more"); !errors.Is(err, session.ErrNotReading) {
		t.Errorf("Send = %v, want ErrNotReading", err)
	}
	if got := s.play.Records("answered"); len(got) != 0 {
		t.Errorf("answers = %+v, want none", got)
	}
}

func TestTerminalReportsWhatTheHooksSay(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"authentication_failed", "rate_limit", "server_error"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s := stage(t)
			s.play.Set("fail", code)
			s.begin()
			if err := s.Send(t.Context(), "hello"); err != nil {
				t.Fatal(err)
			}
			until(t, "failure", func() bool { return len(outputs[session.TurnEnd](s)) == 1 })
			want := []session.Failed{{Code: code, Text: "API Error: " + code}}
			if diff := cmp.Diff(want, outputs[session.Failed](s)); diff != "" {
				t.Errorf("failures (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTerminalTrustsTheFolderAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	s := stage(t)
	path := filepath.Join(s.home, ".claude.json")
	before := fmt.Sprintf(`{"big":12345678901234567890,"projects":{%q:{"cost":1.5},"/other":{"hasTrustDialogAccepted":false}}}`, s.command.Dir)
	if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	s.begin()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"big":12345678901234567890,"hasCompletedOnboarding":true,"projects":{%q:{"cost":1.5,"hasTrustDialogAccepted":true},"/other":{"hasTrustDialogAccepted":false}}}`, s.command.Dir)
	var got, wanted any
	for v, t := range map[*any]string{&got: string(text), &wanted: want} {
		d := json.NewDecoder(strings.NewReader(t))
		d.UseNumber()
		if err := d.Decode(v); err != nil {
			s.t.Fatal(err)
		}
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Errorf("~/.claude.json (-want +got):\n%s", diff)
	}
}

func TestServerThatIsLostIsBroughtBack(t *testing.T) {
	t.Parallel()
	s := stage(t)
	status := "connected"
	s.channels.Health = func() []session.ServerStatus { return []session.ServerStatus{{Name: "slack", Status: status}} }
	s.begin()
	if err := s.Send(t.Context(), "hello"); err != nil {
		t.Fatal(err)
	}
	status = "failed"
	if got, err := s.Servers(t.Context()); err != nil || got[0].Status != "failed" {
		t.Errorf("Servers = %+v, %v", got, err)
	}
	for range 3 {
		if err := s.Reconnect(t.Context(), "slack"); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "call of a tool of slack", func() bool { return len(s.play.Records("tool")) == 3 })
	if got := s.play.Records("tool")[0]; got.Server != "slack" || got.Meta["tool"] != "list_escalations" {
		t.Errorf("the model called %+v", got)
	}
	if err := s.Reconnect(t.Context(), "slack"); !errors.Is(err, session.ErrGone) {
		t.Errorf("the fourth Reconnect = %v, want ErrGone", err)
	}
	var end session.End
	if err := s.end(); !errors.As(err, &end) || end.Cause != session.Hung {
		t.Errorf("Run = %v, want hung", err)
	}
}

func TestNoteKeepsTheEssence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes")
	in := `{"hook_event_name":"Stop","session_id":"s","transcript_path":"/secret","tool_input":{"big":1},"last_assistant_message":"` + strings.Repeat("ö", 1500) + `"}`
	for range 2 {
		if err := session.Note(path, strings.NewReader(in)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"hook_event_name":"Stop","session_id":"s","last_assistant_message":"` + strings.Repeat("ö", 1000) + "…\"}\n"
	if string(text) != want+want {
		t.Errorf("notes = %.300s, want %.300s twice", text, want)
	}
	if err := session.Note(path, strings.NewReader("no JSON")); err == nil {
		t.Error("Note of no JSON = nil, want an error")
	}
}
