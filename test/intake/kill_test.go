package intake_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"watchkeeper/runbook"
)

// kills is how often the receiver is killed; the mission asks for 50.
const kills = 50

// TestAcknowledgedAlertsSurviveKills kills the receiver at random moments under
// load. Every alert that got a 200 is in the memory, once.
func TestAcknowledgedAlertsSurviveKills(t *testing.T) {
	p := newPlace(t)
	const alerts = 3
	var acknowledged []string
	for i := range kills {
		c := start(t, p)
		done := make(chan []string)
		go func() { done <- flood(p.addr, fmt.Sprintf("k%d", i), 8, 1000, alerts) }()
		<-time.After(time.Duration(rand.IntN(60)) * time.Millisecond)
		c.kill()
		acknowledged = append(acknowledged, <-done...)
	}
	if len(acknowledged) < kills {
		t.Fatalf("only %d POSTs were acknowledged over %d kills: the test shows nothing", len(acknowledged), kills)
	}
	stored := map[string]int{}
	err := memory(t, p).Occurrences(t.Context(), time.Time{}, "", 0, func(o runbook.Occurrence) bool {
		stored[o.Fingerprint]++
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range acknowledged {
		for n := range alerts {
			if f := fmt.Sprintf("%s-%d", tag, n); stored[f] != 1 {
				t.Errorf("alert %s got a 200 and is stored %d times, want once", f, stored[f])
			}
		}
	}
	t.Logf("%d kills, %d POSTs acknowledged, %d alerts stored", kills, len(acknowledged), len(stored))
}
