package slack_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"watchkeeper/channels/slack/fakeslack"
)

// The people, and tokens that a search finds wherever they leak.
const (
	ann = "U0ANN" // on call
	ben = "U0BEN" // the second person

	botToken = "xoxb-9-leakedbottoken"
	appToken = "xapp-9-leakedapptoken"
)

// bounds of the waiting, on a machine that is busy.
const (
	patience = 4 * time.Minute
	lifetime = 4 * time.Second // at least, of each life
	quiet    = 100 * time.Millisecond
)

// A scene is a workspace, the session that works in it, and what is left.
type scene struct {
	t       *testing.T
	slack   *fakeslack.Server
	dir     string
	program string
	session session
	log     lines
}

// lines are safe for concurrent use.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newScene makes a workspace; oncall is added to that part of the configuration.
func newScene(t *testing.T, oncall string) *scene {
	t.Helper()
	program := binary(t)
	f, err := fakeslack.Start(fakeslack.Options{
		BotToken: botToken, AppToken: appToken, AckTimeout: time.Second, PingEvery: 500 * time.Millisecond,
		RetryDelays: []time.Duration{0, time.Second, 2 * time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	for _, u := range []string{ann, ben} {
		f.AddUser(fakeslack.User{ID: u, Name: u[2:]})
	}
	s := &scene{t: t, slack: f, dir: t.TempDir(), program: program}
	s.session.deliveries = map[string]map[string]int{}
	config := fmt.Sprintf("oncall: {slack_user: %s, second: %s%s}\nslack: {api_url: %s}\n", ann, ben, oncall, f.URL())
	if err := os.WriteFile(filepath.Join(s.dir, "watchkeeper.yaml"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// begin starts one life of the program. end kills it, and waits until the
// session has read what it wrote.
func (s *scene) begin() (end func()) {
	s.t.Helper()
	env := []string{"HOME=" + s.dir, "PATH=" + os.Getenv("PATH"), "SLACK_BOT_TOKEN=" + botToken, "SLACK_APP_TOKEN=" + appToken}
	life, err := begin(s.program, filepath.Join(s.dir, "watchkeeper.yaml"), filepath.Join(s.dir, "state"), env, &s.log)
	if err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	killed := make(chan struct{})
	go func() {
		defer close(done)
		err := s.session.work(life)
		select {
		case <-killed:
		default:
			s.session.wrong("the program ended by itself: %v", err)
		}
	}()
	return func() { close(killed); life.kill(); <-done }
}

// await waits until ok holds, or reports false when patience is over.
func await(limit time.Duration, ok func() bool) bool {
	for end := time.Now().Add(limit); !ok(); time.Sleep(quiet) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// checkNoToken looks for the tokens in the log and in everything that the
// program left.
func (s *scene) checkNoToken() {
	s.t.Helper()
	places := map[string][]byte{"the log": []byte(s.log.String())}
	err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		places[path], err = os.ReadFile(path)
		return err
	})
	if err != nil || len(places) < 3 {
		s.t.Errorf("%d places were looked at, %v", len(places), err)
	}
	for place, content := range places {
		for _, token := range []string{"leakedbottoken", "leakedapptoken", "ticket-"} {
			if bytes.Contains(content, []byte(token)) {
				s.t.Errorf("%s holds %s", place, token)
			}
		}
	}
}
