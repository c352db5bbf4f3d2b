package sqlite_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

func say(t *testing.T, s *sqlite.Store, m runbook.Message) runbook.Message {
	t.Helper()
	m.CreatedAt = noon
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got, err := s.Message(t.Context(), m.Key)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func outgoing(t *testing.T, s *sqlite.Store) (lines []string) {
	t.Helper()
	if err := s.Supersede(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	out, err := s.Outgoing(t.Context(), noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		lines = append(lines, fmt.Sprintf("%s channel=%s thread=%s edit=%s critical=%t", o.Key, o.Channel, o.Thread, o.EditTS, o.Critical))
	}
	return lines
}

func sent(t *testing.T, s *sqlite.Store, m runbook.Message, ts string) {
	t.Helper()
	if err := s.MarkSent(t.Context(), m.ID, "D1", ts, noon); err != nil {
		t.Fatal(err)
	}
}

func escalated(t *testing.T, s *sqlite.Store, key string, severity runbook.Severity) runbook.Escalation {
	t.Helper()
	e, _, err := s.Escalate(t.Context(), runbook.Escalation{Key: key, Title: key, Severity: severity, OpenedBy: "session", OpenedAt: noon}, key)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestOutgoingKeepsTheFieldsOfAMessage(t *testing.T) {
	s := openStore(t)
	want := runbook.Message{
		Key: "k", Kind: "message", Channel: "U1", Thread: "1.1", Text: "t", Blocks: `[{"type":"divider"}]`,
		Mrkdwn: true, Urgent: true, Broadcast: true, More: true, State: "queued", CreatedAt: noon, NextAt: noon,
	}
	want.ID = say(t, s, want).ID
	out, err := s.Outgoing(t.Context(), noon)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]runbook.Outgoing{{Message: want, Critical: true}}, out); diff != "" {
		t.Errorf("Outgoing (-want +got):\n%s", diff)
	}
}

func TestOutgoingWaitsForTheRootOfTheThread(t *testing.T) {
	s := openStore(t)
	e := escalated(t, s, "disk", runbook.Critical)
	say(t, s, runbook.Message{Key: "nag:1", Kind: "nag", Escalation: e.ID, Text: "nag"})
	say(t, s, runbook.Message{Key: "other", Kind: "nag", Escalation: e.ID, Channel: "U2", Text: "to the second person"})
	want := []string{
		"escalation:1 channel= thread= edit= critical=true",
		"other channel=U2 thread= edit= critical=true",
	}
	if diff := cmp.Diff(want, outgoing(t, s)); diff != "" {
		t.Errorf("before the root stands (-want +got):\n%s", diff)
	}
	root, err := s.Message(t.Context(), "escalation:1")
	if err != nil {
		t.Fatal(err)
	}
	sent(t, s, root, "5.5")
	want = []string{
		"nag:1 channel=D1 thread=5.5 edit= critical=true",
		"other channel=U2 thread= edit= critical=true",
	}
	if diff := cmp.Diff(want, outgoing(t, s)); diff != "" {
		t.Errorf("after it (-want +got):\n%s", diff)
	}
	if got, err := s.EscalationsOfThread(t.Context(), "D1", "5.5"); err != nil || len(got) != 1 || got[0].ID != e.ID {
		t.Errorf("EscalationsOfThread = %v, %v, want %d", got, err, e.ID)
	}
	if got, err := s.EscalationsOfThread(t.Context(), "D1", "9.9"); err != nil || len(got) != 0 {
		t.Errorf("EscalationsOfThread of another thread = %v, %v, want none", got, err)
	}
}

func TestOutgoingDoesNotWaitForARootThatFailed(t *testing.T) {
	s := openStore(t)
	e := escalated(t, s, "disk", runbook.Warning)
	say(t, s, runbook.Message{Key: "more", Kind: "message", Escalation: e.ID, Text: "more"})
	if err := s.MarkFailed(t.Context(), 1, "invalid_blocks"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"more channel= thread= edit= critical=false"}, outgoing(t, s)); diff != "" {
		t.Errorf("Outgoing (-want +got):\n%s", diff)
	}
}

func TestOnlyTheLastEditOfAMessageIsSent(t *testing.T) {
	s := openStore(t)
	card := say(t, s, runbook.Message{Key: "card", Kind: "message", Text: "a"})
	for i := range 3 {
		say(t, s, runbook.Message{Key: fmt.Sprint("edit", i), Kind: "edit", EditOf: "card", Text: "b"})
	}
	if diff := cmp.Diff([]string{"card channel= thread= edit= critical=false"}, outgoing(t, s)); diff != "" {
		t.Errorf("before the message stands (-want +got):\n%s", diff)
	}
	sent(t, s, card, "7.7")
	if diff := cmp.Diff([]string{"edit2 channel=D1 thread= edit=7.7 critical=false"}, outgoing(t, s)); diff != "" {
		t.Errorf("after it (-want +got):\n%s", diff)
	}
	if m, err := s.Message(t.Context(), "edit0"); err != nil || m.State != "sent" {
		t.Errorf("edit0 = %q, %v, want it out of the way", m.State, err)
	}
}

func TestCriticalMessagesGoFirst(t *testing.T) {
	s := openStore(t)
	say(t, s, runbook.Message{Key: "chatter", Kind: "message", Text: "a"})
	say(t, s, runbook.Message{Key: "approval", Kind: "permission", Text: "b", Urgent: true})
	want := []string{"approval channel= thread= edit= critical=true", "chatter channel= thread= edit= critical=false"}
	if diff := cmp.Diff(want, outgoing(t, s)); diff != "" {
		t.Errorf("Outgoing (-want +got):\n%s", diff)
	}
}

func TestHearStoresAMessageOnce(t *testing.T) {
	tests := []struct {
		name  string
		again runbook.Heard
		want  bool
	}{
		{"the same event", runbook.Heard{EventID: "E1", Channel: "D1", TS: "2.2", User: "U1"}, false},
		{"the same message under another event", runbook.Heard{EventID: "history", Channel: "D1", TS: "1.1", User: "U1"}, false},
		{"another message", runbook.Heard{EventID: "E2", Channel: "D1", TS: "2.2", User: "U1"}, true},
		{"the same ts elsewhere", runbook.Heard{EventID: "E2", Channel: "D2", TS: "1.1", User: "U1"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := openStore(t)
			first := runbook.Heard{EventID: "E1", Channel: "D1", TS: "1.1", User: "U1", Text: "hi", ReceivedAt: noon}
			if stored, err := s.Hear(t.Context(), first); !stored || err != nil {
				t.Fatalf("first Hear = %t, %v", stored, err)
			}
			if got, err := s.Hear(t.Context(), tt.again); got != tt.want || err != nil {
				t.Errorf("Hear = %t, %v, want %t", got, err, tt.want)
			}
		})
	}
}

func TestDeliverHeardOwesTheSessionOneEvent(t *testing.T) {
	s := openStore(t)
	if _, err := s.Hear(t.Context(), runbook.Heard{EventID: "E1", Channel: "D1", TS: "1.1", User: "U1", Text: "hi", ReceivedAt: noon}); err != nil {
		t.Fatal(err)
	}
	heard, err := s.Unhandled(t.Context())
	if err != nil || len(heard) != 1 {
		t.Fatalf("Unhandled = %v, %v", heard, err)
	}
	for range 2 {
		if err := s.DeliverHeard(t.Context(), heard[0], runbook.EventMessage, 7, noon); err != nil {
			t.Fatal(err)
		}
	}
	due, err := s.Due(t.Context(), "slack", noon, 10)
	if err != nil || len(due) != 1 {
		t.Fatalf("Due = %v, %v, want one", due, err)
	}
	d := due[0]
	if d.Kind != runbook.EventMessage || d.User != "U1" || d.Thread != "1.1" || d.Text != "hi" || d.Escalation != 7 {
		t.Errorf("delivery = %+v", d)
	}
	if heard, err := s.Unhandled(t.Context()); err != nil || len(heard) != 0 {
		t.Errorf("Unhandled = %v, %v, want none", heard, err)
	}
	if c, err := s.ThreadChannel(t.Context(), "1.1"); c != "D1" || err != nil {
		t.Errorf("ThreadChannel = %q, %v, want D1", c, err)
	}
	if c, err := s.ThreadChannel(t.Context(), "4.4"); c != "" || err != nil {
		t.Errorf("ThreadChannel of an unknown thread = %q, %v", c, err)
	}
}

func TestPressIsStoredOnceAndHandledOnce(t *testing.T) {
	s := openStore(t)
	want := runbook.Press{ID: 1, Key: "k", User: "U1", Action: "ack", Value: "3", Channel: "D1", TS: "1.1", Thread: "0.1", ReceivedAt: noon}
	for _, stored := range []bool{true, false} {
		if got, err := s.StorePress(t.Context(), want); got != stored || err != nil {
			t.Fatalf("StorePress = %t, %v, want %t", got, err, stored)
		}
	}
	open, err := s.Presses(t.Context())
	if diff := cmp.Diff([]runbook.Press{want}, open); diff != "" || err != nil {
		t.Errorf("Presses: %v (-want +got):\n%s", err, diff)
	}
	if err := s.PressHandled(t.Context(), 1, noon); err != nil {
		t.Fatal(err)
	}
	if open, err := s.Presses(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("Presses = %v, %v, want none", open, err)
	}
}

func TestNotesAreKept(t *testing.T) {
	s := openStore(t)
	for _, value := range []string{"1", "2"} {
		if err := s.SetNote(t.Context(), "n", value); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Note(t.Context(), "n"); got != value || err != nil {
			t.Errorf("Note = %q, %v, want %q", got, err, value)
		}
	}
	if got, err := s.Note(t.Context(), "none"); got != "" || err != nil {
		t.Errorf("Note of nothing = %q, %v", got, err)
	}
}

func TestMessageThatASessionLeftUnansweredIsOwedToTheNext(t *testing.T) {
	later := noon.Add(time.Minute)
	tests := []struct {
		name   string
		answer runbook.Message // stored after the first session had the message; zero is none
		after  time.Duration   // until the next session
		want   int             // messages that it is owed
	}{
		{"no answer", runbook.Message{}, time.Minute, 1},
		{"an answer", runbook.Message{Kind: "reply", Channel: "D1", Thread: "1.1"}, time.Minute, 0},
		{"a word that the answer will come", runbook.Message{Kind: "reply", Channel: "D1", Thread: "1.1", More: true}, time.Minute, 1},
		{"an answer elsewhere", runbook.Message{Kind: "reply", Channel: "D1", Thread: "0.9"}, time.Minute, 1},
		{"a message outside the thread", runbook.Message{Kind: "message"}, time.Minute, 1},
		{"no answer for long", runbook.Message{}, time.Hour, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := openStore(t)
			h := runbook.Heard{EventID: "e", Channel: "D1", TS: "1.1", User: "U1", Text: "what changed?", ReceivedAt: noon}
			if _, err := s.Hear(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			heard, err := s.Unhandled(t.Context())
			if err != nil || len(heard) != 1 {
				t.Fatalf("Unhandled = %v, %v", heard, err)
			}
			if err := s.DeliverHeard(t.Context(), heard[0], runbook.EventMessage, 0, noon); err != nil {
				t.Fatal(err)
			}
			give := func(session int64, now time.Time) (n int) {
				t.Helper()
				if err := s.Requeue(t.Context(), "slack", session, now); err != nil {
					t.Fatal(err)
				}
				due, err := s.Due(t.Context(), "slack", now, 10)
				if err != nil {
					t.Fatal(err)
				}
				for _, d := range due {
					if err := s.MarkPushed(t.Context(), d.ID, session, now); err != nil {
						t.Fatal(err)
					}
				}
				return len(due)
			}
			if n := give(1, noon); n != 1 {
				t.Fatalf("the first session is owed %d, want 1", n)
			}
			if tt.answer.Kind != "" {
				tt.answer.Key, tt.answer.Text, tt.answer.CreatedAt = "a", "the image", later
				if err := s.Send(t.Context(), tt.answer); err != nil {
					t.Fatal(err)
				}
			}
			if n := give(1, later); n != 0 {
				t.Errorf("the same session is owed %d again, want none", n)
			}
			if n := give(2, noon.Add(tt.after)); n != tt.want {
				t.Errorf("the next session is owed %d, want %d", n, tt.want)
			}
		})
	}
}
