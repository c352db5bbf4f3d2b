package sqlite_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// noisy records n firings of name on each of services, noise that lasted for
// four minutes, the newest of them an hour before noon.
func noisy(t *testing.T, s *sqlite.Store, name string, n int, services ...string) {
	t.Helper()
	for _, service := range services {
		for i := range n {
			starts := noon.Add(-time.Hour - time.Duration(i)*12*time.Hour)
			a := alert(name, service, starts)
			put(t, s, starts, a)
			put(t, s, starts.Add(4*time.Minute), resolved(a, starts.Add(4*time.Minute)))
			for _, d := range open(t, s) {
				if d.Kind == runbook.EventAlert {
					decide(t, s, d.ID, runbook.Noise, starts.Add(5*time.Minute), "streaming")
				}
			}
		}
	}
}

func TestNoisePatternsAreTheRecurringOnesWithTheirHistory(t *testing.T) {
	s := openStore(t)
	noisy(t, s, "High Latency", 12, "openaire-test")
	noisy(t, s, "Tenant Inactive", 4, "tenant-test-1", "tenant-test-2")
	noisy(t, s, "Seldom", 4, "backend")
	ps, err := s.NoisePatterns(t.Context(), noon, 7)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range ps {
		got = append(got, fmt.Sprintf("%s|%s|%s|%s|%d", p.Alert, p.Service, p.Cluster, p.Source, len(p.Spells)))
	}
	want := []string{"High Latency|openaire-test|prod|test|12", "Tenant Inactive|tenant-test-*|prod|test|8"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("NoisePatterns = %q, want %q", got, want)
	}
	for i, sp := range ps[0].Spells {
		if sp.Lasted != 4*time.Minute || sp.Verdict != runbook.Noise {
			t.Errorf("spell %d = %+v, want 4 min of noise", i, sp)
		}
		if i > 0 && !sp.StartedAt.After(ps[0].Spells[i-1].StartedAt) {
			t.Errorf("spell %d is not after the one before", i)
		}
	}
	prop, ok := runbook.Propose(ps[0], runbook.Rule{}, 7, noon)
	if !ok || prop.BackTest.Removed != 12 {
		t.Errorf("Propose = %+v, %t, want all 12 removed", prop, ok)
	}
}

func TestAProposalKeepsItsStateAndGetsNewNumbers(t *testing.T) {
	s := openStore(t)
	noisy(t, s, "High Latency", 12, "openaire-test")
	find := func(now time.Time) runbook.Proposal {
		t.Helper()
		ps, err := s.NoisePatterns(t.Context(), now, 7)
		if err != nil {
			t.Fatal(err)
		}
		prop, ok := runbook.Propose(ps[0], runbook.Rule{}, 7, now)
		if !ok {
			t.Fatal("no proposal")
		}
		kept, err := s.KeepProposals(t.Context(), []runbook.Proposal{prop})
		if err != nil {
			t.Fatal(err)
		}
		return kept[0]
	}
	p := find(noon)
	if p.ID == 0 || p.State != runbook.ProposalNew || p.Noise != 12 || !p.Due(noon) || p.BackTest.String() != "would have removed 12 of 12, and none that was real" {
		t.Fatalf("new proposal = %+v", p)
	}
	p, sent, err := s.SendProposal(t.Context(), p.ID, "tune it", noon.Add(time.Hour), noon)
	if err != nil || !sent || p.State != runbook.ProposalOpen || p.Raised != 1 || !p.SentAt.Equal(noon) {
		t.Fatalf("SendProposal = %+v, %t, %v", p, sent, err)
	}
	if p, sent, err := s.SendProposal(t.Context(), p.ID, "tune it", noon.Add(time.Hour), noon); err != nil || sent || p.Raised != 1 {
		t.Errorf("SendProposal again = %+v, %t, %v, want nothing sent", p, sent, err)
	}
	if out, err := s.Messages(t.Context(), 0, 10); err != nil || len(out) != 1 || out[0].Text != "tune it" || out[0].State != "queued" || !out[0].NextAt.Equal(noon.Add(time.Hour)) {
		t.Errorf("Messages = %+v, %v, want the proposal once", out, err)
	}
	if p := find(noon.Add(time.Minute)); p.Due(noon.Add(time.Minute)) || p.State != runbook.ProposalOpen {
		t.Fatalf("found again = %+v, want it to wait", p)
	}
	answered, err := s.AnswerProposal(t.Context(), p.ID, runbook.ProposalSnoozed, noon.Add(runbook.Day), "U1", noon.Add(-13*time.Hour))
	if err != nil || answered.State != runbook.ProposalSnoozed || answered.DecidedBy != "U1" || answered.NoiseThen != 12 {
		t.Fatalf("AnswerProposal = %+v, %v", answered, err)
	}
	if answered.NoiseSince != 1 {
		t.Errorf("noise since the answer = %d, want the one that began after it", answered.NoiseSince)
	}
	later := find(noon.Add(runbook.Day))
	if !later.Due(noon.Add(runbook.Day)) || later.Due(noon) {
		t.Errorf("snoozed proposal = %+v, want it due when the snooze ends", later)
	}
	all, err := s.Proposals(t.Context())
	if err != nil || len(all) != 1 {
		t.Errorf("Proposals = %+v, %v, want one", all, err)
	}
}

func TestAnUnknownProposalIsNotFound(t *testing.T) {
	s := openStore(t)
	if _, err := s.Proposal(t.Context(), 7); !errors.Is(err, runbook.ErrNotFound) {
		t.Errorf("Proposal = %v, want ErrNotFound", err)
	}
	if _, _, err := s.SendProposal(t.Context(), 7, "tune it", noon, noon); !errors.Is(err, runbook.ErrNotFound) {
		t.Errorf("SendProposal = %v, want ErrNotFound", err)
	}
	if _, err := s.AnswerProposal(t.Context(), 7, runbook.ProposalAccepted, time.Time{}, "U1", noon); !errors.Is(err, runbook.ErrNotFound) {
		t.Errorf("AnswerProposal = %v, want ErrNotFound", err)
	}
}
