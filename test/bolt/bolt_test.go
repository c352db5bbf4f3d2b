// Package bolt_test checks the fake Slack of our tests with Slack's own
// framework: what Bolt accepts, the real Slack says too.
package bolt_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"watchkeeper/channels/slack/fakeslack"
)

// patience bounds the whole conversation; the machine may be busy.
const patience = 60 * time.Second

const user = "U0ANN"

// missing skips the test, loudly, or fails it where Bolt is required.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	why := fmt.Sprintf(format, args...)
	if os.Getenv("WATCHKEEPER_REQUIRE_BOLT") != "" {
		t.Fatal(why)
	}
	t.Skip("SKIPPED, NOT TESTED: " + why)
}

// A line is one event of app.js.
type line struct{ Event, Detail string }

// An app is the running app.js.
type app struct {
	*fakeslack.Server
	lines chan line
	log   *log
	ctx   context.Context //nolint:containedctx // of the test
}

// A log is the app's stderr. It is safe for concurrent use.
type log struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start runs app.js against a fake Slack until it says that it has started.
func start(t *testing.T, o fakeslack.Options) *app {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		missing(t, "no node: %v", err)
	}
	if _, err := os.Stat(filepath.Join("node_modules", "@slack", "bolt")); err != nil {
		missing(t, "no Bolt: %v; run npm install in test/bolt", err)
	}
	s, err := fakeslack.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.AddUser(fakeslack.User{ID: user, Name: "ann"})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	a := &app{Server: s, lines: make(chan line, 100), log: &log{}, ctx: ctx}
	cmd := exec.CommandContext(ctx, node, "app.js")
	cmd.Env = append(os.Environ(), "SLACK_API_URL="+s.URL(), "SLACK_BOT_TOKEN="+s.BotToken(), "SLACK_APP_TOKEN="+s.AppToken())
	cmd.Stderr = a.log
	a.run(t, cmd)
	if me := a.next(t, "started"); me != fakeslack.BotUser {
		t.Fatalf("auth.test says %s, want %s", me, fakeslack.BotUser)
	}
	return a
}

func (a *app) run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for scan := bufio.NewScanner(stdout); scan.Scan(); {
			var l line
			if json.Unmarshal(scan.Bytes(), &l) == nil {
				a.lines <- l
			}
		}
	}()
	t.Cleanup(func() { stdin.Close(); <-done; cmd.Wait() })
}

// next returns the detail of the next event, which must be of this kind.
func (a *app) next(t *testing.T, event string) string {
	t.Helper()
	select {
	case l := <-a.lines:
		if l.Event != event {
			t.Fatalf("the app says %s %q, want %s\n%s", l.Event, l.Detail, event, a.log)
		}
		return l.Detail
	case <-a.ctx.Done():
		t.Fatalf("the app does not say %s\n%s", event, a.log)
	}
	return ""
}

func TestBoltHasAConversationWithTheFake(t *testing.T) {
	a := start(t, fakeslack.Options{})
	a.Say(user, "good <morning> & so on")
	if got := a.next(t, "message"); got != "good &lt;morning&gt; &amp; so on" {
		t.Errorf("the app heard %q, want Slack's escapes", got)
	}
	ts := a.next(t, "posted")
	if err := a.Press(user, a.DM(user), ts, "wave"); err != nil {
		t.Fatalf("%v\n%s", err, a.log)
	}
	if got, want := a.next(t, "thread"), "waved/greeting|"+user+" waved 42/"; got != want {
		t.Errorf("the thread is %q, want %q", got, want)
	}
	seen := a.Seen(a.DM(user))
	if len(seen) != 3 || seen[1].Text != "waved" || !seen[1].Edited || seen[2].Thread != ts {
		t.Errorf("Ann sees %+v", seen)
	}
	if len(a.lines) != 0 {
		t.Errorf("the app says more: %+v; was an event not acknowledged?", <-a.lines)
	}
}

func TestBoltSurvivesTheFaultsOfTheFake(t *testing.T) {
	tests := []struct {
		name string
		harm func(a *app)
	}{
		{"slack asks for a new connection", func(a *app) { a.Disconnect(fakeslack.RefreshRequested) }},
		{"the connection is cut", func(a *app) { a.DropConnections() }},
		{"slack limits the rate", func(a *app) {
			a.Inject(fakeslack.Fault{Method: "chat.postMessage", RetryAfter: time.Second})
		}},
		{"slack is down for a moment", func(a *app) { a.Inject(fakeslack.Fault{Method: "chat.postMessage", Status: 503}) }},
		{"the acknowledgement is lost", func(a *app) { a.IgnoreAcks(1) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := start(t, fakeslack.Options{AckTimeout: time.Second, RetryDelays: []time.Duration{0, time.Second, 2 * time.Second, 4 * time.Second}})
			tt.harm(a)
			a.Say(user, "hello")
			a.next(t, "message")
			// What comes again is a second message to Bolt, so the rest may repeat.
			if err := a.Wait(a.ctx, func() bool { return len(a.Seen(a.DM(user))) >= 2 }); err != nil {
				t.Errorf("no answer: %v\n%s", err, a.log)
			}
		})
	}
}
