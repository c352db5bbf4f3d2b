package slack_test

import (
	"strings"
	"testing"
	"time"

	"watchkeeper/channels/slack"
	"watchkeeper/channels/slack/fakeslack"
	"watchkeeper/runbook/sqlite"
)

// newDeadman returns a switch for Ann, and its workspace.
func newDeadman(t *testing.T) (*slack.Deadman, *fakeslack.Server, *sqlite.Store) {
	t.Helper()
	s, memory := newWorkspace(t, fakeslack.Options{Burst: -1}), newMemory(t)
	return &slack.Deadman{Memory: memory, Client: clientOf(s), People: slack.People{OnCall: ann}, Log: discard()}, s, memory
}

func push(t *testing.T, d *slack.Deadman, s *fakeslack.Server) {
	t.Helper()
	if err := d.Step(t.Context(), s.Now()); err != nil {
		t.Fatal(err)
	}
}

func TestDarkMessageStaysAheadWhileWeLive(t *testing.T) {
	d, s, memory := newDeadman(t)
	for range 100 { // eight hours
		push(t, d, s)
		ahead := s.Scheduled(s.DM(ann))
		if len(ahead) != 1 || ahead[0].Sub(s.Now()) < 14*time.Minute || ahead[0].Sub(s.Now()) > 15*time.Minute {
			t.Fatalf("scheduled at %v, want one in 15 minutes from %s", ahead, s.Now())
		}
		s.Advance(5 * time.Minute)
	}
	if seen := s.Seen(s.DM(ann)); len(seen) != 0 {
		t.Errorf("seen: %+v, want nothing", seen)
	}
	if all, err := memory.Messages(t.Context(), 0, 10); err != nil || len(all) != 0 {
		t.Errorf("outbox: %+v, %v, want nothing", all, err)
	}
}

func TestDarkMessageArrivesWhenWeDie(t *testing.T) {
	d, s, memory := newDeadman(t)
	push(t, d, s)
	s.Advance(14 * time.Minute)
	if seen := s.Seen(s.DM(ann)); len(seen) != 0 {
		t.Fatalf("seen after 14 minutes: %+v", seen)
	}
	s.Advance(2 * time.Minute)
	seen := s.Seen(s.DM(ann))
	if len(seen) != 1 || !strings.HasPrefix(seen[0].Text, "Watchkeeper has gone dark: <@"+ann+">") {
		t.Fatalf("seen: %+v, want the alarm", seen)
	}
	if n := len(s.Notifications()); n != 1 {
		t.Errorf("the phone rang %d times, want once", n)
	}
	s.Advance(time.Hour)
	for range 2 {
		push(t, d, s)
	}
	all, err := memory.Messages(t.Context(), 0, 10)
	if err != nil || len(all) != 1 || !strings.HasPrefix(all[0].Text, "Watchkeeper is back. It was silent for 77 min") {
		t.Errorf("outbox: %+v, %v, want that we are back, once", all, err)
	}
}

func TestProcessThatDiedHalfwayLeavesNoSecondAlarm(t *testing.T) {
	d, s, _ := newDeadman(t)
	push(t, d, s)
	s.Advance(5 * time.Minute)
	s.Inject(fakeslack.Fault{Method: "chat.deleteScheduledMessage", Status: 503})
	if err := d.Step(t.Context(), s.Now()); err == nil {
		t.Fatal("Step = nil, want the error of the deletion")
	}
	if n := len(s.Scheduled(s.DM(ann))); n != 2 {
		t.Fatalf("%d are scheduled, want the old one and the new one", n)
	}
	s.Advance(time.Minute)
	push(t, d, s)
	if n := len(s.Scheduled(s.DM(ann))); n != 1 {
		t.Errorf("%d are scheduled, want one", n)
	}
}

func TestDarkMessageTooCloseToItsTimeIsLeftAlone(t *testing.T) {
	d, s, _ := newDeadman(t)
	push(t, d, s)
	s.Advance(14*time.Minute + 10*time.Second)
	push(t, d, s) // Slack would refuse to delete the old one
	if n := len(s.Calls("chat.deleteScheduledMessage")); n != 0 {
		t.Errorf("%d deletions, want none", n)
	}
	if n := len(s.Scheduled(s.DM(ann))); n != 2 {
		t.Errorf("%d are scheduled, want 2", n)
	}
}
