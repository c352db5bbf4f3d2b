package sqlite_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

func TestHeartbeatAlertsAreSignsAndNoEvents(t *testing.T) {
	s := openStore(t)
	beat := alert("Watchdog", "w1", noon)
	beat.Cluster, beat.Heartbeat = "platform-prod", true
	for i := range 3 {
		put(t, s, noon.Add(time.Duration(i)*time.Minute), beat)
	}
	over := beat
	over.Status = runbook.Resolved
	put(t, s, noon.Add(time.Hour), over)
	if open, err := s.Open(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("events = %+v, %v, want none", open, err)
	}
	if got := sign(t, s, sqlite.HeartbeatSign+"platform-prod"); !got.Equal(noon.Add(2 * time.Minute)) {
		t.Errorf("last heartbeat at %s, want that of the last firing", got)
	}
	if got := sign(t, s, sqlite.SenderSign+beat.Source); !got.Equal(noon.Add(time.Hour)) {
		t.Errorf("last word of the sender at %s", got)
	}
}

// sign returns when name was last seen.
func sign(t *testing.T, s *sqlite.Store, name string) time.Time {
	t.Helper()
	beats, err := s.Beats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range beats {
		if b.Name == name {
			return b.At
		}
	}
	return time.Time{}
}

func TestSignsOfManySendersAreBounded(t *testing.T) {
	s := openStore(t)
	for i := range 1100 {
		a := alert("A", "f", noon)
		a.Source = fmt.Sprint("sender", i)
		if _, err := s.Put(t.Context(), runbook.Batch{Source: a.Source, ReceivedAt: noon, Alerts: []runbook.Alert{a}}); err != nil {
			t.Fatal(err)
		}
	}
	if beats, err := s.Beats(t.Context()); err != nil || len(beats) != 1000 {
		t.Errorf("%d signs, %v, want 1000", len(beats), err)
	}
}

func TestWatchingCountsFromTheLastGap(t *testing.T) {
	s := openStore(t)
	for _, step := range []struct{ at, want time.Duration }{
		{0, 0}, {time.Minute, 0}, {6 * time.Minute, 0}, {20 * time.Minute, 20 * time.Minute}, {24 * time.Minute, 20 * time.Minute},
	} {
		since, err := s.Watching(t.Context(), noon.Add(step.at), 5*time.Minute)
		if err != nil || !since.Equal(noon.Add(step.want)) {
			t.Errorf("Watching after %s = %s, %v, want since %s", step.at, since.Sub(noon), err, step.want)
		}
	}
}

func TestACanaryIsAnEventAndNoHistory(t *testing.T) {
	s := openStore(t)
	if err := s.SendCanary(t.Context(), "n1", noon); err != nil {
		t.Fatal(err)
	}
	a := alert("Watchkeeper canary", "c1", noon)
	a.Labels = map[string]string{runbook.CanaryLabel: "n1"}
	put(t, s, noon, a)
	put(t, s, noon, a) // sent again: the sender had no answer
	open, err := s.Open(t.Context())
	if err != nil || len(open) != 1 || open[0].Kind != runbook.EventCanary {
		t.Fatalf("events = %+v, %v, want one canary", open, err)
	}
	if n, err := s.Digest(t.Context(), noon); err != nil || n != 0 {
		t.Errorf("Digest merged %d events, %v, want none", n, err)
	}
	in := runbook.Incident{Delivery: open[0].ID, Verdict: runbook.Real, Summary: "canary", DecidedBy: "session", DecidedAt: noon.Add(9 * time.Second)}
	if got, err := s.LogVerdict(t.Context(), in, false); err != nil || got.Alert != runbook.CanaryAlert {
		t.Fatalf("LogVerdict = %+v, %v", got, err)
	}
	if _, err := s.LogVerdict(t.Context(), in, false); !errors.Is(err, runbook.ErrDecided) {
		t.Errorf("second LogVerdict = %v, want ErrDecided", err)
	}
	if c := newest(t, s); c.DecidedAt.Sub(c.SentAt) != 9*time.Second {
		t.Errorf("canary = %+v, want it back after 9 s", c)
	}
	b, err := s.Briefing(t.Context(), noon.Add(time.Hour), 7)
	if err != nil || b.Total != 0 || len(b.Incidents) != 0 {
		t.Errorf("Briefing = %+v, %v, want nothing of it", b, err)
	}
	h, err := s.History(t.Context(), runbook.CanaryAlert, "", "", noon.Add(time.Hour), 0)
	if err != nil || h.Month.Total != 0 {
		t.Errorf("History = %+v, %v, want nothing of it", h, err)
	}
}

// newest returns the newest canary.
func newest(t *testing.T, s *sqlite.Store) runbook.Canary {
	t.Helper()
	all, err := s.Canaries(t.Context(), 1)
	if err != nil || len(all) != 1 {
		t.Fatalf("Canaries = %+v, %v, want one", all, err)
	}
	return all[0]
}

func TestACanaryThatNobodySentIsAnAlert(t *testing.T) {
	s := openStore(t)
	a := alert("Watchkeeper canary", "c1", noon)
	a.Labels = map[string]string{runbook.CanaryLabel: "guessed"}
	put(t, s, noon, a)
	if open, err := s.Open(t.Context()); err != nil || len(open) != 1 || open[0].Kind != runbook.EventAlert {
		t.Errorf("events = %+v, %v, want an alert", open, err)
	}
}

func TestALostCanaryIsNotPushedAnyMore(t *testing.T) {
	s := openStore(t)
	if err := s.SendCanary(t.Context(), "n1", noon); err != nil {
		t.Fatal(err)
	}
	a := alert("x", "c1", noon)
	a.Labels = map[string]string{runbook.CanaryLabel: "n1"}
	put(t, s, noon, a)
	if err := s.LoseCanary(t.Context(), newest(t, s).ID, noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if c := newest(t, s); c.Delivery == 0 || !c.LostAt.Equal(noon.Add(time.Minute)) {
		t.Errorf("canary = %+v, want it lost", c)
	}
	if due, err := s.Due(t.Context(), "webhook", noon.Add(time.Hour), 10); err != nil || len(due) != 0 {
		t.Errorf("Due = %+v, %v, want none", due, err)
	}
	if overdue, err := s.Overdue(t.Context(), noon.Add(time.Hour)); err != nil || len(overdue) != 0 {
		t.Errorf("Overdue = %+v, %v, want none", overdue, err)
	}
}

func TestATroubleIsToldOnceAndItsEndToo(t *testing.T) {
	s := openStore(t)
	complain := func() bool {
		t.Helper()
		opened, err := s.Complain(t.Context(), "session", noon, runbook.Escalation{Title: "no session", Severity: runbook.Critical, OpenedBy: "watchdog", OpenedAt: noon}, "no session")
		if err != nil {
			t.Fatal(err)
		}
		return opened
	}
	if !complain() || complain() {
		t.Error("want the first Complain to open a trouble, and the second not")
	}
	for range 2 {
		if err := s.Recover(t.Context(), "session", "back", noon.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if !complain() {
		t.Error("want a new trouble after the end of the last one")
	}
	messages, err := s.Messages(t.Context(), 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, m := range messages {
		texts = append(texts, m.Text)
	}
	if fmt.Sprint(texts) != "[no session back no session]" {
		t.Errorf("said %q", texts)
	}
	all, err := s.Escalations(t.Context())
	if err != nil || len(all) != 2 || all[0].State != runbook.EscalationResolved || all[1].State != runbook.EscalationOpen {
		t.Errorf("escalations = %+v, %v, want the first resolved and a second open", all, err)
	}
}

func TestADeafSessionAfterAnotherStillEndsWithAPage(t *testing.T) {
	s := openStore(t)
	put(t, s, noon, alert("A", "f", noon))
	now := noon
	push := func(session int64) {
		t.Helper()
		if err := s.Requeue(t.Context(), "webhook", session, now); err != nil {
			t.Fatal(err)
		}
		if err := s.MarkPushed(t.Context(), only(t, s).ID, session, now); err != nil {
			t.Fatal(err)
		}
	}
	overdue := func(after time.Duration, want int) {
		t.Helper()
		if over, err := s.Overdue(t.Context(), now.Add(after)); err != nil || len(over) != want {
			t.Errorf("Overdue %s after push %d = %d, %v, want %d", after, only(t, s).Pushes, len(over), err, want)
		}
	}
	for session := range int64(runbook.MaxPushes) { // each is gone before it claims
		now = now.Add(time.Minute)
		push(session + 1)
	}
	overdue(runbook.ClaimWithin-time.Second, 0)
	overdue(runbook.ClaimWithin, 1)
	now = now.Add(time.Minute)
	push(9) // once more than it gets: a fresh session has a minute
	overdue(runbook.ClaimAtLast-time.Second, 0)
	overdue(runbook.ClaimAtLast, 1)
}

func TestWhatADeadSessionLeftIsPaged(t *testing.T) {
	tests := []struct {
		name string
		left func(s *sqlite.Store, id runbook.DeliveryID) error // what the session did before it died, at noon
		page time.Duration                                      // from noon
	}{
		{"never pushed", func(*sqlite.Store, runbook.DeliveryID) error { return nil }, 9 * time.Minute},
		{"pushed once", func(s *sqlite.Store, id runbook.DeliveryID) error { return s.MarkPushed(t.Context(), id, 1, noon) }, 9 * time.Minute},
		{"claimed", func(s *sqlite.Store, id runbook.DeliveryID) error {
			_, err := s.Claim(t.Context(), id, noon)
			return err
		}, 90 * time.Minute},
		{"queued for the next one, which did not come", func(s *sqlite.Store, id runbook.DeliveryID) error {
			return errors.Join(s.MarkPushed(t.Context(), id, 1, noon), s.Requeue(t.Context(), "webhook", 2, noon.Add(time.Minute)))
		}, 10 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := openStore(t)
			put(t, s, noon, alert("A", "f", noon))
			if err := tt.left(s, only(t, s).ID); err != nil {
				t.Fatal(err)
			}
			for _, at := range []struct {
				when time.Duration
				want int
			}{{tt.page - time.Second, 0}, {tt.page, 1}} {
				if over, err := s.Overdue(t.Context(), noon.Add(at.when)); err != nil || len(over) != at.want {
					t.Errorf("Overdue after %s = %d, %v, want %d", at.when, len(over), err, at.want)
				}
			}
		})
	}
}

func TestNoNumberOfSessionsPutsAPageOffForEver(t *testing.T) {
	s := openStore(t)
	put(t, s, noon, alert("A", "f", noon))
	id := only(t, s).ID
	now := noon
	for session := range int64(12) { // each claims it, and hangs
		if err := errors.Join(s.Requeue(t.Context(), "webhook", session+1, now), s.MarkPushed(t.Context(), id, session+1, now)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Claim(t.Context(), id, now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(10 * time.Minute)
	}
	if over, err := s.Overdue(t.Context(), now); err != nil || len(over) != 1 {
		t.Errorf("Overdue after %s = %+v, %v, want it", now.Sub(noon), over, err)
	}
}
