package demo_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/demo"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// options are those of a demo that ends by itself and disturbs nobody.
func options(t *testing.T, out *screen) demo.Options {
	t.Helper()
	all, err := runbook.LoadPlaybooks(os.DirFS("../playbooks"))
	if err != nil {
		t.Fatal(err)
	}
	return demo.Options{Out: out, Playbooks: all, Listen: "127.0.0.1:0", Exit: true}
}

// A screen is what the demo wrote so far. It can be waited for.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{}
}

func newScreen() *screen { return &screen{more: make(chan struct{}, 1)} }

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await returns when the screen shows what matches.
func (s *screen) await(t *testing.T, pattern string) []string {
	t.Helper()
	deadline := time.After(45 * time.Second)
	for {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(s.String()); m != nil {
			return m
		}
		select {
		case <-s.more:
		case <-deadline:
			t.Fatalf("the screen never showed %q:\n%s", pattern, s)
		}
	}
}

// stable replaces what differs from run to run.
func stable(text string) string {
	for pattern, to := range map[string]string{
		`127\.0\.0\.1:\d+`:              "127.0.0.1:PORT",
		`\d{4}-\d\d-\d\d \d\d:\d\d UTC`: "DATE UTC",
		`\[[A-Z][a-z]{2} \d{1,2}\]`:     "[DATE]",
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, to)
	}
	return text
}

func TestTheStory(t *testing.T) {
	out := newScreen()
	if err := demo.Run(t.Context(), options(t, out)); err != nil {
		t.Fatal(err)
	}
	path, got := filepath.Join("testdata", "demo.txt"), stable(out.String())
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run go test -update to create it)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); run go test -update if that is meant:\n%s", path, diff)
	}
}

func TestWhatTheMemoryHoldsAfterwards(t *testing.T) {
	dir := t.TempDir()
	o := options(t, newScreen())
	o.State = dir
	if err := demo.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), filepath.Join(dir, "watchkeeper.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	type end struct {
		Verdict   runbook.Verdict
		Escalated bool
		Count     int
	}
	got := map[string]end{}
	err = store.Occurrences(t.Context(), time.Now().Add(-time.Minute), "", 0, func(o runbook.Occurrence) bool {
		name := o.Name + " on " + o.Service
		if o.Severity != "" && strings.HasPrefix(o.Fingerprint, "5701a") {
			name = "the storm"
		}
		e := got[name]
		got[name] = end{o.Verdict, o.Escalated, e.Count + 1}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]end{
		"High Latency on openaire-test":                {runbook.Noise, false, 1},
		"Tenant Inactive on tenant-test-2":             {runbook.Noise, false, 1},
		"KubePodOOMKilled on export-worker":            {runbook.Noise, false, 1},
		"KubePodCrashLooping on cart":                  {runbook.Real, true, 2},
		"Database connections exhausted on orders-api": {runbook.Real, true, 1},
		"backup.failed on minio-offsite":               {runbook.Real, true, 1},
		"the storm":                                    {runbook.Real, true, 24},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ends of the demo's alerts (-want +got):\n%s", diff)
	}
	if _, err := store.LastSession(t.Context()); err != nil {
		t.Errorf("no session is recorded: %v", err)
	}
}

func TestItStaysUpForTheCurlThatItPrints(t *testing.T) {
	out := newScreen()
	o := options(t, out)
	o.Exit = false
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- demo.Run(ctx, o) }()
	curl := out.await(t, `curl -s (http\S+) -d '(.*)'`)
	for range 2 { // the second is a repetition
		res, err := http.Post(curl[1], "application/x-www-form-urlencoded", strings.NewReader(curl[2])) // as curl sends it
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("the printed curl got %s", res.Status)
		}
	}
	out.await(t, `(?s)An alert from you.*KubePodNotReady on embedding-worker.*Unschedulable.*REAL.*escalated`)
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v after its context was done, want nil", err)
	}
	if n := strings.Count(out.String(), "An alert from you"); n != 1 {
		t.Errorf("the alert that was sent twice was triaged %d times", n)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("left behind in the temporary folder: %v, %v", left, err)
	}
}

func TestThePort(t *testing.T) {
	taken, err := net.Listen("tcp", demo.DefaultListen)
	if err == nil {
		defer taken.Close() // else somebody else has it, which serves as well
	}
	out := newScreen()
	o := options(t, out)
	o.Listen = demo.DefaultListen
	if err := demo.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "address in use") {
		t.Errorf("Run on a port that is taken = %v, want that it is in use", err)
	}
	o.Listen = ""
	if err := demo.Run(t.Context(), o); err != nil {
		t.Errorf("Run with the default port taken = %v, want another one", err)
	}
	if !strings.Contains(out.String(), "port 8788 is taken") {
		t.Errorf("nobody was told that the port is another one:\n%s", out)
	}
}

func TestARealMemoryIsLeftAlone(t *testing.T) {
	o := options(t, newScreen())
	o.State = t.TempDir()
	path := filepath.Join(o.State, "watchkeeper.db")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := demo.Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "no demo's") {
		t.Errorf("Run over a real memory = %v, want a refusal", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "precious" {
		t.Errorf("the memory holds %q, %v afterwards", got, err)
	}
}

func TestExitFailsWithoutEveryVerdict(t *testing.T) {
	late := options(t, newScreen())
	late.Within = time.Nanosecond
	if err := demo.Run(t.Context(), late); !errors.Is(err, demo.ErrUndecided) {
		t.Errorf("Run that takes too long = %v, want ErrUndecided", err)
	}
	out := newScreen()
	o := options(t, out)
	o.Pause = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- demo.Run(ctx, o) }()
	out.await(t, "NOISE")
	cancel()
	if err := <-ended; !errors.Is(err, demo.ErrUndecided) {
		t.Errorf("Run that is interrupted = %v, want ErrUndecided", err)
	}
}

func TestColours(t *testing.T) {
	for _, color := range []bool{false, true} {
		out := newScreen()
		o := options(t, out)
		o.Color = color
		if err := demo.Run(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "\x1b["); got != color {
			t.Errorf("escape sequences with Color %v: %v", color, got)
		}
	}
}
