package house_test

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"watchkeeper/channels"
	"watchkeeper/cmd/internal/house"
	"watchkeeper/runbook"
	"watchkeeper/watch"
)

// open opens a house with config, and the variables env.
func open(t *testing.T, config string, env map[string]string) *house.House {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "watchkeeper.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for k, v := range env {
		t.Setenv(k, v)
	}
	h, err := house.Open(t.Context(), house.Flags{Config: file, State: filepath.Join(dir, "state")}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func unused(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// canary is the check that sends canaries, nil if there is none.
func canary(h *house.House) *watch.Canary {
	for _, c := range h.SessionChecks() {
		if c, ok := c.(watch.Canary); ok {
			return &c
		}
	}
	return nil
}

func TestACanaryGoesThroughTheIntakeAsSendersDo(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"open":      nil,
		"a token":   {"WATCHKEEPER_WEBHOOK_TOKEN": "t0ken"},
		"signed":    {"WATCHKEEPER_WEBHOOK_HMAC_SECRET": "k3y"},
		"both":      {"WATCHKEEPER_WEBHOOK_TOKEN": "t0ken", "WATCHKEEPER_WEBHOOK_HMAC_SECRET": "k3y"},
		"by proxy?": {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t, "listen: "+unused(t)+"\nwebhook: {hmac_timestamp_header: X-Time}\n", env)
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- h.Intake(ctx) }()
			defer func() {
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			}()
			sent := time.Now()
			if err := h.Store.SendCanary(t.Context(), "n1", sent); err != nil {
				t.Fatal(err)
			}
			c := canary(h)
			var err error
			for err = c.Post(t.Context(), "n1", sent); err != nil && strings.Contains(err.Error(), "refused"); err = c.Post(t.Context(), "n1", sent) {
				time.Sleep(10 * time.Millisecond) // until it listens
			}
			if err != nil {
				t.Fatal(err)
			}
			due, err := h.Store.Due(t.Context(), "webhook", time.Now(), 10)
			if err != nil || len(due) != 1 || due[0].Kind != runbook.EventCanary {
				t.Fatalf("events = %+v, %v, want the canary", due, err)
			}
			subject, err := channels.Reader{Past: h.Store, Playbooks: h.Playbooks}.Subject(t.Context(), due[0])
			if err != nil {
				t.Fatal(err)
			}
			event := channels.Render(subject, time.Now())
			if event.Meta["event"] != "canary" || event.Meta["suggest"] != "dismiss" || !strings.Contains(event.Content, "Suggestion: dismiss (our own canary") || strings.Contains(event.Content, "more alerts") {
				t.Errorf("the session reads %v\n%s", event.Meta, event.Content)
			}
		})
	}
}

func TestWhoWantsNoCanaryGetsNone(t *testing.T) {
	for name, config := range map[string]string{
		"never":       "watch: {canary: never}",
		"no model":    "session: {mode: responder}",
		"a free port": "listen: 127.0.0.1:0",
	} {
		if c := canary(open(t, config, nil)); c != nil {
			t.Errorf("%s: %+v, want no canary", name, c)
		}
	}
	if c := canary(open(t, "watch: {canary: 30m}", nil)); c == nil || c.Every != 30*time.Minute {
		t.Errorf("canary = %+v, want one every half hour", c)
	}
}
