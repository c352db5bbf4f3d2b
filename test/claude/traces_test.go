package claude_test

import (
	"net/http/httptest"
	"testing"

	"watchkeeper/test/fakes/otlp"
)

// TestTheSessionsToolCallsAreInTheTrace follows an alert through the servers of
// a real session, which know no receiver's secret.
func TestTheSessionsToolCallsAreInTheTrace(t *testing.T) {
	r := new(otlp.Receiver)
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	_, api := model(t, soakModel()...)
	h := newHouse(t, api, "telemetry: {otlp_endpoint: "+srv.URL+"}\n")
	h.post(payload(t))
	h.poll("whole trace", func() bool {
		return r.Complete("alert "+crashLoop, "receive", "store", "tool incident_history", "tool kube_problems", "tool escalate", "tool log_verdict",
			"tell a person: escalation")
	})
}
