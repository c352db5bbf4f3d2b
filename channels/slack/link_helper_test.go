package slack_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"watchkeeper/channels/slack"
	"watchkeeper/channels/slack/fakeslack"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/secret"
)

// The people of the tests.
const (
	ann      = "U0ANN" // on call
	ben      = "U0BEN" // the second person
	stranger = "U0EVE"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// newWorkspace starts a fake Slack in which everybody exists.
func newWorkspace(t *testing.T, o fakeslack.Options) *fakeslack.Server {
	t.Helper()
	s, err := fakeslack.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	for _, u := range []string{ann, ben, stranger} {
		s.AddUser(fakeslack.User{ID: u, Name: u[2:]})
	}
	return s
}

func newMemory(t *testing.T) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "memory.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func clientOf(s *fakeslack.Server) *slack.Client {
	return slack.NewClient(s.URL(), secret.New(s.BotToken()), secret.New(s.AppToken()))
}

// background runs fn until the test ends, or until the function it returns is
// called.
func background(t *testing.T, fn func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := fn(ctx); err != nil {
			t.Errorf("Run = %v, want nil on shutdown", err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}

// eventually waits until ok is true, and asks often.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen within %s", what, patience)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// A desk records what people asked for.
type desk struct {
	mu      sync.Mutex
	presses []runbook.Press
	replies []string
	answers []string
	err     error // of every call
	known   bool  // of Answer
}

func (d *desk) Press(_ context.Context, p runbook.Press) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.presses = append(d.presses, p)
	return d.err
}

func (d *desk) Replied(_ context.Context, e runbook.Escalation, h runbook.Heard) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.replies = append(d.replies, e.Title+": "+h.Text)
	return d.err
}

func (d *desk) Answer(_ context.Context, user, id string, allow bool) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	verb := "no "
	if allow {
		verb = "yes "
	}
	d.answers = append(d.answers, user+" "+verb+id)
	return d.known, d.err
}

func (d *desk) seen() (presses, replies, answers int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.presses), len(d.replies), len(d.answers)
}

// An office is a workspace with a running link, and what it stores.
type office struct {
	*fakeslack.Server
	memory *sqlite.Store
	link   *slack.Link
	desk   *desk
	log    *slog.Logger // nil discards
	lines  lines
	stop   func()
}

// lines are what was logged. They are safe for concurrent use.
type lines struct {
	mu  sync.Mutex
	buf strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// find returns the first line with text in it.
func (l *lines) find(text string) string {
	for line := range strings.Lines(l.String()) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// openOffice starts a link and waits until it listens.
func openOffice(t *testing.T, o fakeslack.Options) *office {
	t.Helper()
	f := &office{Server: newWorkspace(t, o), memory: newMemory(t), desk: &desk{}}
	f.start(t)
	f.connected(t)
	return f
}

func (f *office) start(t *testing.T) {
	t.Helper()
	if f.log == nil {
		f.log = discard()
	}
	f.link = &slack.Link{
		Memory: f.memory, Client: clientOf(f.Server), People: slack.People{OnCall: ann, Second: ben},
		Actions: f.desk, Answers: f.desk, Log: f.log,
	}
	f.stop = background(t, f.link.Run)
}

func (f *office) connected(t *testing.T) {
	t.Helper()
	eventually(t, "a connection", func() bool { return f.Connections() == 1 && f.link.Health().Status == slack.Connected })
}

// deliveries are the texts that the session is owed, in order.
func (f *office) deliveries(t *testing.T) (texts []string) {
	t.Helper()
	due, err := f.memory.Due(t.Context(), "slack", time.Now().Add(time.Hour), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range due {
		texts = append(texts, d.Text)
	}
	return texts
}

func (f *office) notices(t *testing.T) (texts []string) {
	t.Helper()
	all, err := f.memory.Messages(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		texts = append(texts, m.Text)
	}
	return texts
}
