package watch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/watch"
)

var quiet = slog.New(slog.DiscardHandler)

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A dog is a watchdog at work in a bubble, on a real memory.
type dog struct {
	t     *testing.T
	path  string
	store *sqlite.Store
	stop  func()
}

func newDog(t *testing.T, checks ...watch.Check) *dog {
	t.Helper()
	d := &dog{t: t, path: filepath.Join(t.TempDir(), "memory.db")}
	d.store = open(t, d.path)
	d.start(checks...)
	t.Cleanup(func() { d.stop() })
	return d
}

// start is a new process.
func (d *dog) start(checks ...watch.Check) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(d.t.Context()))
	w := &watch.Watchdog{Memory: d.store, Checks: checks, Log: quiet}
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	d.stop = func() {
		cancel()
		<-done
	}
}

// pass lets d pass, and the watchdog look once more.
func pass(d time.Duration) {
	time.Sleep(d + 16*time.Second)
	synctest.Wait()
}

// said lists what is in the outbox, the first line of each.
func (d *dog) said() []string {
	d.t.Helper()
	all, err := d.store.Messages(d.t.Context(), 0, 100)
	if err != nil {
		d.t.Fatal(err)
	}
	var out []string
	for _, m := range all {
		line, _, _ := strings.Cut(m.Text, "\n")
		out = append(out, line)
	}
	return out
}

func (d *dog) want(what string, want ...string) {
	d.t.Helper()
	got := d.said()
	if len(got) != len(want) || !slices.EqualFunc(got, want, strings.Contains) {
		d.t.Errorf("%s: said %q, want %q", what, got, want)
	}
}

// send stores something that sender sent.
func (d *dog) send(sender string, a runbook.Alert) {
	d.t.Helper()
	if _, err := d.store.Put(d.t.Context(), runbook.Batch{Source: sender, ReceivedAt: time.Now(), Alerts: []runbook.Alert{a}}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *dog) beat(name, detail string) {
	d.t.Helper()
	if err := d.store.Beat(d.t.Context(), name, detail); err != nil {
		d.t.Fatal(err)
	}
}

func TestASilentSenderIsToldOnceAndItsReturnToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check := watch.Sender("signoz", time.Hour)
		d := newDog(t, check)
		pass(59 * time.Minute)
		d.want("before the hour is over")
		pass(time.Minute)
		const silent = "Watchkeeper: nothing comes from signoz any more, for 61 min"
		d.want("never seen", silent)
		d.stop()
		d.start(check) // a restart tells nothing twice
		pass(3 * time.Hour)
		d.want("hours later", silent)
		d.send("signoz", runbook.Alert{Source: "signoz", Fingerprint: "f", Name: "A", Status: runbook.Firing})
		pass(0)
		d.want("after the first alert", silent, "Recovered after")
		if e, err := d.store.Escalations(t.Context()); err != nil || e[0].State != runbook.EscalationResolved || !strings.Contains(e[0].Found, "Never heard") {
			t.Errorf("escalation = %+v, %v, want it resolved", e, err)
		}
		pass(61 * time.Minute)
		d.want("silent again", silent, "Recovered after", "nothing comes from signoz any more")
	})
}

func TestSilenceWhileNobodyWatchedDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check := watch.Sender("signoz", time.Hour)
		d := newDog(t, check)
		d.send("signoz", runbook.Alert{Source: "signoz", Fingerprint: "f", Name: "A", Status: runbook.Firing})
		d.stop()
		time.Sleep(24 * time.Hour)
		d.start(check)
		pass(59 * time.Minute)
		d.want("within an hour of the start")
		d.stop()
		time.Sleep(time.Minute + 50*time.Second) // a quick restart is no pardon
		d.start(check)
		pass(0)
		d.want("after the hour", "nothing comes from signoz")
	})
}

func TestTheHeartbeatOfAClusterIsExpected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDog(t, watch.Cluster("platform-prod", runbook.Prod, 15*time.Minute), watch.Cluster("platform-dev", runbook.Dev, 15*time.Minute))
		for range 4 {
			d.send("alertmanager", runbook.Alert{Source: "alertmanager", Name: "Watchdog", Cluster: "platform-prod", Status: runbook.Firing, Heartbeat: true})
			d.send("alertmanager", runbook.Alert{Source: "alertmanager", Name: "Watchdog", Cluster: "platform-dev", Status: runbook.Firing, Heartbeat: true})
			pass(10 * time.Minute)
		}
		d.want("while both beat")
		for range 2 {
			d.send("alertmanager", runbook.Alert{Source: "alertmanager", Name: "Watchdog", Cluster: "platform-dev", Status: runbook.Firing, Heartbeat: true})
			pass(10 * time.Minute)
		}
		d.want("after one stopped", "the heartbeat alert of platform-prod has stopped")
		pass(20 * time.Minute)
		all, err := d.store.Escalations(t.Context())
		if err != nil || len(all) != 2 {
			t.Fatalf("escalations = %+v, %v, want one of each cluster", all, err)
		}
		if all[0].Severity != runbook.Critical || all[0].NextNagAt.IsZero() || all[1].Severity != runbook.Warning || !all[1].NextNagAt.IsZero() {
			t.Errorf("escalations = %+v, want prod to nag and dev not", all)
		}
	})
}

func TestAMissingSessionIsTold(t *testing.T) {
	tests := []struct {
		name    string
		standIn bool
		keeper  string // what the keeper says; "" if nobody keeps one
		within  time.Duration
		want    string
		weight  runbook.Severity
	}{
		{"crashing", false, "waiting crashed: exit status 1", 5 * time.Minute, "no session is on duty, for 6 min", runbook.Critical},
		{"logged out, with the responder", true, "waiting logged_out: the login is refused", 90 * time.Second, "no session is on duty: logged out", runbook.Warning},
		{"out of quota", false, "waiting out_of_quota: limit reached", 90 * time.Second, "the quota is used up", runbook.Critical},
		{"no program", false, "waiting no_cli: not found", 90 * time.Second, "cannot be started", runbook.Critical},
		{"nobody keeps one", true, "", 5 * time.Minute, "no session is on duty", runbook.Warning},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDog(t, watch.Session{StandIn: tt.standIn})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					for ; ctx.Err() == nil && tt.keeper != ""; time.Sleep(30 * time.Second) {
						d.beat(sqlite.KeeperSign, tt.keeper)
					}
				}()
				time.Sleep(tt.within - time.Second)
				synctest.Wait()
				d.want("too early")
				pass(15 * time.Second)
				d.want("in time", tt.want)
				if e, err := d.store.Escalations(t.Context()); err != nil || e[0].Severity != tt.weight || tt.keeper != "" && !strings.Contains(e[0].Found, tt.keeper) {
					t.Errorf("escalation = %+v, %v, want %s", e, err, tt.weight)
				}
				d.beat(sqlite.SessionSign, "up session=2")
				pass(0)
				d.want("once it is back", tt.want, "Recovered after")
				cancel()
				time.Sleep(time.Minute)
			})
		})
	}
}

// intake is the way of a canary through the memory.
type intake struct {
	store *sqlite.Store
	down  atomic.Bool
}

func (i *intake) post(ctx context.Context, nonce string, now time.Time) error {
	if i.down.Load() {
		return errors.New("connection refused")
	}
	_, err := i.store.Put(ctx, runbook.Batch{Source: runbook.CanarySource, ReceivedAt: time.Now(), Alerts: []runbook.Alert{{
		Source: runbook.CanarySource, Fingerprint: nonce, Name: runbook.CanaryAlert, StartsAt: now, Status: runbook.Firing, Labels: map[string]string{runbook.CanaryLabel: nonce},
	}}})
	return err
}

// decide is a session that takes d to give every event its verdict.
func (d *dog) decide(ctx context.Context, takes time.Duration) {
	for ; ctx.Err() == nil; time.Sleep(takes) {
		d.beat(sqlite.SessionSign, "up")
		all, err := d.store.Open(ctx)
		if err != nil {
			return
		}
		for _, e := range all {
			d.store.LogVerdict(ctx, runbook.Incident{Delivery: e.ID, Verdict: runbook.Noise, Summary: "canary", DecidedBy: "session", DecidedAt: time.Now()}, false)
		}
	}
}

func canaries(t *testing.T) (d *dog, in *intake) {
	t.Helper()
	d = newDog(t)
	d.stop()
	in = &intake{store: d.store}
	d.start(watch.Canary{Flock: d.store, Every: time.Hour, Post: in.post, Log: quiet})
	return d, in
}

func TestACanaryTravelsEveryHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := canaries(t)
		ctx, cancel := context.WithCancel(t.Context())
		go d.decide(ctx, 20*time.Second)
		pass(24 * time.Hour)
		cancel()
		all, err := d.store.Canaries(t.Context(), 100)
		if err != nil || len(all) != 24 {
			t.Errorf("%d canaries in a day, %v, want 24", len(all), err)
		}
		for _, c := range all {
			if took := c.DecidedAt.Sub(c.SentAt); took <= 0 || took > 21*time.Second {
				t.Errorf("canary %+v took %s", c, took)
			}
		}
		d.want("while they come back")
		time.Sleep(time.Minute)
	})
}

func TestALostCanaryIsToldAndTheNextOneEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := canaries(t)
		ctx, cancel := context.WithCancel(t.Context())
		alive, stopAlive := context.WithCancel(t.Context())
		go func() { // a session that lives and decides nothing
			for ; alive.Err() == nil; time.Sleep(30 * time.Second) {
				d.beat(sqlite.SessionSign, "up")
			}
		}()
		pass(29 * time.Minute)
		d.want("on its way")
		pass(2 * time.Minute)
		d.want("after 20 minutes", "our canary did not come back")
		pass(time.Hour)
		d.want("while more are lost", "our canary did not come back")
		stopAlive()
		go d.decide(ctx, 20*time.Second)
		pass(time.Hour)
		d.want("after one came back", "our canary did not come back", "Recovered after")
		cancel()
		time.Sleep(time.Minute)
	})
}

func TestACanaryIsOfferedUntilTheIntakeTakesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, in := canaries(t)
		in.down.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		go d.decide(ctx, 20*time.Second)
		pass(15 * time.Minute)
		in.down.Store(false)
		pass(time.Minute)
		all, err := d.store.Canaries(t.Context(), 100)
		if err != nil || len(all) != 1 || all[0].DecidedAt.IsZero() {
			t.Errorf("canaries = %+v, %v, want one that came back", all, err)
		}
		in.down.Store(true)
		pass(75 * time.Minute)
		if e, err := d.store.Escalations(t.Context()); err != nil || len(e) != 1 || !strings.Contains(e[0].Found, "The intake did not take it") {
			t.Errorf("escalations = %+v, %v, want one about the intake", e, err)
		}
		cancel()
		time.Sleep(time.Minute)
	})
}

func TestWithoutASessionNoCanaryFlies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := canaries(t)
		pass(3 * time.Hour)
		d.want("without a session")
		d.beat(sqlite.SessionSign, "up")
		pass(0)
		if all, err := d.store.Canaries(t.Context(), 10); err != nil || len(all) != 1 {
			t.Errorf("canaries = %+v, %v, want one as soon as there is a session", all, err)
		}
		pass(3 * time.Hour) // the session is gone again
		d.want("nothing but its session was lost")
		if all, err := d.store.Canaries(t.Context(), 10); err != nil || len(all) != 0 {
			t.Errorf("canaries = %+v, %v, want it withdrawn", all, err)
		}
		if events, err := d.store.Open(t.Context()); err != nil || len(events) != 0 {
			t.Errorf("events = %+v, %v, want none left", events, err)
		}
	})
}

// A sick memory fails while it is broken.
type sick struct {
	*sqlite.Store
	broken atomic.Bool
}

func (s *sick) Watching(ctx context.Context, now time.Time, gap time.Duration) (time.Time, error) {
	if s.broken.Load() {
		return time.Time{}, errors.New("disk I/O error")
	}
	return s.Store.Watching(ctx, now, gap)
}

func TestAMemoryThatFailsIsCriedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory := &sick{Store: open(t, filepath.Join(t.TempDir(), "memory.db"))}
		heard := make(chan string, 100)
		w := &watch.Watchdog{Memory: memory, Log: quiet, Cry: func(_ context.Context, text string) error {
			heard <- text
			return nil
		}}
		var cries []string
		listen := func() {
			for len(heard) > 0 {
				cries = append(cries, <-heard)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		pass(time.Minute)
		if got := w.Unwell(time.Now()); len(got) != 0 {
			t.Errorf("unwell = %q, want all well", got)
		}
		memory.broken.Store(true)
		pass(30 * time.Second)
		memory.broken.Store(false)
		pass(time.Minute)
		if listen(); len(cries) != 0 {
			t.Errorf("cries about half a minute: %q", cries)
		}
		memory.broken.Store(true)
		pass(2 * time.Minute)
		if listen(); len(cries) != 1 || !strings.Contains(cries[0], "disk I/O error") {
			t.Errorf("cries = %q, want one", cries)
		}
		if got := w.Unwell(time.Now()); len(got) != 1 || !strings.Contains(got[0], "has not answered") {
			t.Errorf("unwell = %q, want the memory", got)
		}
		pass(2*time.Hour + time.Minute)
		memory.broken.Store(false)
		pass(time.Minute)
		if listen(); len(cries) != 4 || !strings.Contains(cries[3], "works again, after 3 h") {
			t.Errorf("cries = %q, want one an hour and the end", cries)
		}
		cancel()
		<-done
	})
}

// outbox is one in which a message has waited since then.
type outbox struct{ since time.Time }

func (o outbox) OldestUnsent(context.Context) (time.Time, string, error) {
	return o.since, "channel_not_found", nil
}

func TestTheMonitorOutsideHearsOfASessionThatNobodyReplaces(t *testing.T) {
	for _, standIn := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := &watch.Watchdog{Memory: open(t, filepath.Join(t.TempDir(), "memory.db")), Checks: []watch.Check{watch.Session{StandIn: standIn}}, Log: quiet}
			for range 4 {
				if err := w.Step(t.Context(), time.Now()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute + 50*time.Second)
			}
			if got := w.Unwell(time.Now()); (len(got) == 0) != standIn {
				t.Errorf("with a stand-in %t: unwell = %q", standIn, got)
			}
		})
	}
}

func TestThatPeopleCannotBeReachedIsForTheMonitorOutside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := open(t, filepath.Join(t.TempDir(), "memory.db"))
		w := &watch.Watchdog{Memory: store, Checks: []watch.Check{watch.People{Outbox: outbox{time.Now()}}}, Log: quiet}
		for _, after := range []time.Duration{0, 11 * time.Minute} {
			time.Sleep(after)
			if err := w.Step(t.Context(), time.Now()); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(w.Unwell(time.Now())); strings.Contains(got, "channel_not_found") != (after > 0) {
				t.Errorf("unwell after %s = %s", after, got)
			}
		}
		if e, err := store.Escalations(t.Context()); err != nil || len(e) != 0 {
			t.Errorf("escalations = %+v, %v, want none: they could not be sent", e, err)
		}
	})
}
