package claude_test

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"watchkeeper/runbook/sqlite"
	"watchkeeper/test/messages"
)

// TestACanaryComesBack waits for the first sign of life of a real session,
// which takes half a minute.
func TestACanaryComesBack(t *testing.T) {
	script, api := model(t, messages.Rule{
		Name: "canary", When: messages.Match{Agent: messages.Main, Text: `<channel source="webhook"[^>]* event="canary"[^>]* delivery="(?P<d>d\d+)"[^>]* suggest="dismiss"`, NoResult: true},
		Reply: []messages.Block{messages.Call("mcp__sre-tools__log_verdict", map[string]any{"delivery": "${d}", "verdict": "noise", "summary": "our own canary"})},
	})
	h := newHouse(t, api, "")
	h.stop()
	// Somebody has watched for an hour: the first canary is owed at once.
	store, err := sqlite.Open(t.Context(), filepath.Join(h.state, "watchkeeper.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Beat(t.Context(), sqlite.WatchdogSign, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339Nano)); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	h.up()
	type report struct {
		Canary *struct {
			State   string
			Seconds float64
		}
		Queue map[string]int
	}
	var status report
	h.poll("canary", func() bool {
		status = report{}
		if err := json.Unmarshal(h.run("status", "--json"), &status); err != nil {
			t.Fatal(err)
		}
		return status.Canary != nil && status.Canary.State == "back"
	})
	if status.Canary.Seconds <= 0 || len(status.Queue) != 0 {
		t.Errorf("status = %+v, want it back and nothing left", status)
	}
	if n := script.Count("canary"); n != 1 {
		t.Errorf("the session read %d canaries, want 1", n)
	}
	checkResults(t, script)
	if all := h.history(); len(all) != 0 {
		t.Errorf("history = %+v, want nothing of it", all)
	}
}
