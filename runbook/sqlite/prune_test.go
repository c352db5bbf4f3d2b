package sqlite_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

const day = runbook.Day

// retention is the default one at noon.
var retention = sqlite.Retention{Raw: noon.Add(-30 * day), Incidents: noon.Add(-400 * day)}

func prune(t *testing.T, s *sqlite.Store) map[string]int {
	t.Helper()
	done, err := s.Prune(t.Context(), retention)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int{}
	for _, p := range done {
		out[p.What] = p.Rows
	}
	return out
}

// fire stores an alert that began so long before noon, and returns its event.
func fire(t *testing.T, s *sqlite.Store, name string, ago time.Duration) runbook.DeliveryID {
	t.Helper()
	a := alert(name, "cart", noon.Add(-ago))
	a.Labels = map[string]string{"pod": name}
	put(t, s, a.StartsAt, a)
	ds := open(t, s)
	return ds[len(ds)-1].ID
}

// end stores that the alert resolved a minute after it began.
func end(t *testing.T, s *sqlite.Store, name string, ago time.Duration) {
	t.Helper()
	a := alert(name, "cart", noon.Add(-ago))
	put(t, s, a.StartsAt.Add(time.Minute), resolved(a, a.StartsAt.Add(time.Minute)))
}

// over stores an alert of which nothing is open any more.
func over(t *testing.T, s *sqlite.Store, name string, ago time.Duration) runbook.DeliveryID {
	t.Helper()
	id := fire(t, s, name, ago)
	end(t, s, name, ago)
	decide(t, s, id, runbook.Real, noon.Add(2*time.Minute-ago), "as before")
	return id
}

func escalate(t *testing.T, s *sqlite.Store, id runbook.DeliveryID, ago time.Duration) int64 {
	t.Helper()
	e, _, err := s.Escalate(t.Context(), runbook.Escalation{
		Key: fmt.Sprint("e", id), Delivery: id, Title: "look", Severity: runbook.Critical, Env: runbook.Prod,
		OpenedBy: "session", OpenedAt: noon.Add(-ago),
	}, "look")
	if err != nil {
		t.Fatal(err)
	}
	return e.ID
}

func TestPruneForgetsTheOldAndNeverTheOpen(t *testing.T) {
	s := openStore(t)
	over(t, s, "older than incidents", 401*day)
	over(t, s, "older than raw", 31*day)
	over(t, s, "young", 29*day)
	fire(t, s, "undecided", 500*day)
	decide(t, s, fire(t, s, "still firing", 40*day), runbook.Noise, noon.Add(-40*day), "flaps")
	ended := escalate(t, s, over(t, s, "escalation resolved", 440*day), 440*day)
	if err := s.ResolveEscalation(t.Context(), ended, "U1", noon.Add(-439*day)); err != nil {
		t.Fatal(err)
	}
	escalate(t, s, over(t, s, "escalation open", 450*day), 450*day)
	over(t, s, "newest", 0)

	done := prune(t, s)
	got := map[string]bool{} // name: has its labels
	err := s.Occurrences(t.Context(), time.Time{}, "", 0, func(o runbook.Occurrence) bool {
		got[o.Name] = len(o.Labels) > 0
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{
		"older than raw": false, "young": true, "undecided": true, "still firing": true, "escalation open": true, "newest": true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alerts that stay, and whether their labels do (-want +got):\n%s\nforgot %v", diff, done)
	}
	if done["incidents"] != 2 || done["alerts"] != 2 || done["escalations"] != 1 {
		t.Errorf("Prune = %v, want 2 incidents, 2 alerts and 1 escalation forgotten", done)
	}
	if again := prune(t, s); len(again) > 0 {
		t.Errorf("Prune again = %v, want nothing left to do", again)
	}
}

func TestPruneKeepsMessagesOfWhatIsOpen(t *testing.T) {
	s := openStore(t)
	openID := escalate(t, s, over(t, s, "a", 60*day), 60*day)
	for i, m := range []runbook.Message{
		{Key: "sent, old", CreatedAt: noon.Add(-31 * day)},
		{Key: "sent, young", CreatedAt: noon.Add(-29 * day)},
		{Key: "owed, old", CreatedAt: noon.Add(-31 * day)},
		{Key: "of an open escalation", CreatedAt: noon.Add(-31 * day), Escalation: openID},
		{Key: "newest", CreatedAt: noon},
	} {
		m.Kind, m.Text = "message", "hello"
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		if m.Key == "owed, old" {
			continue
		}
		sent, err := s.Message(t.Context(), m.Key)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.MarkSent(t.Context(), sent.ID, "D1", fmt.Sprint(i), noon); err != nil {
			t.Fatal(err)
		}
	}
	prune(t, s)
	all, err := s.Messages(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range all {
		if m.Kind == "message" {
			got = append(got, m.Key)
		}
	}
	if want := []string{"sent, young", "owed, old", "of an open escalation", "newest"}; !slices.Equal(got, want) {
		t.Errorf("messages after Prune = %q, want %q", got, want)
	}
}

func TestNumbersNeverComeTwice(t *testing.T) {
	s := openStore(t)
	last := over(t, s, "long ago", 900*day)
	prune(t, s)
	if next := fire(t, s, "now", 0); next <= last {
		t.Errorf("event after Prune has number %d, want more than %d: people and keys still name that", next, last)
	}
}

func TestHistoryAndBriefingAreTheSameAfterPrune(t *testing.T) {
	s := openStore(t)
	for i := range 120 { // every five days of 600
		ago := time.Duration(600-5*i) * day
		over(t, s, fmt.Sprint("Alert ", i%3), ago)
	}
	over(t, s, "Alert 0", time.Hour)
	type page struct {
		History  runbook.History
		Briefing runbook.Briefing
	}
	look := func() page {
		h, err := s.History(t.Context(), "Alert 0", "cart", "prod", noon, 0)
		if err != nil {
			t.Fatal(err)
		}
		b, err := s.Briefing(t.Context(), noon, 30)
		if err != nil {
			t.Fatal(err)
		}
		return page{h, b}
	}
	before := look()
	if done := prune(t, s); done["alerts"] == 0 || done["texts of alerts"] == 0 {
		t.Fatalf("Prune = %v, want alerts and texts forgotten", done)
	}
	if diff := cmp.Diff(before, look()); diff != "" || before.History.Month.Total == 0 {
		t.Errorf("history and briefing changed (-before +after):\n%s", diff)
	}
}

func TestPruneStopsAndGoesOn(t *testing.T) {
	s := openStore(t)
	for i := range 3 {
		over(t, s, fmt.Sprint("old ", i), 500*day)
	}
	over(t, s, "now", 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Prune(ctx, retention); err == nil {
		t.Error("Prune of an ended context = nil, want its error")
	}
	if done := prune(t, s); done["alerts"] != 3 {
		t.Errorf("Prune after an interrupted one = %v, want 3 alerts", done)
	}
}

// past is what the memory answers about an alert and about the last week. It
// is asked as of now whenever it is asked.
func past(tb testing.TB, s *sqlite.Store, now time.Time) (p struct {
	History  runbook.History
	Briefing runbook.Briefing
},
) {
	tb.Helper()
	var err error
	if p.History, err = s.History(tb.Context(), "Alert 7", "service-7", "cluster-2", now, 0); err != nil {
		tb.Fatal(err)
	}
	if p.Briefing, err = s.Briefing(tb.Context(), now, 7); err != nil {
		tb.Fatal(err)
	}
	return p
}

// BenchmarkPruneMillion forgets most of a million alerts while others are
// stored, and reports the longest that one of them had to wait.
func BenchmarkPruneMillion(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := full(b)
		now := time.Now()
		before := past(b, s, now)
		ctx, cancel := context.WithCancel(b.Context())
		worst := make(chan time.Duration)
		var n atomic.Int64
		go func() {
			var w time.Duration
			for ctx.Err() == nil {
				start := time.Now()
				if _, err := s.Put(b.Context(), three(n.Add(1))); err != nil {
					b.Error(err)
				}
				w = max(w, time.Since(start))
				time.Sleep(5 * time.Millisecond)
			}
			worst <- w
		}()
		b.StartTimer()
		done, err := s.Prune(b.Context(), sqlite.Retention{Raw: now.Add(-30 * day), Incidents: now.Add(-350 * day)})
		cancel()
		if err != nil || len(done) == 0 {
			b.Fatalf("Prune = %v, %v; want rows forgotten", done, err)
		}
		b.StopTimer()
		if diff := cmp.Diff(before, past(b, s, now)); diff != "" {
			b.Errorf("history or briefing changed (-before +after):\n%s", diff)
		}
		b.ReportMetric(float64((<-worst).Milliseconds()), "worst-put-ms")
		b.ReportMetric(float64(done[0].Rows), "rows")
		b.StartTimer()
	}
}
