package slack_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"watchkeeper/channels/slack"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

func newDesk(t *testing.T) (*slack.Desk, *sqlite.Store) {
	t.Helper()
	s := newMemory(t)
	return &slack.Desk{Memory: s, People: slack.People{OnCall: "U1", Second: "U2"}, Log: discard()}, s
}

// events lists what the session is owed from people.
func events(t *testing.T, s *sqlite.Store) (lines []string) {
	t.Helper()
	owed, err := s.Due(t.Context(), "slack", time.Now().Add(time.Hour), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range owed {
		lines = append(lines, fmt.Sprintf("%s by %s in %s on %d: %s", d.Kind, d.User, d.Thread, d.Escalation, d.Text))
	}
	return lines
}

func TestButtonsChangeTheEscalation(t *testing.T) {
	tests := []struct {
		name, user, action string
		want               runbook.EscalationState
		wantEvent          string // "" is none
	}{
		{"acknowledge", "U1", "escalation_ack", runbook.EscalationAcked, "escalation_acked by U1 in 5.1 on 1: Acknowledged by a button: PVC full"},
		{"snooze", "U1", "escalation_snooze", runbook.EscalationSnoozed, "escalation_acked by U1 in 5.1 on 1: Snoozed until "},
		{"resolve", "U2", "escalation_resolve", runbook.EscalationResolved, "escalation_acked by U2 in 5.1 on 1: Resolved by a button: PVC full"},
		{"a stranger", "U9", "escalation_resolve", runbook.EscalationOpen, ""},
		{"a button that nobody knows", "U1", "self_destruct", runbook.EscalationOpen, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, s := newDesk(t)
			e := escalate(t, s, runbook.Escalation{Key: "k", Title: "PVC full", Severity: runbook.Critical, Env: runbook.Prod})
			press := runbook.Press{ID: 7, User: tt.user, Action: tt.action, Value: "1", Channel: "D1", TS: "5.1", ReceivedAt: time.Now()}
			for range 2 { // a process that dies before it notes the press handles it again
				if err := d.Press(t.Context(), press); err != nil {
					t.Fatal(err)
				}
			}
			got, err := s.Escalation(t.Context(), e.ID)
			if err != nil || got.State != tt.want {
				t.Errorf("escalation = %+v, %v, want it %s", got, err, tt.want)
			}
			if silent := got.NextNagAt.IsZero() || got.NextNagAt.After(time.Now().Add(29*time.Minute)); tt.want != runbook.EscalationOpen && !silent {
				t.Errorf("next nag = %s, want none soon", got.NextNagAt)
			}
			owed := events(t, s)
			if tt.wantEvent == "" && len(owed) != 0 || tt.wantEvent != "" && (len(owed) != 1 || !strings.HasPrefix(owed[0], tt.wantEvent)) {
				t.Errorf("events = %q, want one: %q", owed, tt.wantEvent)
			}
		})
	}
}

func TestLateButtonReopensNothing(t *testing.T) {
	d, s := newDesk(t)
	e := escalate(t, s, runbook.Escalation{Key: "k", Title: "PVC full", Severity: runbook.Critical})
	if err := s.ResolveEscalation(t.Context(), e.ID, "alerts", time.Now()); err != nil {
		t.Fatal(err)
	}
	for id, action := range map[int64]string{1: "escalation_ack", 2: "escalation_snooze", 3: "escalation_resolve"} {
		err := d.Press(t.Context(), runbook.Press{ID: id, User: "U1", Action: action, Value: "1", Channel: "D1", TS: "5.1", ReceivedAt: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		note, err := s.Message(t.Context(), fmt.Sprintf("notice:press:%d", id))
		if err != nil || !strings.Contains(note.Text, "resolved before") || note.Thread != "5.1" {
			t.Errorf("answer to %s = %+v, %v, want it to say that it is over", action, note, err)
		}
	}
	got, err := s.Escalation(t.Context(), e.ID)
	if err != nil || got.State != runbook.EscalationResolved || got.ResolvedBy != "alerts" || len(events(t, s)) != 0 {
		t.Errorf("escalation = %+v, %v, events %q, want it as it was", got, err, events(t, s))
	}
}

func TestReplyAcknowledges(t *testing.T) {
	d, s := newDesk(t)
	e := escalate(t, s, runbook.Escalation{Key: "k", Title: "PVC full", Severity: runbook.Critical})
	heard := runbook.Heard{User: "U2", Text: "looking", ReceivedAt: time.Now()}
	for range 2 {
		if err := d.Replied(t.Context(), e, heard); err != nil {
			t.Fatal(err)
		}
	}
	got, err := s.Escalation(t.Context(), e.ID)
	if err != nil || got.State != runbook.EscalationAcked || got.AckedBy != "U2" {
		t.Errorf("escalation = %+v, %v, want it acknowledged by U2", got, err)
	}
	var notes []string
	all, err := s.Messages(t.Context(), 0, 100)
	for _, m := range all {
		if m.Kind == "note" {
			notes = append(notes, m.Text)
		}
	}
	if err != nil || len(notes) != 1 || notes[0] != "The second person on call acknowledged this." {
		t.Errorf("notes = %q, %v, want the person on call told once, without a mention", notes, err)
	}
}

func TestReplyInTheSecondPersonsThreadIsOfTheEscalation(t *testing.T) {
	_, s := newDesk(t)
	e := escalate(t, s, runbook.Escalation{Key: "k", Title: "PVC full", Severity: runbook.Critical})
	err := s.Send(t.Context(), runbook.Message{Key: "second:1", Kind: "second", Escalation: e.ID, Channel: "U2", Text: "x", CreatedAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Message(t.Context(), "second:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.MarkSent(t.Context(), m.ID, "D2", "9.1", time.Now()); err != nil {
		t.Fatal(err)
	}
	got, err := s.EscalationsOfThread(t.Context(), "D2", "9.1")
	if err != nil || len(got) != 1 || got[0].ID != e.ID || got[0].Thread != "" {
		t.Errorf("EscalationsOfThread = %+v, %v, want escalation %d, without a root of its own", got, err, e.ID)
	}
}
