package slack_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"watchkeeper/channels/slack"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// An asking is one call of Ask, in a bubble.
type asking struct {
	t         *testing.T
	store     *sqlite.Store
	approvals *slack.Approvals
	desk      *slack.Desk
	cancel    context.CancelFunc

	done    chan struct{}
	allow   bool
	message string
	err     error
}

func ask(t *testing.T, input string, test func(*asking)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "memory.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		people := slack.People{OnCall: "U1", Second: "U2"}
		approvals := &slack.Approvals{Memory: store, People: people, Log: discard()}
		a := &asking{t: t, store: store, approvals: approvals, done: make(chan struct{})}
		a.desk = &slack.Desk{Memory: store, Approvals: approvals, People: people, Log: discard()}
		ctx, cancel := context.WithCancel(t.Context())
		a.cancel = cancel
		go func() {
			defer close(a.done)
			a.allow, a.message, a.err = approvals.Ask(ctx, "mcp__sre-tools__restart_deployment", "Restart backend", json.RawMessage(input))
		}()
		defer func() { cancel(); <-a.done }()
		time.Sleep(time.Second)
		test(a)
	})
}

// card returns the message that asks, after Slack has taken it.
func (a *asking) card() runbook.Message {
	a.t.Helper()
	m, err := a.store.Message(a.t.Context(), "approval:1")
	if err != nil {
		a.t.Fatal(err)
	}
	if err := a.store.MarkSent(a.t.Context(), m.ID, "D1", "5.1", time.Now()); err != nil {
		a.t.Fatal(err)
	}
	return m
}

func (a *asking) press(user, action, value, ts string) {
	a.t.Helper()
	err := a.desk.Press(a.t.Context(), runbook.Press{ID: 1, User: user, Action: action, Value: value, Channel: "D1", TS: ts, ReceivedAt: time.Now()})
	if err != nil {
		a.t.Fatal(err)
	}
	time.Sleep(time.Second)
}

func (a *asking) approval() runbook.Approval {
	a.t.Helper()
	q, err := a.store.Approval(a.t.Context(), 1)
	if err != nil {
		a.t.Fatal(err)
	}
	return q
}

// outcome returns the text of the card's edit, "" if there is none.
func (a *asking) outcome() string {
	m, err := a.store.Message(a.t.Context(), "approval:1:outcome")
	if err != nil {
		return ""
	}
	return m.EditOf + " " + m.Text
}

func (a *asking) answered() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

const restart = `{"cluster":"platform-prod","name":"backend <1>","api_key":"hunter2"}`

func TestPermissionIsAskedWithItsWholeInput(t *testing.T) {
	ask(t, restart, func(a *asking) {
		m := a.card()
		if m.Channel != "U1" || !m.Urgent {
			t.Errorf("card = %+v, want it to the person on call, at once", m)
		}
		code := a.approval().Code
		mustContain(t, m.Text, "restart_deployment", "yes "+code, "no "+code)
		card := strings.ReplaceAll(string(pretty(t, m.Blocks)), code, "abcde")
		golden(t, "card_approval.json", []byte(clockTime.ReplaceAllString(card, "until TIME")))
		if strings.Contains(a.approval().Input, "hunter2") {
			t.Errorf("input in the memory = %s, want no secret", a.approval().Input)
		}
	})
}

func TestButtonsDecideAPermission(t *testing.T) {
	tests := []struct {
		name, user, action, ts string
		wantDone, wantAllow    bool
		wantMessage            string
		wantOutcome            string
	}{
		{"approve", "U1", "approval_allow", "5.1", true, true, "", "approval:1 Approved: mcp__sre-tools__restart_deployment"},
		{"deny", "U1", "approval_deny", "5.1", true, false, "said no", "approval:1 Denied: mcp__sre-tools__restart_deployment"},
		{"another person on call", "U2", "approval_allow", "5.1", false, false, "", ""},
		{"a stranger", "U9", "approval_allow", "5.1", false, false, "", ""},
		{"a button on another message", "U1", "approval_allow", "6.6", false, false, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ask(t, restart, func(a *asking) {
				a.card()
				a.press(tt.user, tt.action, "1", tt.ts)
				if a.answered() != tt.wantDone || a.outcome() != tt.wantOutcome {
					t.Fatalf("answered = %v with card %q, want %v with %q", a.answered(), a.outcome(), tt.wantDone, tt.wantOutcome)
				}
				if tt.wantDone && (a.allow != tt.wantAllow || a.err != nil || !strings.Contains(a.message, tt.wantMessage)) {
					t.Errorf("Ask = %v, %q, %v, want %v, %q", a.allow, a.message, a.err, tt.wantAllow, tt.wantMessage)
				}
			})
		})
	}
}

func TestTypedAnswerDecidesAPermission(t *testing.T) {
	ask(t, restart, func(a *asking) {
		code := a.approval().Code
		for _, wrong := range []struct{ user, code string }{{"U2", code}, {"U9", code}, {"U1", "zzzzz"}} {
			if known, err := a.desk.Answer(a.t.Context(), wrong.user, wrong.code, true); known || err != nil {
				t.Errorf("Answer(%v) = %v, %v, want it unknown", wrong, known, err)
			}
		}
		known, err := a.desk.Answer(a.t.Context(), "U1", code, true)
		if !known || err != nil {
			t.Errorf("Answer = %v, %v, want it known", known, err)
		}
		time.Sleep(time.Second)
		if !a.answered() || !a.allow {
			t.Errorf("Ask = %v, answered %v, want it allowed", a.allow, a.answered())
		}
		if known, _ := a.desk.Answer(a.t.Context(), "U1", code, false); known {
			t.Error("a second answer was taken, want the first to win")
		}
	})
}

func TestFirstAnswerWins(t *testing.T) {
	ask(t, restart, func(a *asking) {
		a.card()
		a.press("U1", "approval_deny", "1", "5.1")
		a.press("U1", "approval_allow", "1", "5.1")
		if q := a.approval(); q.State != runbook.ApprovalDenied || !a.answered() || a.allow {
			t.Errorf("approval = %+v, want it denied", q)
		}
		notice, err := a.store.Message(a.t.Context(), "notice:press:1")
		if err != nil || !strings.Contains(notice.Text, "decided before") {
			t.Errorf("notice = %+v, %v, want it to say that it is too late", notice, err)
		}
	})
}

func TestPermissionThatNobodyAnswersExpires(t *testing.T) {
	ask(t, restart, func(a *asking) {
		a.card()
		time.Sleep(14 * time.Minute)
		if a.answered() {
			t.Fatal("Ask returned before its time")
		}
		time.Sleep(time.Minute)
		if !a.answered() || a.allow || a.err != nil || !strings.Contains(a.message, "Nobody answered") {
			t.Errorf("Ask = %v, %q, %v, want it unanswered", a.allow, a.message, a.err)
		}
		a.press("U1", "approval_allow", "1", "5.1")
		if q := a.approval(); q.State != runbook.ApprovalExpired || a.outcome() != "approval:1 Expired, not permitted: mcp__sre-tools__restart_deployment" {
			t.Errorf("approval = %+v with card %q, want it expired", q, a.outcome())
		}
	})
}

func TestPermissionOfASessionThatEndsIsWithdrawn(t *testing.T) {
	ask(t, restart, func(a *asking) {
		a.card()
		a.cancel()
		<-a.done
		if q := a.approval(); q.State != runbook.ApprovalWithdrawn || a.err == nil || a.allow {
			t.Errorf("approval = %+v, Ask = %v, %v, want it withdrawn and an error", q, a.allow, a.err)
		}
	})
}

func TestPermissionWhoseAskerDiedIsEndedByTheEscalator(t *testing.T) {
	asleep(t, onCall(), disaster(), func(n *night) {
		_, err := n.store.AskApproval(n.t.Context(), runbook.Approval{
			Code: "abcde", Source: "stream", Person: "U1", Tool: "x", AskedAt: n.began, ExpiresAt: n.began.Add(5 * time.Minute),
		}, func(runbook.Approval) runbook.Message {
			return runbook.Message{Key: "approval:1", Kind: "approval", Text: "x", CreatedAt: n.began}
		})
		if err != nil {
			t.Fatal(err)
		}
		n.start()
		n.pass(6)
		q, err := n.store.Approval(n.t.Context(), 1)
		if err != nil || q.State != runbook.ApprovalExpired {
			t.Errorf("approval = %+v, %v, want it expired", q, err)
		}
	})
}

func TestInputThatNobodyCanReadIsNotPermitted(t *testing.T) {
	ask(t, `{"script":"`+strings.Repeat("x", 7000)+`"}`, func(a *asking) {
		if !a.answered() || a.allow || !strings.Contains(a.message, "too long") {
			t.Errorf("Ask = %v, %q, want it refused because it is too long", a.allow, a.message)
		}
	})
}
