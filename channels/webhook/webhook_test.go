package webhook_test

import (
	"context"
	"encoding/json"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/channels/webhook"
	"watchkeeper/config"
	"watchkeeper/runbook"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// received is the time at which all test bodies arrive.
var received = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// golden compares got with the file testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run go test -update to create it)", err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); run go test -update if that is meant:\n%s", path, diff)
	}
}

// checkError reports whether err is as wanted: "" means none, else a substring.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("error = %v, want none", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error = %v, want one with %q", err, want)
	}
}

// A payload is a captured request.
type payload struct {
	name    string
	body    []byte
	headers map[string]string
	method  string
}

// payloads returns what real senders sent.
func payloads(t testing.TB) []payload {
	t.Helper()
	files, err := filepath.Glob("testdata/payloads/*/*.headers.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("payloads: %v, %d files", err, len(files))
	}
	all := make([]payload, len(files))
	for i, file := range files {
		base := strings.TrimSuffix(file, ".headers.json")
		body, err := os.ReadFile(base + ".json")
		if err != nil {
			t.Fatal(err)
		}
		head, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var request struct {
			Method  string
			Headers map[string]string
		}
		if err := json.Unmarshal(head, &request); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[i] = payload{strings.TrimPrefix(base, "testdata/payloads/"), body, request.Headers, request.Method}
	}
	return all
}

// onePayload returns the captured body of that name.
func onePayload(t testing.TB, name string) []byte {
	t.Helper()
	body, err := os.ReadFile("testdata/payloads/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// plain returns a Normalizer with a production and a development cluster.
func plain() *webhook.Normalizer {
	return webhook.NewNormalizer(config.Webhook{}, map[string]config.Cluster{
		"platform-prod": {Context: "prod-par", Env: runbook.Prod, Aliases: []string{"prod-eu1", "platform"}},
		"platform-dev":  {Context: "dev-par", Env: runbook.Dev},
	})
}

// decode reads body as it comes without a source in the path.
func decode(t *testing.T, body string) runbook.Batch {
	t.Helper()
	b, err := webhook.Decode([]byte(body), "", "", received, plain())
	if err != nil {
		t.Fatalf("Decode(%.200s) = %v", body, err)
	}
	return b
}

// alertWith returns the alert of an Alertmanager body with these labels.
func alertWith(t *testing.T, labels map[string]string) runbook.Alert {
	t.Helper()
	text, err := json.Marshal(map[string]any{"version": "4", "alerts": []any{map[string]any{"status": "firing", "labels": labels}}})
	if err != nil {
		t.Fatal(err)
	}
	b := decode(t, string(text))
	if len(b.Alerts) != 1 {
		t.Fatalf("%d alerts, want 1", len(b.Alerts))
	}
	return b.Alerts[0]
}

// A memory is a Store that keeps batches, or fails with err.
type memory struct {
	mu      sync.Mutex
	batches []runbook.Batch
	err     error
	put     func(ctx context.Context) // called before; nil for nothing
}

func (m *memory) Put(ctx context.Context, b runbook.Batch) (runbook.Receipt, error) {
	if m.put != nil {
		m.put(ctx)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return runbook.Receipt{}, m.err
	}
	m.batches = append(m.batches, b)
	return runbook.Receipt{Accepted: len(b.Alerts)}, nil
}

func (m *memory) stored() []runbook.Batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.batches
}

func (m *memory) Ping(context.Context) error { return m.err }

// nobody discards what it keeps, for benchmarks.
type nobody struct{}

func (nobody) Put(_ context.Context, b runbook.Batch) (runbook.Receipt, error) {
	return runbook.Receipt{Accepted: len(b.Alerts)}, nil
}

// newHandler returns a Handler for s that logs to log.
func newHandler(s webhook.Store, log *strings.Builder, with ...func(*webhook.Config)) *webhook.Handler {
	c := webhook.Config{Store: s, Normalizer: plain(), Log: slog.New(slog.DiscardHandler)}
	if log != nil {
		c.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	for _, f := range with {
		f(&c)
	}
	return webhook.New(c)
}
