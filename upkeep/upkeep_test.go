package upkeep_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/upkeep"
)

func openStore(t *testing.T) (*sqlite.Store, string) {
	t.Helper()
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "watchkeeper.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, dir
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// keeper returns one whose disk has what *free says.
func keeper(s *sqlite.Store, dir string, free *uint64) *upkeep.Keeper {
	disk := &upkeep.Disk{Path: dir, People: s, Log: quiet(), Free: func(string) (uint64, error) { return *free, nil }}
	return &upkeep.Keeper{Memory: s, Disk: disk, Raw: 30 * runbook.Day, Incidents: 400 * runbook.Day, Log: quiet()}
}

// said returns the texts to people under keys that begin with prefix.
func said(t *testing.T, s *sqlite.Store, prefix string) []string {
	t.Helper()
	all, err := s.Messages(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range all {
		if strings.HasPrefix(m.Key, prefix) {
			out = append(out, m.Text)
		}
	}
	return out
}

func opened(t *testing.T, s *sqlite.Store) []runbook.Escalation {
	t.Helper()
	open, err := s.Escalations(t.Context(), runbook.EscalationOpen)
	if err != nil {
		t.Fatal(err)
	}
	return open
}

func lastPrune(t *testing.T, s *sqlite.Store) (time.Time, string) {
	t.Helper()
	beats, err := s.Beats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range beats {
		if b.Name == upkeep.BeatName {
			return b.At, b.Detail
		}
	}
	return time.Time{}, ""
}

func TestTheMemoryIsPrunedOnceADayAcrossRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dir := openStore(t)
		old := time.Now().Add(-500 * runbook.Day)
		for i := range 2 { // the newest stays, as its number does
			a := runbook.Alert{
				Source: "test", Fingerprint: fmt.Sprint(i), StartsAt: old, EndsAt: old.Add(time.Minute), Status: runbook.Resolved,
				Name: "old", Severity: runbook.Warning, Env: runbook.Prod, Cluster: fmt.Sprint(i),
			}
			if _, err := s.Put(t.Context(), runbook.Batch{ReceivedAt: old, Alerts: []runbook.Alert{a}}); err != nil {
				t.Fatal(err)
			}
			ds, _ := s.Open(t.Context())
			if err := s.MarkPushed(t.Context(), ds[0].ID, 1, old); err != nil {
				t.Fatal(err)
			}
		}
		plenty := uint64(10 * upkeep.Low)
		run := func(d time.Duration) {
			ctx, stop := context.WithTimeout(t.Context(), d)
			defer stop()
			if err := keeper(s, dir, &plenty).Run(ctx); err != nil {
				t.Fatal(err)
			}
		}
		run(30 * time.Second)
		if at, _ := lastPrune(t, s); !at.IsZero() {
			t.Error("pruned within 30 s of the start, want everybody else to start first")
		}
		run(90 * time.Second)
		first, detail := lastPrune(t, s)
		if first.IsZero() || !strings.Contains(detail, "1 alerts") {
			t.Fatalf("last pruning = %s, %q; want one that forgot an alert", first, detail)
		}
		run(5 * time.Hour)
		if at, _ := lastPrune(t, s); !at.Equal(first) {
			t.Errorf("pruned again after %s, want once a day", at.Sub(first))
		}
		run(20 * time.Hour)
		if at, _ := lastPrune(t, s); at.Sub(first) < 24*time.Hour || at.Sub(first) > 24*time.Hour+2*time.Minute {
			t.Errorf("second pruning %s after the first, want a day", at.Sub(first))
		}
	})
}

func TestPeopleHearOfADiskThatFillsUp(t *testing.T) {
	s, dir := openStore(t)
	left := uint64(10 * upkeep.Low)
	disk := keeper(s, dir, &left).Disk
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	look := func(free uint64) {
		t.Helper()
		left = free
		now = now.Add(time.Minute)
		if err := disk.Look(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	reserve := func() int64 {
		info, err := os.Stat(filepath.Join(dir, "reserve"))
		if err != nil {
			return 0
		}
		return info.Size()
	}

	look(10 * upkeep.Low)
	if reserve() != 32<<20 || len(said(t, s, "")) > 0 {
		t.Fatalf("with plenty: reserve %d, said %q; want 32 MiB and silence", reserve(), said(t, s, ""))
	}
	look(700 << 20)
	look(upkeep.Low / 2)
	if got := said(t, s, "disk-low"); len(got) != 1 || !strings.Contains(got[0], "700 MiB left") || reserve() == 0 {
		t.Errorf("when low: said %q, reserve %d; want one message and the reserve in place", got, reserve())
	}
	look(upkeep.Scarce - 1)
	look(upkeep.Scarce / 2)
	if got := opened(t, s); len(got) != 1 || got[0].Severity != runbook.Critical || reserve() != 0 {
		t.Errorf("when scarce: pages %+v, reserve %d; want one critical page and the reserve given up", got, reserve())
	}
	now = now.Add(24 * time.Hour)
	look(upkeep.Scarce / 2)
	if got := opened(t, s); len(got) != 2 {
		t.Errorf("after a day: %d pages, want one each day", len(got))
	}
	look(2 * upkeep.Low)
	if got := opened(t, s); len(got) != 0 || reserve() != 32<<20 {
		t.Errorf("with room again: pages %+v, reserve %d; want none open and the reserve back", got, reserve())
	}
}
