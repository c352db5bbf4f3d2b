package channels_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"watchkeeper/channels"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// A session records what it is pushed.
type session struct {
	mu     sync.Mutex
	number int64
	deaf   error
	got    []channels.Event
}

func (s *session) Session() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.number
}

func (s *session) Push(_ context.Context, e channels.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf == nil {
		s.got = append(s.got, e)
	}
	return s.deaf
}

func (s *session) set(number int64, deaf error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.number, s.deaf = number, deaf
}

func (s *session) take() []channels.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	return got
}

// startPump runs a pump and a watchdog on a fresh memory until the test ends.
func startPump(t *testing.T, s *session) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "memory.db"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	watch, err := store.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	reader := channels.Reader{Past: store}
	pump := &channels.Pump{Channel: "webhook", Memory: store, Subject: reader.Subject, Sink: s, Log: log}
	dog := &channels.Watchdog{Memory: store, Log: log}
	var wg sync.WaitGroup
	wg.Go(func() { _ = pump.Run(ctx, watch) })
	wg.Go(func() { _ = dog.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		watch.Close()
		store.Close()
	})
	return store
}

func fire(t *testing.T, s *sqlite.Store, names ...string) {
	t.Helper()
	for _, n := range names {
		_, err := s.Put(t.Context(), runbook.Batch{ReceivedAt: time.Now(), Alerts: []runbook.Alert{{
			Source: "test", Fingerprint: n,
			StartsAt: time.Now(), Status: runbook.Firing, Name: n, Severity: runbook.Warning, Env: runbook.Prod, Cluster: "prod",
		}}})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestALoneAlertIsPushedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{number: 1}
		store := startPump(t, s)
		time.Sleep(time.Minute)
		fire(t, store, "lone")
		time.Sleep(30 * time.Millisecond)
		if got := s.take(); len(got) != 1 || got[0].Meta["alert"] != "lone" {
			t.Errorf("pushed within 30 ms: %v, want the alert", got)
		}
	})
}

func TestNothingIsPushedUntilASessionListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{}
		store := startPump(t, s)
		fire(t, store, "early")
		time.Sleep(time.Minute)
		if got := s.take(); len(got) != 0 {
			t.Errorf("pushed without a session: %v", got)
		}
		s.set(1, nil)
		time.Sleep(time.Second)
		if got := s.take(); len(got) != 1 {
			t.Errorf("pushed to the session: %d, want 1", len(got))
		}
	})
}

func TestADeafSessionLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{number: 1, deaf: errors.New("queue is full")}
		store := startPump(t, s)
		fire(t, store, "kept")
		time.Sleep(time.Minute)
		s.set(1, nil)
		time.Sleep(2 * time.Second)
		if got := s.take(); len(got) != 1 {
			t.Errorf("pushed after it reads again: %d, want 1", len(got))
		}
	})
}

func TestUnclaimedIsPushedThreeTimesThenAHumanIsPaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{number: 1}
		store := startPump(t, s)
		fire(t, store, "ignored")
		for push := 1; push <= 3; push++ {
			time.Sleep(time.Minute)
			if got := s.take(); len(got) != 1 {
				t.Errorf("pushes in round %d = %d, want 1", push, len(got))
			}
			time.Sleep(2 * time.Minute)
		}
		time.Sleep(time.Hour)
		if got := s.take(); len(got) != 0 {
			t.Errorf("pushed %d more times after the page", len(got))
		}
		open, err := store.Escalations(t.Context(), runbook.EscalationOpen)
		if err != nil || len(open) != 1 || open[0].OpenedBy != "watchdog" || open[0].Severity != runbook.Critical {
			t.Errorf("escalations = %+v (%v), want one critical page", open, err)
		}
	})
}

func TestAClaimStopsThePushesAndANewSessionGetsItAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{number: 1}
		store := startPump(t, s)
		fire(t, store, "claimed")
		time.Sleep(time.Second)
		if _, err := store.Claim(t.Context(), 1, time.Now()); err != nil {
			t.Fatal(err)
		}
		s.take()
		time.Sleep(20 * time.Minute)
		if got := s.take(); len(got) != 0 {
			t.Errorf("pushed %d times after the claim", len(got))
		}
		s.set(2, nil)
		time.Sleep(2 * time.Second)
		if got := s.take(); len(got) != 1 || got[0].Meta["event"] != "alert" {
			t.Errorf("pushed to the new session: %v, want the alert", got)
		}
	})
}

func TestAClaimWithoutAVerdictIsRemindedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{number: 1}
		store := startPump(t, s)
		fire(t, store, "slow")
		time.Sleep(time.Second)
		if _, err := store.Claim(t.Context(), 1, time.Now()); err != nil {
			t.Fatal(err)
		}
		s.take()
		time.Sleep(31 * time.Minute)
		if got := s.take(); len(got) != 1 || got[0].Meta["event"] != "reminder" {
			t.Errorf("after half an hour: %v, want one reminder", got)
		}
		time.Sleep(2 * time.Hour)
		s.take()
		if open, err := store.Escalations(t.Context()); err != nil || len(open) != 1 {
			t.Errorf("escalations = %d (%v), want a page after the last reminder", len(open), err)
		}
	})
}

func TestAFloodIsAFewEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{number: 1}
		store := startPump(t, s)
		for i := range 2000 { // 200 a second for 10 s, all of different names
			fire(t, store, fmt.Sprint("flood-", i))
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		got := s.take()
		if len(got) > 30 {
			t.Errorf("events for 2,000 alerts = %d, want at most 30", len(got))
		}
		alerts := 0
		for _, e := range got {
			alerts += e.Delivery.Alerts
		}
		if alerts != 2000 {
			t.Errorf("alerts in the events = %d, want all 2,000", alerts)
		}
	})
}

func TestTheSameNameInAFloodIsGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &session{number: 1}
		store := startPump(t, s)
		for i := range 100 {
			_, err := store.Put(t.Context(), runbook.Batch{ReceivedAt: time.Now(), Alerts: []runbook.Alert{{
				Source:      "test",
				Fingerprint: fmt.Sprint(i), StartsAt: time.Now(), Status: runbook.Firing, Name: "Crash", Cluster: "prod", Env: runbook.Prod,
			}}})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		if got := s.take(); len(got) != 3 { // the first at once, then one for each five seconds
			t.Errorf("events = %d, want 3", len(got))
		}
	})
}
