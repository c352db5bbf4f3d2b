package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"watchkeeper/channels"
	"watchkeeper/cmd/internal/house"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/session"
)

func TestKeeperNote(t *testing.T) {
	for _, tt := range []struct {
		state session.State
		want  string
	}{
		{session.State{Phase: session.Up, Mode: "stream"}, "up in stream mode"},
		{session.State{Phase: session.Starting, Mode: "stream", Cause: session.Deaf, Detail: "idle for\n3m"}, "starting deaf: idle for 3m"},
		{session.State{Phase: session.Waiting, Cause: session.LoggedOut, Detail: "refused: password=hunter2hunter2"}, "waiting logged_out: refused: password=[redacted]"},
		{session.State{Phase: session.Waiting, Cause: session.NoCLI, RetryAt: time.Now().Add(10 * time.Second)}, "waiting no_cli"},
	} {
		if got := keeperNote(tt.state); got != tt.want {
			t.Errorf("keeperNote(%+v) = %q, want %q", tt.state, got, tt.want)
		}
	}
}

func TestUnheardIsWhatTheSessionShouldHaveClaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "memory.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		_, err = store.Put(t.Context(), runbook.Batch{Source: "s", ReceivedAt: time.Now(), Alerts: []runbook.Alert{{Source: "s", Fingerprint: "f", Name: "A", Status: runbook.Firing}}})
		if err != nil {
			t.Fatal(err)
		}
		ask := unheard(&house.House{Store: store})
		want := func(when, want string) {
			t.Helper()
			if got, err := ask(t.Context(), 1); err != nil || got != want {
				t.Errorf("%s: unheard = %q, %v, want %q", when, got, err, want)
			}
		}
		push := func(number int64) {
			t.Helper()
			if err := store.Expire(t.Context(), "webhook", time.Now()); err != nil {
				t.Fatal(err)
			}
			if err := store.MarkPushed(t.Context(), 1, number, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		for range runbook.MaxPushes - 1 {
			push(1)
			time.Sleep(runbook.ClaimWithin)
			want("while it is pushed again", "")
		}
		push(1)
		want("just pushed", "")
		time.Sleep(claimAfter)
		want("a minute after the last push", "d1")
		if got, err := ask(t.Context(), 2); err != nil || got != "" {
			t.Errorf("unheard of another session = %q, %v", got, err)
		}
		if err := store.Requeue(t.Context(), "webhook", 2, time.Now()); err != nil {
			t.Fatal(err)
		}
		push(1)
		time.Sleep(claimAfter)
		want("one push more: the page follows", "")
	})
}

// post is a sink that takes events as long as a number says so.
type post struct{ number, runs atomic.Int64 }

func (p *post) Session() int64                             { return p.number.Load() }
func (p *post) Push(context.Context, channels.Event) error { return nil }
func (p *post) Run(ctx context.Context) error {
	p.runs.Add(1)
	p.number.Store(100)
	<-ctx.Done()
	p.number.Store(0)
	return nil
}

func TestTheResponderRelievesAndHandsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model, stand := &post{}, &post{}
		var cause atomic.Value
		cause.Store(session.Crashed)
		r := &relief{session: model, responder: stand, log: slog.New(slog.DiscardHandler), state: func() session.State {
			return session.State{Cause: cause.Load().(session.Cause)}
		}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		want := func(when string, after time.Duration, number int64) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			if got := r.Session(); got != number {
				t.Errorf("%s: events go to session %d, want %d", when, got, number)
			}
		}
		want("crashed a while ago", reliefAfter-time.Second, 0)
		want("away for too long", 2*time.Second, 100)
		model.number.Store(7)
		want("a session is back", time.Second, 7)
		model.number.Store(0)
		want("gone again", time.Second, 0)
		cause.Store(session.LoggedOut)
		want("and cannot come back", time.Second, 100)
		if n := stand.runs.Load(); n != 2 {
			t.Errorf("the responder ran %d times, want 2", n)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
