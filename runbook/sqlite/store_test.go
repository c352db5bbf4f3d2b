package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

var noon = time.Date(2026, 4, 18, 12, 0, 0, 0, time.UTC)

func openStore(t *testing.T) *sqlite.Store {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "memory.db"))
}

func openAt(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// alert is a firing one; change it as needed.
func alert(name, service string, starts time.Time) runbook.Alert {
	return runbook.Alert{
		Source: "test", Fingerprint: name + "/" + service, StartsAt: starts, Status: runbook.Firing,
		Name: name, Severity: runbook.Warning, SeverityRaw: "warning", Service: service, Cluster: "prod", Env: runbook.Prod,
	}
}

func resolved(a runbook.Alert, ends time.Time) runbook.Alert {
	a.Status, a.EndsAt = runbook.Resolved, ends
	return a
}

func put(t *testing.T, s *sqlite.Store, now time.Time, alerts ...runbook.Alert) runbook.Receipt {
	t.Helper()
	r, err := s.Put(t.Context(), runbook.Batch{Source: "test", ReceivedAt: now, Alerts: alerts})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func open(t *testing.T, s *sqlite.Store) []runbook.Delivery {
	t.Helper()
	ds, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func only(t *testing.T, s *sqlite.Store) runbook.Delivery {
	t.Helper()
	ds := open(t, s)
	if len(ds) != 1 {
		t.Fatalf("open deliveries = %d, want 1: %+v", len(ds), ds)
	}
	return ds[0]
}

func decide(t *testing.T, s *sqlite.Store, id runbook.DeliveryID, v runbook.Verdict, at time.Time, summary string) {
	t.Helper()
	_, err := s.LogVerdict(t.Context(), runbook.Incident{Delivery: id, Verdict: v, Summary: summary, DecidedBy: "session", DecidedAt: at}, false)
	if err != nil {
		t.Fatal(err)
	}
}

func TestPutTellsNewsFromRepetition(t *testing.T) {
	s := openStore(t)
	a := alert("Latency", "checkout", noon)
	steps := []struct {
		name string
		in   runbook.Alert
		want runbook.Receipt
	}{
		{"a first firing is news", a, runbook.Receipt{Accepted: 1}},
		{"the same firing again is a duplicate", a, runbook.Receipt{Duplicates: 1}},
		{"its resolve is news", resolved(a, noon.Add(time.Minute)), runbook.Receipt{Accepted: 1}},
		{"a repeated resolve is a duplicate", resolved(a, noon.Add(time.Minute)), runbook.Receipt{Duplicates: 1}},
		{"a late firing never reopens", a, runbook.Receipt{Duplicates: 1}},
		{"a start one nanosecond later is a new occurrence", alert("Latency", "checkout", noon.Add(1)), runbook.Receipt{Accepted: 1}},
	}
	for _, st := range steps {
		if got := put(t, s, noon, st.in); got != st.want {
			t.Errorf("%s: Put = %+v, want %+v", st.name, got, st.want)
		}
	}
}

func TestPutWithoutStartIsOneOccurrenceUntilItResolves(t *testing.T) {
	s := openStore(t)
	a := alert("Disk", "db", time.Time{})
	for i, want := range []runbook.Receipt{{Accepted: 1}, {Duplicates: 1}} {
		if got := put(t, s, noon.Add(time.Duration(i)*time.Minute), a); got != want {
			t.Errorf("Put %d = %+v, want %+v", i, got, want)
		}
	}
	if got, want := put(t, s, noon.Add(time.Hour), resolved(a, time.Time{})), (runbook.Receipt{Accepted: 1}); got != want {
		t.Errorf("resolve = %+v, want %+v", got, want)
	}
	if got, want := put(t, s, noon.Add(2*time.Hour), a), (runbook.Receipt{Accepted: 1}); got != want {
		t.Errorf("firing again = %+v, want %+v", got, want)
	}
}

func TestOneNameAndClusterIsOneEvent(t *testing.T) {
	s := openStore(t)
	put(t, s, noon, alert("Crash", "a", noon), alert("Crash", "b", noon), alert("Crash", "c", noon))
	d := only(t, s)
	if d.Alerts != 3 || d.Service != "several" || !d.DueAt.Equal(noon) {
		t.Errorf("delivery = %d alerts on %q due %v, want 3 on several at once", d.Alerts, d.Service, d.DueAt)
	}
	if err := s.MarkPushed(t.Context(), d.ID, 1, noon); err != nil {
		t.Fatal(err)
	}
	soon := noon.Add(100 * time.Millisecond)
	put(t, s, soon, alert("Crash", "d", noon))
	put(t, s, soon.Add(200*time.Millisecond), alert("Crash", "e", noon))
	second := open(t, s)[1]
	if want := soon.Add(700 * time.Millisecond); second.Alerts != 2 || !second.DueAt.Equal(want) {
		t.Errorf("second event = %d alerts due %v, want 2 due %v", second.Alerts, second.DueAt, want)
	}
}

func TestGatheringEndsAfterFiveSeconds(t *testing.T) {
	s := openStore(t)
	put(t, s, noon, alert("Crash", "first", noon))
	if err := s.MarkPushed(t.Context(), only(t, s).ID, 1, noon); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		now := noon.Add(time.Duration(i+1) * 200 * time.Millisecond)
		put(t, s, now, alert("Crash", fmt.Sprint("s", i), noon))
	}
	got := open(t, s)[1]
	if want := got.CreatedAt.Add(5 * time.Second); !got.DueAt.Equal(want) {
		t.Errorf("due %v, want %v: five seconds after the first", got.DueAt, want)
	}
}

func TestFlappingIsCountedNotPushedAgain(t *testing.T) {
	s := openStore(t)
	a := alert("Flap", "edge", noon)
	put(t, s, noon, a)
	d := only(t, s)
	if err := s.MarkPushed(t.Context(), d.ID, 1, noon); err != nil {
		t.Fatal(err)
	}
	again := alert("Flap", "edge", noon.Add(time.Minute))
	put(t, s, noon.Add(time.Minute), again)
	if got := only(t, s); got.State != runbook.Pushed || got.Alerts != 2 {
		t.Errorf("delivery = %s with %d alerts, want pushed with 2", got.State, got.Alerts)
	}
}

func TestResolveIsToldOnlyWhereItMatters(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(s *sqlite.Store, id runbook.DeliveryID)
		want    int // resolved events
	}{
		{"not for an event that is still queued", func(*sqlite.Store, runbook.DeliveryID) {}, 0},
		{"for an event that was pushed", func(s *sqlite.Store, id runbook.DeliveryID) { _ = s.MarkPushed(t.Context(), id, 1, noon) }, 1},
		{"not for noise", func(s *sqlite.Store, id runbook.DeliveryID) { decide(t, s, id, runbook.Noise, noon, "n") }, 0},
		{"for a real one", func(s *sqlite.Store, id runbook.DeliveryID) { decide(t, s, id, runbook.Real, noon, "r") }, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := openStore(t)
			a := alert("Pods", "cart", noon)
			put(t, s, noon, a)
			tt.prepare(s, only(t, s).ID)
			put(t, s, noon.Add(time.Minute), resolved(a, noon.Add(time.Minute)))
			n := 0
			for _, d := range open(t, s) {
				if d.Kind == runbook.EventResolved {
					n++
				}
			}
			if n != tt.want {
				t.Errorf("resolved events = %d, want %d", n, tt.want)
			}
		})
	}
}

func TestExpireReturnsToTheQueueThenToAHuman(t *testing.T) {
	s := openStore(t)
	put(t, s, noon, alert("Deaf", "x", noon))
	id := only(t, s).ID
	now := noon
	for push := 1; push <= runbook.MaxPushes; push++ {
		if err := s.MarkPushed(t.Context(), id, 1, now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(runbook.ClaimWithin)
		if err := s.Expire(t.Context(), "webhook", now); err != nil {
			t.Fatal(err)
		}
		over, err := s.Overdue(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		if wantOver := push == runbook.MaxPushes; (len(over) == 1) != wantOver {
			t.Errorf("after push %d: overdue = %d, want it only after the last", push, len(over))
		}
	}
}

func TestRequeueOwesANewSessionWhatTheOldOneHeld(t *testing.T) {
	s := openStore(t)
	put(t, s, noon, alert("A", "x", noon), alert("B", "y", noon))
	for _, d := range open(t, s) {
		if err := s.MarkPushed(t.Context(), d.ID, 1, noon); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Claim(t.Context(), open(t, s)[0].ID, noon); err != nil {
		t.Fatal(err)
	}
	if err := s.Requeue(t.Context(), "webhook", 2, noon); err != nil {
		t.Fatal(err)
	}
	due, err := s.Due(t.Context(), "webhook", noon, 10)
	if err != nil || len(due) != 2 {
		t.Errorf("due for the new session = %d (%v), want both", len(due), err)
	}
}

func TestStormTakesEverythingQueued(t *testing.T) {
	s := openStore(t)
	for i := range 25 {
		put(t, s, noon, alert(fmt.Sprint("Alert", i), "svc", noon))
	}
	if n, err := s.Digest(t.Context(), noon); n != 25 || err != nil {
		t.Fatalf("Digest = %d, %v, want 25", n, err)
	}
	storm := only(t, s)
	if storm.Kind != runbook.EventStorm || storm.Alerts != 25 || storm.Service != "svc" {
		t.Errorf("storm = %+v, want 25 alerts on svc", storm)
	}
	if d, err := s.Delivery(t.Context(), 3); err != nil || d.ID != storm.ID {
		t.Errorf("a merged delivery leads to %s (%v), want the storm %s", d.ID, err, storm.ID)
	}
	if err := s.MarkPushed(t.Context(), storm.ID, 1, noon); err != nil {
		t.Fatal(err)
	}
	put(t, s, noon.Add(time.Second), alert("Late", "svc", noon))
	if _, err := s.Digest(t.Context(), noon.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if got, want := open(t, s)[1].DueAt, noon.Add(runbook.StormInterval); !got.Equal(want) {
		t.Errorf("next digest due %v, want %v", got, want)
	}
	decide(t, s, storm.ID, runbook.Real, noon, "the network")
}

func TestAVerdictIsGivenOnce(t *testing.T) {
	s := openStore(t)
	put(t, s, noon, alert("A", "x", noon))
	id := only(t, s).ID
	decide(t, s, id, runbook.Noise, noon, "first")
	in := runbook.Incident{Delivery: id, Verdict: runbook.Real, Summary: "second", DecidedBy: "session", DecidedAt: noon}
	got, err := s.LogVerdict(t.Context(), in, false)
	if !errors.Is(err, runbook.ErrDecided) || got.Summary != "first" {
		t.Errorf("second verdict = %q, %v, want the first one and ErrDecided", got.Summary, err)
	}
	if got, err = s.LogVerdict(t.Context(), in, true); err != nil || got.Verdict != runbook.Real {
		t.Errorf("revised verdict = %q, %v, want real", got.Verdict, err)
	}
	if _, err := s.LogVerdict(t.Context(), runbook.Incident{Delivery: 99, Verdict: runbook.Real}, false); !errors.Is(err, runbook.ErrNotFound) {
		t.Errorf("verdict of an unknown delivery: %v, want ErrNotFound", err)
	}
}

func TestHistoryCountsByWindowAndVerdict(t *testing.T) {
	s := openStore(t)
	for i, daysAgo := range []int{40, 20, 10, 3, 2, 0} {
		start := noon.Add(-time.Duration(daysAgo) * runbook.Day)
		a := alert("Idle", "tenant-test-1", start)
		put(t, s, start, a)
		put(t, s, start.Add(4*time.Minute), resolved(a, start.Add(4*time.Minute)))
		if i < 5 {
			decide(t, s, only(t, s).ID, runbook.Noise, start.Add(time.Minute), "idle")
		}
	}
	put(t, s, noon, alert("Idle", "tenant-test-2", noon.Add(-time.Hour)))
	h, err := s.History(t.Context(), "Idle", "tenant-test-1", "prod", noon, 6)
	if err != nil {
		t.Fatal(err)
	}
	type counts struct{ day, week, fortnight, month, noiseWeek, familyWeek, recent int }
	got := counts{h.Day.Total, h.Week.Total, h.Fortnight.Total, h.Month.Total, h.Week.Noise, h.FamilyWeek.Total, len(h.Recent)}
	if want := (counts{1, 3, 4, 5, 2, 4, 5}); got != want {
		t.Errorf("counts = %+v, want %+v", got, want)
	}
	want := "4th in 14 days; 7 days: 2 noise; the last 5 healed by themselves within 4 min."
	if got := h.Line(); got != want {
		t.Errorf("Line() = %q, want %q", got, want)
	}
}

func TestConcurrentPutsOfTwoProcessesAllLand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	stores := []*sqlite.Store{openAt(t, path), openAt(t, path)}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			_, err := stores[i%2].Put(context.WithoutCancel(t.Context()), runbook.Batch{
				ReceivedAt: noon,
				Alerts:     []runbook.Alert{alert("Same", fmt.Sprint("svc-", i), noon), alert("Same", "shared", noon)},
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n, repeats := 0, 0
	err := stores[0].Occurrences(t.Context(), noon, "", 0, func(o runbook.Occurrence) bool {
		n++
		if o.Service == "shared" {
			repeats = o.Count
		}
		return true
	})
	if err != nil || n != 65 || repeats != 64 {
		t.Errorf("occurrences = %d, the shared one seen %d times (%v), want 65 and 64", n, repeats, err)
	}
}

func TestManyProcessesMigrateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s, err := sqlite.Open(context.WithoutCancel(t.Context()), path)
			if err != nil {
				t.Error(err)
				return
			}
			s.Close()
		})
	}
	wg.Wait()
}

func TestEscalationIsOnePerKeyAndStaysResolved(t *testing.T) {
	s := openStore(t)
	a := alert("Down", "pg", noon)
	a.Severity = runbook.Critical
	put(t, s, noon, a)
	id := only(t, s).ID
	e := runbook.Escalation{Key: "delivery:" + id.String(), Delivery: id, Title: "pg is down", OpenedBy: "session", OpenedAt: noon}
	first, created, err := s.Escalate(t.Context(), e, "pg is down")
	if err != nil || !created || first.Service != "pg" || !first.NextNagAt.Equal(noon.Add(10*time.Minute)) {
		t.Fatalf("Escalate = %+v, %v, %v, want a new one on pg that nags in 10 minutes", first, created, err)
	}
	if again, created, err := s.Escalate(t.Context(), e, "x"); err != nil || created || again.ID != first.ID {
		t.Errorf("second Escalate = %d, %v, %v, want the first", again.ID, created, err)
	}
	decide(t, s, id, runbook.Real, noon, "down")
	if in, err := s.Incident(t.Context(), id); err != nil || !in.Escalated {
		t.Errorf("incident escalated = %v (%v), want true", in.Escalated, err)
	}
	if err := s.ResolveEscalation(t.Context(), first.ID, "U1", noon); err != nil {
		t.Fatal(err)
	}
	if err := s.Acknowledge(t.Context(), first.ID, "U2", noon); !errors.Is(err, runbook.ErrClosed) {
		t.Errorf("late acknowledge: %v, want ErrClosed", err)
	}
	out, err := s.Outbox(t.Context(), noon)
	if err != nil || len(out) != 1 || out[0].Key != fmt.Sprintf("escalation:%d", first.ID) {
		t.Errorf("outbox = %+v (%v), want the one message", out, err)
	}
}

func TestBriefingIsThePageOfTheMission(t *testing.T) {
	s := openStore(t)
	day := func(d, h int) time.Time { return time.Date(2026, 4, d, h, 0, 0, 0, time.UTC) }
	fire := func(n int, v runbook.Verdict, at time.Time, name, summary string, service func(i int) string) (ids []runbook.DeliveryID) {
		for i := range n {
			start := at.Add(time.Duration(i) * time.Minute)
			a := alert(name, service(i), start)
			put(t, s, start, a)
			all := open(t, s)
			id := all[len(all)-1].ID
			decide(t, s, id, v, start.Add(time.Second), summary)
			put(t, s, start.Add(30*time.Second), resolved(a, start.Add(30*time.Second)))
			ids = append(ids, id)
		}
		return ids
	}
	is := func(name string) func(int) string { return func(int) string { return name } }
	escalate := func(id runbook.DeliveryID, title string, at time.Time) runbook.Escalation {
		e, _, err := s.Escalate(t.Context(), runbook.Escalation{Key: title, Delivery: id, Title: title, OpenedBy: "session", OpenedAt: at}, title)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	fire(12, runbook.Noise, day(12, 13), "High Latency", "streaming", is("openaire-test"))
	fire(8, runbook.Noise, day(13, 1), "Tenant Inactive", "no heartbeat", func(i int) string { return fmt.Sprintf("tenant-test-%d", i) })
	fire(18, runbook.Noise, day(14, 1), "Blip", "once", func(i int) string { return fmt.Sprintf("svc%c", 'a'+i) })
	fire(3, runbook.AutoFixed, day(17, 3), "Pod CrashLooping", "OOMKilled, recovered", is("backend"))
	argo := fire(5, runbook.Real, day(16, 3), "ArgoCD Out-of-Sync", "bad helm values", is("data-cluster"))
	for i, id := range argo[3:] {
		e := escalate(id, fmt.Sprint("argo ", i), day(16, 4))
		if err := s.Acknowledge(t.Context(), e.ID, "U1", day(16, 5)); err != nil {
			t.Fatal(err)
		}
	}
	pvc := fire(1, runbook.Real, day(16, 6), "PVC at 87%", "climbing", is("data-cluster-biorxiv"))
	escalate(pvc[0], "climbing", day(16, 6))
	fire(2, runbook.Noise, day(1, 1), "High Latency", "too old to count", is("openaire-test"))

	b, err := s.Briefing(t.Context(), noon, 7)
	if err != nil {
		t.Fatal(err)
	}
	const want = `=== SRE Briefing — Last 7 Days ===
Total: 47 alerts | 38 noise | 6 real | 3 auto-fixed | 3 escalated
Recurring noise (consider tuning):
  - High Latency on openaire-test | 12x
  - Tenant Inactive on tenant-test-* | 8x
Recent real incidents:
  - [Apr 17] Pod CrashLooping on backend — auto-fixed: OOMKilled, recovered
  - [Apr 16] ArgoCD Out-of-Sync on data-cluster — escalated: bad helm values
Pending escalations (unacknowledged):
  - [Apr 16] PVC at 87% on data-cluster-biorxiv — climbing
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("briefing (-want +got):\n%s", diff)
	}
}
