package trace_test

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/trace"
)

// TestAFloodIsNotTracedOneByOne receives a thousand alerts at once: the memory
// is there for them, and not for their traces.
func TestAFloodIsNotTracedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "watchkeeper.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		r := trace.New(store, "intake", slog.New(slog.DiscardHandler))
		now := time.Now()
		receive := func(n int) {
			b := runbook.Batch{Source: "test", ReceivedAt: now, Alerts: []runbook.Alert{{
				Source: "test", Fingerprint: fmt.Sprint(n), StartsAt: now, Status: runbook.Firing, Name: fmt.Sprintf("Alert %d", n),
			}}}
			if _, err := store.Put(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			r.Received(t.Context(), b, now, now, now)
		}
		for n := range 1000 {
			receive(n)
		}
		kept := count(t, store)
		if kept == 0 || kept > 250 {
			t.Errorf("%d spans are kept of a flood of 1,000, want a hundred receptions", kept)
		}
		time.Sleep(time.Minute)
		receive(1000)
		if again := count(t, store); again != kept+2 {
			t.Errorf("%d spans are kept a minute later, want two more than %d", again, kept)
		}
	})
}

func count(t *testing.T, s *sqlite.Store) int {
	t.Helper()
	spans, err := s.Spans(t.Context(), 5000)
	if err != nil {
		t.Fatal(err)
	}
	return len(spans)
}
