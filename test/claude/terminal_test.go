package claude_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"watchkeeper/session"
	"watchkeeper/test/messages"
)

// A terminal is the real CLI in a terminal that no channel is asked for: what
// is left of channels mode without its vendor's consent.
type terminal struct {
	*session.Terminal
	t    *testing.T
	mu   sync.Mutex
	seen []session.Output
	done chan error
}

// inside starts a terminal in the workspace of command.
func inside(t *testing.T, api string, env ...string) *terminal {
	t.Helper()
	c := command(t, api, append(env, "TERM=xterm-256color")...)
	ch := session.Channels{Dir: filepath.Join(t.TempDir(), "session")}
	ch.Observer = []string{binary(t, "watchkeeper"), "note", ch.Notes()}
	w := &terminal{t: t, done: make(chan error, 1)}
	terminal, err := session.StartTerminal(c, ch, session.Options{Log: logTo(t), Observe: func(o session.Output) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, o)
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.Terminal = terminal
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() { w.done <- terminal.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := await(t, "end", w.done); err != nil {
			t.Errorf("Run = %v", err)
		}
		if runs(terminal.PID()) {
			t.Errorf("process %d lives on", terminal.PID())
		}
	})
	return w
}

// runs reports whether a process has not ended.
func runs(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(status), "State:\tZ")
}

// wait returns the first output of a kind that is right.
func wait[T session.Output](w *terminal, right func(T) bool) T {
	w.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx := within(w.t); ctx.Err() == nil; <-tick.C {
		w.mu.Lock()
		for _, o := range w.seen {
			if o, ok := o.(T); ok && right(o) {
				w.mu.Unlock()
				return o
			}
		}
		w.mu.Unlock()
	}
	w.t.Fatalf("no %T as wanted; seen: %+v", *new(T), w.seen)
	panic("unreachable")
}

func anyOf[T any](T) bool { return true }

func TestRealHooksTellOfATurnWithASubAgent(t *testing.T) {
	script, api := model(t,
		messages.Rule{Name: "page", When: messages.Match{Agent: messages.Main, Text: "=== SRE Briefing"}, Reply: []messages.Block{
			messages.Call("Agent", map[string]any{"description": "look", "subagent_type": "investigator", "prompt": "Look at d42."}),
		}},
		messages.Rule{When: messages.Match{Agent: messages.Sub, Text: "Look at d42", NoResult: true}, Reply: []messages.Block{
			messages.Call("mcp__sre-tools__incident_history", map[string]any{"delivery": "d42"}),
		}},
		messages.Rule{When: messages.Match{Agent: messages.Sub}, Reply: []messages.Block{messages.Text("REPORT")}},
		messages.Rule{When: messages.Match{Agent: messages.Main, Anywhere: "REPORT"}, Reply: []messages.Block{messages.Text("All is well.")}})
	w := inside(t, api, apiKey)
	page := "=== SRE Briefing — Last 7 Days ===\n" + strings.Repeat("  - High Latency on \"openaire-test\" | $(12)x\n", 60) + "You are on duty. Wait."
	if err := w.Send(within(t), page); err != nil {
		t.Fatal(err)
	}
	first, err := script.AwaitRule(within(t), "page")
	if err != nil {
		t.Fatal(err)
	}
	if text := first.LastText(); strings.Count(text, `High Latency on "openaire-test" | $(12)x`) != 60 || !strings.Contains(text, "You are on duty. Wait.") {
		t.Errorf("the model heard %s", text)
	}
	wait(w, func(s session.Said) bool { return s.Text == "All is well." })
	if start := wait(w, anyOf[session.Init]); start.SessionID == "" || start.Model == "" {
		t.Errorf("Init = %+v, want session and model", start)
	}
	if use := wait(w, func(u session.ToolUse) bool { return u.Name == "mcp__sre-tools__incident_history" }); use.Agent == "" {
		t.Errorf("%+v is not of the sub-agent", use)
	}
	started := wait(w, func(tasks session.Tasks) bool { return len(tasks.Running) == 1 })
	if started.Running[0].Agent != "investigator" {
		t.Errorf("running = %+v, want an investigator", started.Running)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	last := slices.IndexFunc(w.seen, func(o session.Output) bool { s, ok := o.(session.Said); return ok && s.Text == "All is well." })
	if end, ok := w.seen[last+1].(session.TurnEnd); !ok || end.Failed {
		t.Errorf("after the last words came %+v, want the end of the turn", w.seen[last+1])
	}
}

func TestRealHooksTellWhyATurnFailed(t *testing.T) {
	tests := map[string]*messages.Failure{
		"authentication_failed": {Status: 401, Type: "authentication_error", Message: "invalid x-api-key"},
		"rate_limit":            {Status: 429, Type: "rate_limit_error", Message: "This request would exceed your account's rate limit."},
		"billing_error":         {Status: 400, Type: "invalid_request_error", Message: "Your credit balance is too low to access the Anthropic API."},
		"server_error":          {Status: 529, Type: "overloaded_error", Message: "Overloaded"},
	}
	for code, failure := range tests {
		t.Run(code, func(t *testing.T) {
			_, api := model(t, messages.Rule{Fail: failure})
			w := inside(t, api, apiKey, "CLAUDE_CODE_MAX_RETRIES=0")
			if err := w.Send(within(t), "You are on duty."); err != nil {
				t.Fatal(err)
			}
			if got := wait(w, anyOf[session.Failed]); got.Code != code || got.Text == "" {
				t.Errorf("failure = %+v, want %s", got, code)
			}
			if end := wait(w, anyOf[session.TurnEnd]); !end.Failed {
				t.Errorf("end of the turn = %+v, want a failure", end)
			}
		})
	}
}
