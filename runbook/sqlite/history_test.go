package sqlite_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// A fact is one firing as a test knows it.
type fact struct {
	service string
	at      time.Time
	verdict runbook.Verdict
}

// randomFacts fills s with what happened in 40 days before noon.
func randomFacts(t *testing.T, s *sqlite.Store, services ...string) []fact {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 3))
	facts := make([]fact, 300)
	for i := range facts {
		facts[i].at = noon.Add(-time.Duration(1+r.IntN(40*24*60)) * time.Minute)
	}
	slices.SortFunc(facts, func(a, b fact) int { return a.at.Compare(b.at) })
	for i := range facts {
		f := &facts[i]
		f.service = services[r.IntN(len(services))]
		f.verdict = []runbook.Verdict{runbook.Noise, runbook.Noise, runbook.Real, runbook.AutoFixed, ""}[r.IntN(5)]
		a := alert("Latency", f.service, f.at)
		a.Fingerprint += fmt.Sprint(i)
		put(t, s, f.at, a)
		for _, d := range open(t, s) {
			if d.State != runbook.Queued {
				continue // an older one, which stays undecided
			}
			if _, err := s.Claim(t.Context(), d.ID, f.at); err != nil {
				t.Fatal(err)
			}
			if f.verdict != "" {
				decide(t, s, d.ID, f.verdict, f.at.Add(time.Second), "decided")
			}
		}
	}
	return facts
}

// tally counts what the facts of some services say of the days before noon.
func tally(facts []fact, days int, of func(service string) bool) (n runbook.Tally) {
	for _, f := range facts {
		if !of(f.service) || !f.at.After(noon.Add(-time.Duration(days)*runbook.Day)) {
			continue
		}
		n.Total++
		switch f.verdict {
		case runbook.Noise:
			n.Noise++
		case runbook.Real:
			n.Real++
		case runbook.AutoFixed:
			n.AutoFixed++
		}
	}
	return n
}

func TestHistoryCountsWhatHappened(t *testing.T) {
	s := openStore(t)
	services := []string{"tenant-test-1", "tenant-test-2", "cart"}
	facts := randomFacts(t, s, services...)
	for _, service := range services {
		h, err := s.History(t.Context(), "Latency", service, "prod", noon, 0)
		if err != nil {
			t.Fatal(err)
		}
		exact := func(name string) bool { return name == service }
		family := func(name string) bool { return runbook.Family(name) == runbook.Family(service) }
		want := runbook.History{
			Alert: "Latency", Service: service, Cluster: "prod", Family: runbook.Family(service),
			Day: tally(facts, 1, exact), Week: tally(facts, 7, exact), Fortnight: tally(facts, 14, exact), Month: tally(facts, 30, exact),
			FamilyWeek: tally(facts, 7, family), FamilyMonth: tally(facts, 30, family),
		}
		if diff := cmp.Diff(want, h, cmpopts.IgnoreFields(runbook.History{}, "Recent")); diff != "" {
			t.Errorf("History of %s (-want +got):\n%s", service, diff)
		}
		var newest []runbook.Verdict
		for _, f := range slices.Backward(facts) {
			if f.service == service && len(newest) < 10 {
				newest = append(newest, f.verdict)
			}
		}
		var got []runbook.Verdict
		for _, p := range h.Recent {
			got = append(got, p.Verdict)
		}
		if diff := cmp.Diff(newest, got); diff != "" {
			t.Errorf("verdicts of %s, newest first (-want +got):\n%s", service, diff)
		}
	}
}

// TestTheMemoryReversesAtTheFirstRealOne walks through a month: noise until it
// is dismissed, one that is real, and noise again.
func TestTheMemoryReversesAtTheFirstRealOne(t *testing.T) {
	s := openStore(t)
	day := 0
	suggest := func() runbook.Suggestion {
		at := noon.Add(time.Duration(day) * runbook.Day)
		h, err := s.History(t.Context(), "Latency", "cart", "prod", at, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := runbook.Suggest(runbook.Delivery{Kind: runbook.EventAlert, Alert: "Latency", Service: "cart", Env: runbook.Prod, Severity: runbook.Warning},
			h, runbook.Policy{}, runbook.Playbook{})
		return got
	}
	fire := func(v runbook.Verdict) {
		day++
		at := noon.Add(time.Duration(day) * runbook.Day).Add(-time.Hour)
		put(t, s, at, alert("Latency", "cart", at))
		decide(t, s, only(t, s).ID, v, at.Add(time.Minute), "decided")
	}
	var got []runbook.Suggestion
	for _, v := range []runbook.Verdict{runbook.Noise, runbook.Noise, runbook.Noise, runbook.Noise, runbook.Noise, runbook.Real, runbook.Noise, runbook.Noise, runbook.Noise, runbook.Noise, runbook.Noise, runbook.Noise} {
		got = append(got, suggest())
		fire(v)
	}
	got = append(got, suggest())
	day += 10 // nothing fires
	got = append(got, suggest())
	const i, d, e = runbook.Investigate, runbook.Dismiss, runbook.Escalate
	if diff := cmp.Diff([]runbook.Suggestion{i, i, i, i, i, d, e, i, i, i, i, i, i, i}, got); diff != "" {
		t.Errorf("suggestions before each firing, at the end, and after ten silent days (-want +got):\n%s", diff)
	}
}
