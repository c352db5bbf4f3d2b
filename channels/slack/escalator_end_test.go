package slack_test

import (
	"errors"
	"testing"
	"time"

	"watchkeeper/channels/slack"
	"watchkeeper/runbook"
)

func TestEscalationEndsWithItsAlerts(t *testing.T) {
	nightfall(t, onCall(), func(n *night) {
		t, store := n.t, n.store
		fire(t, store, "PVC almost full", runbook.Firing)
		open, err := store.Open(n.t.Context())
		if err != nil || len(open) != 1 {
			t.Fatalf("open = %v, %v", open, err)
		}
		e := disaster()
		e.Delivery = open[0].ID
		n.escalate(e)
		n.start()
		n.pass(12)
		fire(t, store, "PVC almost full", runbook.Resolved)
		n.pass(13)
		n.stopAll()
		n.start()
		n.pass(60)
		n.wantSaid(nag(10, 1), "12: Resolved: none of its alerts fires any more. PVC at <97%>")
		got := n.state()
		if got.State != runbook.EscalationResolved || got.ResolvedBy != "alerts" {
			t.Errorf("escalation = %+v, want it resolved by its alerts", got)
		}
		if err := store.Acknowledge(n.t.Context(), 1, "U1", time.Now()); !errors.Is(err, runbook.ErrClosed) {
			t.Errorf("late acknowledgement = %v, want %v", err, runbook.ErrClosed)
		}
	})
}

// TestAnAlertThatComesAndGoesIsOneEscalation keeps the escalation that a person
// took while its alert resolves and fires anew.
func TestAnAlertThatComesAndGoesIsOneEscalation(t *testing.T) {
	nightfall(t, onCall(), func(n *night) {
		t, store := n.t, n.store
		a := runbook.Alert{Source: "test", Fingerprint: "f", Name: "PVC almost full", Service: "postgres", Cluster: "data-cluster", Env: runbook.Prod}
		turn := func(s runbook.Status) {
			t.Helper()
			if a.Status, a.EndsAt = s, time.Now(); s == runbook.Firing {
				a.StartsAt, a.EndsAt = time.Now(), time.Time{}
			}
			if _, err := store.Put(t.Context(), runbook.Batch{Source: "test", ReceivedAt: time.Now(), Alerts: []runbook.Alert{a}}); err != nil {
				t.Fatal(err)
			}
		}
		turn(runbook.Firing)
		open, err := store.Open(t.Context())
		if err != nil || len(open) != 1 {
			t.Fatalf("open = %v, %v", open, err)
		}
		d := open[0]
		e := disaster()
		e.Delivery, e.Alert, e.Service, e.Cluster = d.ID, d.Alert, d.Service, d.Cluster
		n.escalate(e)
		_, err = store.LogVerdict(t.Context(), runbook.Incident{Delivery: d.ID, Verdict: runbook.Real, Summary: "full", DecidedBy: "session", DecidedAt: n.began}, false)
		if err != nil {
			t.Fatal(err)
		}
		n.start()
		n.pass(3)
		if err := store.Acknowledge(t.Context(), 1, "U1", time.Now()); err != nil {
			t.Fatal(err)
		}
		for _, minute := range []float64{5, 14, 30} { // it ends, and fires anew within ten minutes
			n.pass(minute)
			turn(runbook.Resolved)
			n.pass(minute + 6)
			turn(runbook.Firing)
		}
		n.pass(50)
		if got := n.state(); got.State != runbook.EscalationAcked {
			t.Fatalf("escalation = %+v, want the one that was acknowledged", got)
		}
		turn(runbook.Resolved)
		n.pass(90)
		n.wantSaid("60: Resolved: none of its alerts fires any more. PVC at <97%>")
	})
}

func TestEscalationOpenedAfterItsAlertsEndedStaysOpen(t *testing.T) {
	nightfall(t, slack.Calling{People: slack.People{OnCall: "U1"}}, func(n *night) {
		t, store := n.t, n.store
		fire(t, store, "PVC almost full", runbook.Firing)
		open, err := store.Open(n.t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fire(t, store, "PVC almost full", runbook.Resolved)
		e := disaster()
		e.Delivery = open[0].ID
		n.escalate(e)
		n.start()
		n.pass(21)
		n.wantSaid(nags(1, 2)...)
	})
}
