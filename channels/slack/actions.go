package slack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	slackgo "github.com/slack-go/slack"

	"watchkeeper/runbook"
)

// snoozeFor is how long the button holds the nags back.
const snoozeFor = 30 * time.Minute

// A DeskMemory is what a Desk needs of the memory.
type DeskMemory interface {
	Escalation(ctx context.Context, id int64) (runbook.Escalation, error)
	Take(ctx context.Context, t runbook.Taking) (changed bool, err error)
	Acknowledge(ctx context.Context, id int64, user string, now time.Time) error
	Touch(ctx context.Context, id int64, now time.Time) error
	Message(ctx context.Context, key string) (runbook.Message, error)
	Send(ctx context.Context, m runbook.Message) error
}

// A Desk does what the people on call ask for by a button or a reply. It
// implements [Actions] and [Answers]. The fields are set before its use and not
// changed.
//
// It only writes to the memory: the escalator edits the cards.
type Desk struct {
	Memory    DeskMemory
	Approvals *Approvals // nil knows no questions
	People    People
	Log       *slog.Logger
	Wake      func() // tells an escalator of this process that something changed; nil tells none
}

// Press implements [Actions].
func (d *Desk) Press(ctx context.Context, p runbook.Press) error {
	if !d.People.Has(p.User) {
		d.Log.WarnContext(ctx, "button of somebody who is not on call", "user", p.User, "action", p.Action)
		return nil
	}
	switch p.Action {
	case actionAck:
		return d.take(ctx, p, runbook.EscalationAcked)
	case actionSnooze:
		return d.take(ctx, p, runbook.EscalationSnoozed)
	case actionResolve:
		return d.take(ctx, p, runbook.EscalationResolved)
	case actionAckAll:
		return d.takeAll(ctx, p)
	case actionAllow, actionDeny:
		if d.Approvals == nil {
			return nil
		}
		return d.Approvals.press(ctx, p, p.Action == actionAllow)
	}
	d.Log.WarnContext(ctx, "button that nobody knows", "action", p.Action)
	return nil
}

// Replied implements [Actions]: whoever writes in the thread is awake and has
// it. A late reply reopens nothing, and one about what somebody has already
// only counts as activity.
func (d *Desk) Replied(ctx context.Context, e runbook.Escalation, h runbook.Heard) error {
	defer d.wake()
	switch e.State {
	case runbook.EscalationResolved:
		return nil
	case runbook.EscalationOpen, runbook.EscalationSnoozed:
		err := d.Memory.Acknowledge(ctx, e.ID, h.User, h.ReceivedAt)
		if errors.Is(err, runbook.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := d.tellOthers(ctx, e, h.User, "acknowledged", h.ReceivedAt); err != nil {
			return err
		}
	}
	return d.Memory.Touch(ctx, e.ID, h.ReceivedAt)
}

// Answer implements [Answers].
func (d *Desk) Answer(ctx context.Context, user, id string, allow bool) (known bool, err error) {
	if d.Approvals == nil || !d.People.Has(user) {
		return false, nil
	}
	return d.Approvals.Answer(ctx, user, id, allow)
}

// take changes the escalation that a button belongs to.
func (d *Desk) take(ctx context.Context, p runbook.Press, state runbook.EscalationState) error {
	defer d.wake()
	id, err := strconv.ParseInt(p.Value, 10, 64)
	if err != nil {
		d.Log.WarnContext(ctx, "button without an escalation", "value", p.Value, "action", p.Action)
		return nil
	}
	err = d.takeOne(ctx, p, id, state)
	switch {
	case errors.Is(err, runbook.ErrNotFound):
		return d.notice(ctx, p, "There is no such escalation any more.")
	case errors.Is(err, runbook.ErrClosed):
		return d.notice(ctx, p, "It was resolved before, and stays so.")
	}
	return err
}

// takeAll acknowledges what a nag about several escalations names, except for
// what was resolved meanwhile.
func (d *Desk) takeAll(ctx context.Context, p runbook.Press) error {
	defer d.wake()
	m, err := d.Memory.Message(ctx, p.Value)
	if errors.Is(err, runbook.ErrNotFound) {
		return d.notice(ctx, p, "That message is not known any more; please use the buttons of the cards.")
	}
	if err != nil {
		return err
	}
	for _, id := range m.About {
		if err := d.takeOne(ctx, p, id, runbook.EscalationAcked); err != nil && !errors.Is(err, runbook.ErrClosed) {
			return err
		}
	}
	done := fmt.Sprintf("*Acknowledged* by %s at %s", person(p.User), clock(p.ReceivedAt))
	return d.Memory.Send(ctx, runbook.Message{
		Key: m.Key + ":taken", Kind: "card", EditOf: m.Key, Text: done, Mrkdwn: true, CreatedAt: p.ReceivedAt,
		Blocks: blocksOf(append(sections(m.Text), slackgo.NewContextBlock("", slackgo.NewTextBlockObject(slackgo.MarkdownType, done, false, false)))),
	})
}

// takeOne changes escalation id as a button asks.
func (d *Desk) takeOne(ctx context.Context, p runbook.Press, id int64, state runbook.EscalationState) error {
	e, err := d.Memory.Escalation(ctx, id)
	if err != nil {
		return err
	}
	t := runbook.Taking{
		Escalation: id, State: state, User: p.User, At: p.ReceivedAt, Thread: rootOf(p), Text: takingText(e, state, p),
	}
	if state == runbook.EscalationSnoozed {
		t.Until = p.ReceivedAt.Add(snoozeFor)
		if time.Now().After(t.Until) {
			return d.notice(ctx, p, "That press arrived too late to snooze anything.")
		}
	}
	if note, ok := d.othersNote(e, p.User, string(state), p.ReceivedAt); ok {
		t.Messages = append(t.Messages, note)
	}
	_, err = d.Memory.Take(ctx, t)
	return err
}

// takingText is what the session is told.
func takingText(e runbook.Escalation, state runbook.EscalationState, p runbook.Press) string {
	switch state {
	case runbook.EscalationSnoozed:
		return fmt.Sprintf("Snoozed until %s by a button: %s", clock(p.ReceivedAt.Add(snoozeFor)), e.Title)
	case runbook.EscalationResolved:
		return "Resolved by a button: " + e.Title
	}
	return "Acknowledged by a button: " + e.Title
}

// tellOthers tells those who were called about e, and do not see what user did,
// that user did it.
func (d *Desk) tellOthers(ctx context.Context, e runbook.Escalation, user, did string, now time.Time) error {
	note, ok := d.othersNote(e, user, did, now)
	if !ok {
		return nil
	}
	return d.Memory.Send(ctx, note)
}

// othersNote is for the person on call about what the second person did. The
// other way round there is nothing to say: the second person's card shows it.
func (d *Desk) othersNote(e runbook.Escalation, user, did string, now time.Time) (runbook.Message, bool) {
	if user == d.People.OnCall || user != d.People.Second {
		return runbook.Message{}, false
	}
	if did == string(runbook.EscalationAcked) {
		did = "acknowledged"
	}
	return runbook.Message{
		Key: fmt.Sprintf("other:%d:%s:%d", e.ID, did, now.UnixMilli()), Kind: "note", Escalation: e.ID, CreatedAt: now,
		Text: fmt.Sprintf("The second person on call %s this.", did),
	}, true
}

func (d *Desk) notice(ctx context.Context, p runbook.Press, text string) error {
	return d.Memory.Send(ctx, runbook.Message{
		Key: fmt.Sprintf("notice:press:%d", p.ID), Kind: KindNotice, Channel: p.Channel, Thread: rootOf(p), Text: text, CreatedAt: time.Now(),
	})
}

func (d *Desk) wake() {
	if d.Wake != nil {
		d.Wake()
	}
}

// rootOf returns the ts of the thread that hangs under the message with the
// button, or that this message is in.
func rootOf(p runbook.Press) string { return cmpThread(p.Thread, p.TS) }
