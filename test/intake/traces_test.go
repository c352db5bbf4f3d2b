package intake_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A collector is an OTLP/HTTP receiver: the names of spans by their trace.
type collector struct {
	mu     sync.Mutex
	traces map[string][]string
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var data tracepb.TracesData
	if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &data) != nil {
		http.Error(w, "no traces", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rs := range data.ResourceSpans {
		for _, s := range rs.ScopeSpans[0].Spans {
			id := hex.EncodeToString(s.TraceId)
			c.traces[id] = append(c.traces[id], s.Name)
		}
	}
}

// complete reports whether there is one trace with all of names.
func (c *collector) complete(names ...string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, spans := range c.traces {
		if !slices.ContainsFunc(names, func(n string) bool { return !slices.Contains(spans, n) }) {
			return true
		}
	}
	return false
}

// TestTheWayOfAnAlertIsOneTrace follows one from the POST to the escalation in
// Slack, with the responder as the session.
func TestTheWayOfAnAlertIsOneTrace(t *testing.T) {
	c := &collector{traces: map[string][]string{}}
	srv := httptest.NewServer(c)
	t.Cleanup(srv.Close)
	s := newScene(t)
	s.config += "telemetry: {otlp_endpoint: " + srv.URL + "}\n"
	up := s.run("watchkeeper", "up", "--mode", "responder")
	up.listens()
	if status, text := post(t, s.addr, body("traced", 1)); status != http.StatusOK {
		t.Fatalf("POST = %d %s", status, text)
	}
	s.await(func() bool {
		return c.complete("alert KubePodCrashLooping", "receive", "store", "wait for a push", "wait for a claim", "decide", "tell a person: escalation")
	}, "whole trace", up)
}
