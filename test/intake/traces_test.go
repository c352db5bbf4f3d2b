package intake_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"watchkeeper/test/fakes/otlp"
)

// TestTheWayOfAnAlertIsOneTrace follows one from the POST to the escalation in
// Slack, with the responder as the session.
func TestTheWayOfAnAlertIsOneTrace(t *testing.T) {
	r := new(otlp.Receiver)
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	s := newScene(t)
	s.config += "telemetry: {otlp_endpoint: " + srv.URL + "}\n"
	up := s.run("watchkeeper", "up", "--mode", "responder")
	up.listens()
	if status, text := post(t, s.addr, body("traced", 1)); status != http.StatusOK {
		t.Fatalf("POST = %d %s", status, text)
	}
	s.await(func() bool {
		return r.Complete("alert KubePodCrashLooping", "receive", "store", "wait for a push", "wait for a claim", "decide", "tell a person: escalation")
	}, "whole trace", up)
}
