package slack_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/channels/slack"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// A night is a memory with escalators that may die and start again, on the
// clock of a synctest bubble.
type night struct {
	t       *testing.T
	store   *sqlite.Store
	calling slack.Calling
	began   time.Time
	stops   []func()
}

// nightfall runs test in a bubble, with nothing in the memory yet.
func nightfall(t *testing.T, c slack.Calling, test func(*night)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "memory.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		n := &night{t: t, store: store, calling: c, began: time.Now()}
		defer n.stopAll()
		test(n)
	})
}

// asleep runs test in a bubble, with one escalation of e.
func asleep(t *testing.T, c slack.Calling, e runbook.Escalation, test func(*night)) {
	t.Helper()
	nightfall(t, c, func(n *night) {
		n.escalate(e)
		test(n)
	})
}

// escalate opens e, as the session does.
func (n *night) escalate(e runbook.Escalation) {
	n.t.Helper()
	e.Key, e.OpenedBy, e.OpenedAt = "k", "session", n.began
	if _, _, err := n.store.Escalate(n.t.Context(), e, e.Title); err != nil {
		n.t.Fatal(err)
	}
}

func disaster() runbook.Escalation {
	return runbook.Escalation{Title: "PVC at <97%>", Severity: runbook.Critical, Env: runbook.Prod, Cluster: "data-cluster"}
}

func onCall() slack.Calling { return slack.Calling{People: slack.People{OnCall: "U1", Second: "U2"}} }

// start lets one more escalator look after things.
func (n *night) start() {
	ctx, cancel := context.WithCancel(n.t.Context())
	var wg sync.WaitGroup
	e := slack.NewEscalator(n.store, n.calling, discard())
	wg.Go(func() { _ = e.Run(ctx) })
	n.stops = append(n.stops, func() { cancel(); wg.Wait() })
}

func (n *night) stopAll() {
	for _, stop := range n.stops {
		stop()
	}
	n.stops = nil
}

// pass lets time go by until minute m of the night.
func (n *night) pass(m float64) {
	n.t.Helper()
	time.Sleep(time.Until(n.began.Add(time.Duration(m * float64(time.Minute)))))
	synctest.Wait()
}

// said lists what was said: minute, recipient and the first line.
func (n *night) said() (lines []string) {
	n.t.Helper()
	all, err := n.store.Messages(n.t.Context(), 0, 1000)
	if err != nil {
		n.t.Fatal(err)
	}
	for _, m := range all {
		if m.Kind == "escalation" || m.Kind == "card" {
			continue
		}
		first, _, _ := strings.Cut(m.Text, "\n")
		to := ""
		if m.Channel != "" {
			to = " to " + m.Channel
		}
		at := m.CreatedAt.Sub(n.began)
		if m.Kind == "resolved" { // at the next look; a nag is on time to the millisecond
			at = at.Truncate(10 * time.Second)
		}
		lines = append(lines, fmt.Sprintf("%g%s: %s", at.Minutes(), to, first))
	}
	return lines
}

func (n *night) wantSaid(want ...string) {
	n.t.Helper()
	if diff := cmp.Diff(want, n.said()); diff != "" {
		n.t.Errorf("said (-want +got):\n%s", diff)
	}
}

func nag(minute, number int) string {
	return fmt.Sprintf("%d: <@U1> Still unacknowledged. Nag #%d. Unreachable for %d minutes.", minute, number, minute)
}

func nags(from, to int) (lines []string) {
	for i := from; i <= to; i++ {
		lines = append(lines, nag(10*i, i))
	}
	return lines
}

func (n *night) state() runbook.Escalation {
	n.t.Helper()
	e, err := n.store.Escalation(n.t.Context(), 1)
	if err != nil {
		n.t.Fatal(err)
	}
	return e
}

func TestThreeUnansweredHours(t *testing.T) {
	alone := slack.Calling{People: slack.People{OnCall: "U1"}}
	asleep(t, alone, disaster(), func(n *night) {
		n.start()
		n.pass(180)
		n.wantSaid(nags(1, 18)...)
		all, err := n.store.Messages(n.t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		m := all[1]
		if m.Key != "nag:1:1" || m.Escalation != 1 || m.Thread != "" || m.EditOf != "" || !strings.Contains(m.Text, "PVC at &lt;97%&gt; (data-cluster)") {
			t.Errorf("nag = %+v, want a new message in the escalation's thread, escaped", m)
		}
	})
}

func TestNagsSurviveRestartsAtAnyPoint(t *testing.T) {
	// Two escalators at once, and each dies and comes back at odd moments.
	alone := slack.Calling{People: slack.People{OnCall: "U1"}}
	asleep(t, alone, disaster(), func(n *night) {
		for minute := 0.0; minute < 180; minute += 3.7 {
			n.start()
			n.start()
			n.pass(min(minute+3.7, 180))
			n.stopAll()
		}
		n.wantSaid(nags(1, 18)...)
	})
}

// A crash ends the process within a step: before, or after, one of its writes.
type crash struct {
	*sqlite.Store
	left  *int // writes until the end
	after bool
}

var errCrash = errors.New("crash")

func (c crash) dies() bool { *c.left--; return *c.left < 0 }

func (c crash) Police(ctx context.Context, id int64, next time.Time) error {
	if c.dies() && !c.after {
		return errCrash
	}
	return errors.Join(c.Store.Police(ctx, id, next), c.end())
}

func (c crash) Nag(ctx context.Context, nags []runbook.Nag, words func([]runbook.Nag) []runbook.Message) ([]runbook.Nag, error) {
	if c.dies() && !c.after {
		return nil, errCrash
	}
	taken, err := c.Store.Nag(ctx, nags, words)
	return taken, errors.Join(err, c.end())
}

func (c crash) CallSecond(ctx context.Context, id int64, now time.Time, m ...runbook.Message) (bool, error) {
	if c.dies() && !c.after {
		return false, errCrash
	}
	ok, err := c.Store.CallSecond(ctx, id, now, m...)
	return ok, errors.Join(err, c.end())
}

func (c crash) end() error {
	if *c.left < 0 {
		return errCrash
	}
	return nil
}

func TestNagsSurviveCrashesWithinAStep(t *testing.T) {
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after the write %v", after), func(t *testing.T) {
			asleep(t, onCall(), disaster(), func(n *night) {
				for minute := 1.0; minute <= 180; minute++ {
					left := int(minute) % 3
					ctx, cancel := context.WithCancel(n.t.Context())
					var wg sync.WaitGroup
					e := slack.NewEscalator(crash{n.store, &left, after}, n.calling, discard())
					wg.Go(func() { _ = e.Run(ctx) })
					n.pass(minute - 0.5)
					cancel()
					wg.Wait()
					n.start() // the next life is a whole one
					n.pass(minute)
					n.stopAll()
				}
				var first, second []string
				for _, l := range n.said() {
					_, text, _ := strings.Cut(l, ": ")
					switch {
					case strings.HasPrefix(text, "<@U1>"):
						first = append(first, text[:strings.Index(text, ". Unr")])
					case strings.HasPrefix(text, "<@U2>"):
						second = append(second, text[:strings.Index(text, ". Unr")])
					}
				}
				var want1, want2 []string
				for i := 1; i <= 18; i++ {
					want1 = append(want1, fmt.Sprintf("<@U1> Still unacknowledged. Nag #%d", i))
					if i > 6 {
						want2 = append(want2, fmt.Sprintf("<@U2> Still unacknowledged. Nag #%d", i))
					}
				}
				if diff := cmp.Diff(want1, first); diff != "" {
					t.Errorf("nags (-want +got):\n%s", diff)
				}
				// The second person is called with nag 6, at the latest after the next start.
				if !slices.Equal(want2, second) {
					t.Errorf("nags to the second person = %q, want %q", second, want2)
				}
			})
		})
	}
}

func TestAfterDowntimeOneNagSaysWhatWasSkipped(t *testing.T) {
	alone := slack.Calling{People: slack.People{OnCall: "U1"}}
	asleep(t, alone, disaster(), func(n *night) {
		n.start()
		n.pass(15)
		n.stopAll()
		n.pass(95)
		n.start()
		n.pass(101)
		n.wantSaid(
			nag(10, 1),
			"95: <@U1> Still unacknowledged. Nag #9. Unreachable for 95 minutes. Nags #2 to #8 were not sent: Watchkeeper was not running.",
			nag(100, 10),
		)
	})
}

func TestNagsThatSlackDidNotTakeBecomeOne(t *testing.T) {
	alone := slack.Calling{People: slack.People{OnCall: "U1"}}
	asleep(t, alone, disaster(), func(n *night) {
		n.start()
		root, err := n.store.Message(n.t.Context(), "escalation:1")
		if err != nil {
			t.Fatal(err)
		}
		if err := n.store.MarkRetry(n.t.Context(), root.ID, "connection refused", time.Now()); err != nil {
			t.Fatal(err)
		}
		n.pass(31)
		if err := n.store.MarkSent(n.t.Context(), root.ID, "D1", "1.1", time.Now()); err != nil {
			t.Fatal(err)
		}
		out, err := n.store.Outgoing(n.t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, m := range out {
			first, _, _ := strings.Cut(m.Text, "\n")
			texts = append(texts, m.Thread+" "+first)
		}
		want := []string{"1.1 <@U1> Still unacknowledged. Nag #3. Unreachable for 30 minutes. Nags #1 to #2 were not sent: Slack could not be reached."}
		if diff := cmp.Diff(want, texts); diff != "" {
			t.Errorf("outgoing (-want +got):\n%s", diff)
		}
	})
}

func TestWhoIsNotNagged(t *testing.T) {
	dev, warning, unknown := disaster(), disaster(), disaster()
	dev.Env, warning.Severity, unknown.Env = runbook.Dev, runbook.Warning, runbook.EnvUnknown
	tests := []struct {
		name  string
		e     runbook.Escalation
		first map[runbook.Env]time.Duration
		want  []string
	}{
		{"dev gets one message", dev, nil, nil},
		{"a warning gets one message", warning, nil, nil},
		{"an unknown environment counts as prod", unknown, nil, []string{nag(10, 1)}},
		{"prod may be called sooner", disaster(), map[runbook.Env]time.Duration{runbook.Prod: 4 * time.Minute}, []string{nag(4, 1), nag(14, 2)}},
		{"prod may be left alone", disaster(), map[runbook.Env]time.Duration{runbook.Prod: -1}, nil},
		{"dev may be called", dev, map[runbook.Env]time.Duration{runbook.Dev: 15 * time.Minute}, []string{nag(15, 1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			asleep(t, slack.Calling{People: slack.People{OnCall: "U1"}, First: tt.first}, tt.e, func(n *night) {
				n.start()
				n.pass(19)
				n.wantSaid(tt.want...)
			})
		})
	}
}

func TestAcknowledgedIsNotNagged(t *testing.T) {
	asleep(t, onCall(), disaster(), func(n *night) {
		n.start()
		n.pass(25)
		if err := n.store.Acknowledge(n.t.Context(), 1, "U1", time.Now()); err != nil {
			t.Fatal(err)
		}
		n.pass(100)
		n.wantSaid(nags(1, 2)...)
	})
}

func TestAcknowledgedAndForgottenIsAskedAgain(t *testing.T) {
	asleep(t, onCall(), disaster(), func(n *night) {
		n.start()
		n.pass(5)
		if err := n.store.Acknowledge(n.t.Context(), 1, "U1", time.Now()); err != nil {
			t.Fatal(err)
		}
		if err := n.store.Touch(n.t.Context(), 1, time.Now()); err != nil {
			t.Fatal(err)
		}
		n.pass(65)
		if err := n.store.Touch(n.t.Context(), 1, time.Now()); err != nil { // somebody writes in the thread
			t.Fatal(err)
		}
		n.pass(184)
		n.wantSaid()
		n.pass(306)
		since := n.state().AckedAt.UTC().Format("15:04 UTC")
		text := ": <@U1> Nothing has happened here for 120 minutes, and it is yours since " + since + ". Is it over, or still in your hands? Reply here, or press Resolve."
		n.wantSaid("185"+text, "305"+text)
	})
}

func TestSnoozeHoldsTheNagsBack(t *testing.T) {
	asleep(t, slack.Calling{People: slack.People{OnCall: "U1"}}, disaster(), func(n *night) {
		n.start()
		n.pass(12)
		if err := n.store.Snooze(n.t.Context(), 1, "U1", n.began.Add(42*time.Minute)); err != nil {
			t.Fatal(err)
		}
		n.pass(53)
		n.wantSaid(nag(10, 1),
			"42: <@U1> The snooze is over, and nobody has it. Nag #2. Open for 42 minutes.",
			"52: <@U1> Still unacknowledged. Nag #3. Unreachable for 52 minutes.")
	})
}

func TestSnoozeOfAWarningEndsWithOneReminder(t *testing.T) {
	warning := disaster()
	warning.Severity = runbook.Warning
	asleep(t, slack.Calling{People: slack.People{OnCall: "U1"}}, warning, func(n *night) {
		n.start()
		n.pass(1)
		for _, until := range []time.Duration{31 * time.Minute, 61 * time.Minute} {
			if err := n.store.Snooze(n.t.Context(), 1, "U1", n.began.Add(until)); err != nil {
				t.Fatal(err)
			}
			n.pass(until.Minutes() + 10)
		}
		n.wantSaid("31: <@U1> The snooze is over. Open for 31 minutes.", "61: <@U1> The snooze is over. Open for 61 minutes.")
		if e := n.state(); e.State != runbook.EscalationOpen || e.Nags != 0 {
			t.Errorf("escalation = %+v, want it open, without a nag", e)
		}
	})
}

func TestSecondPersonIsCalledAfterSomeNags(t *testing.T) {
	c := onCall()
	c.SecondAfter = 2
	asleep(t, c, disaster(), func(n *night) {
		n.start()
		n.pass(25)
		second, err := n.store.Message(n.t.Context(), "second:1")
		if err != nil {
			t.Fatal(err)
		}
		n.pass(31) // the card to the second person is not sent yet
		if err := n.store.MarkSent(n.t.Context(), second.ID, "D2", "9.1", time.Now()); err != nil {
			t.Fatal(err)
		}
		n.pass(41)
		second2 := func(minute, number int) string {
			return strings.Replace(strings.Replace(nag(minute, number), "<@U1>", "<@U2>", 1), ":", " to U2:", 1)
		}
		n.wantSaid(nag(10, 1), nag(20, 2),
			"20 to D2: The person on call has not answered 2 calls in 20 minutes. You are called in their place.",
			"20: The person on call has not answered 2 calls in 20 minutes, so the second person was called.",
			nag(30, 3), second2(30, 3),
			nag(40, 4), strings.Replace(second2(40, 4), "U2:", "D2:", 1))
		last, err := n.store.Message(n.t.Context(), "nag:1:4:second")
		if err != nil || last.Thread != "9.1" {
			t.Errorf("last nag to the second person = %+v, %v, want it under their card", last, err)
		}
	})
}

// away is a person whose notifications are off, or of whom Slack does not tell.
type away struct {
	until time.Time
	hangs bool
	asked *int
}

func (a away) Quiet(ctx context.Context, _ string, now time.Time) (time.Time, bool, error) {
	*a.asked++
	if a.hangs {
		<-ctx.Done()
		return time.Time{}, false, ctx.Err()
	}
	return a.until, now.Before(a.until), nil
}

func TestSwitchedOffNotificationsCallTheSecondPersonAtOnce(t *testing.T) {
	c := onCall()
	asked := 0
	c.Presence = away{until: time.Date(2000, 1, 1, 7, 0, 0, 0, time.UTC), asked: &asked}
	asleep(t, c, disaster(), func(n *night) {
		n.start()
		n.pass(1)
		n.wantSaid(
			"0 to U2: The person on call has notifications switched off until 07:00 UTC. You are called in their place.",
			"0: The person on call has notifications switched off until 07:00 UTC, so the second person was called.")
	})
	warning := disaster()
	warning.Severity = runbook.Warning
	asked = 0
	asleep(t, c, warning, func(n *night) {
		n.start()
		n.pass(30)
		n.wantSaid()
		if asked != 0 {
			t.Errorf("asked %d times about a warning, want 0", asked)
		}
	})
}

func TestSlackThatDoesNotAnswerDelaysNoNag(t *testing.T) {
	c := slack.Calling{People: slack.People{OnCall: "U1", Second: "U2"}, SecondAfter: 100}
	asked := 0
	c.Presence = away{hangs: true, asked: &asked}
	asleep(t, c, disaster(), func(n *night) {
		n.start()
		n.pass(61)
		n.wantSaid(nags(1, 6)...)
		if asked < 10 {
			t.Errorf("asked %d times in an hour, want it about once a minute", asked)
		}
	})
}

func TestCardFollowsTheState(t *testing.T) {
	asleep(t, onCall(), disaster(), func(n *night) {
		n.start()
		n.pass(1)
		if err := n.store.AddFinding(n.t.Context(), 1, "WAL grows"); err != nil {
			t.Fatal(err)
		}
		n.pass(2)
		if err := n.store.Acknowledge(n.t.Context(), 1, "U1", time.Now()); err != nil {
			t.Fatal(err)
		}
		n.pass(3)
		if err := n.store.ResolveEscalation(n.t.Context(), 1, "U1", time.Now()); err != nil {
			t.Fatal(err)
		}
		n.pass(30)
		all, err := n.store.Messages(n.t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range all {
			if m.EditOf != "" {
				got = append(got, fmt.Sprintf("%s of %s: %s, WAL %v, buttons %v", m.Key, m.EditOf, m.Text,
					strings.Contains(m.Blocks, "WAL grows"), strings.Contains(m.Blocks, "escalation_resolve")))
			}
		}
		want := []string{
			"card:1:1 of escalation:1: Open: PVC at &lt;97%&gt; (data-cluster), WAL true, buttons true",
			"card:1:2 of escalation:1: Acknowledged: PVC at &lt;97%&gt; (data-cluster), WAL true, buttons true",
			"card:1:3 of escalation:1: Resolved: PVC at &lt;97%&gt; (data-cluster), WAL true, buttons false",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("edits (-want +got):\n%s", diff)
		}
	})
}
