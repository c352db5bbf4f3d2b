package slack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"watchkeeper/runbook"
)

const (
	handleEvery = 5 * time.Second // at the latest; what is stored wakes the handler
	maxTries    = 5               // of an action that fails
)

// handle hands over what was stored, in order, until ctx is done.
func (l *Link) handle(ctx context.Context) {
	tries := map[string]int{}
	for ctx.Err() == nil {
		wait := handleEvery
		if err := l.handleAll(ctx, tries); err != nil && ctx.Err() == nil {
			l.Log.ErrorContext(ctx, "what people said is not handled yet", "err", err)
			wait = time.Second
		}
		l.work.wait(ctx, wait)
	}
}

// handleAll handles what is there. tries counts the failures of each thing in
// this process; after some of them it is given up, loudly.
func (l *Link) handleAll(ctx context.Context, tries map[string]int) error {
	presses, err := l.Memory.Presses(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, p := range presses {
		errs = append(errs, l.press(ctx, p, tries))
	}
	heard, err := l.Memory.Unhandled(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, h := range heard {
		errs = append(errs, l.hear(ctx, h, tries))
	}
	if len(presses)+len(heard) > 0 && errors.Join(errs...) == nil {
		l.work.set() // there may be more than one page
	}
	return errors.Join(errs...)
}

// attempt runs fn and returns its error while it is worth another try. gaveUp
// tells that it is not.
func (l *Link) attempt(ctx context.Context, key string, tries map[string]int, fn func() error) (gaveUp bool, err error) {
	if err = fn(); err == nil || ctx.Err() != nil {
		delete(tries, key)
		return false, err
	}
	if tries[key]++; tries[key] < maxTries {
		return false, err
	}
	delete(tries, key)
	l.Log.ErrorContext(ctx, "gave up what a person asked for", "what", key, "err", err)
	return true, nil
}

func (l *Link) press(ctx context.Context, p runbook.Press, tries map[string]int) error {
	failed, err := l.attempt(ctx, fmt.Sprintf("press %d", p.ID), tries, func() error {
		switch {
		case p.Action == TestActionID:
			return l.notice(ctx, "test:"+p.TS, p.Channel, p.TS, "It works: Watchkeeper hears you.")
		case l.Actions == nil:
			return nil
		}
		return l.Actions.Press(ctx, p)
	})
	if err != nil {
		return fmt.Errorf("press of %s: %w", p.Action, err)
	}
	if failed {
		if err := l.notice(ctx, fmt.Sprintf("press:%d", p.ID), p.Channel, cmp.Or(p.Thread, p.TS), "That button did not work; nothing was changed. Please say it in words."); err != nil {
			return err
		}
	}
	return l.Memory.PressHandled(ctx, p.ID, time.Now())
}

func (l *Link) hear(ctx context.Context, h runbook.Heard, tries map[string]int) error {
	if id, allow, ok := parseAnswer(h.Text); ok {
		return l.answer(ctx, h, id, allow, tries)
	}
	about, err := l.escalations(ctx, h)
	if err != nil {
		return err
	}
	if err := l.replied(ctx, h, about, tries); err != nil {
		return err
	}
	only := int64(0)
	if len(about) == 1 {
		only = about[0].ID
	}
	return l.Memory.DeliverHeard(ctx, h, runbook.EventMessage, only, time.Now())
}

// escalations returns those whose thread h is in: one, or all that a nag names.
func (l *Link) escalations(ctx context.Context, h runbook.Heard) ([]runbook.Escalation, error) {
	if h.Thread == "" {
		return nil, nil
	}
	return l.Memory.EscalationsOfThread(ctx, h.Channel, h.Thread)
}

// replied acknowledges what h is about. Whether or not that works, the words
// reach the session.
func (l *Link) replied(ctx context.Context, h runbook.Heard, about []runbook.Escalation, tries map[string]int) error {
	if l.Actions == nil {
		return nil
	}
	for _, e := range about {
		_, err := l.attempt(ctx, fmt.Sprintf("reply %d to %d", h.ID, e.ID), tries, func() error { return l.Actions.Replied(ctx, e, h) })
		if err != nil {
			return fmt.Errorf("reply to escalation %d: %w", e.ID, err)
		}
	}
	return nil
}

// answer offers a typed answer to the prompts. It never reaches the session,
// which could take it for a permission.
func (l *Link) answer(ctx context.Context, h runbook.Heard, id string, allow bool, tries map[string]int) error {
	known := false
	failed, err := l.attempt(ctx, fmt.Sprintf("answer %d", h.ID), tries, func() (err error) {
		if l.Answers != nil {
			known, err = l.Answers.Answer(ctx, h.User, id, allow)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("answer to prompt %s: %w", id, err)
	}
	text := "There is no open question " + id + ": it was answered, or its time is over."
	if failed {
		text = "The answer to " + id + " could not be stored; nothing was decided. Please try again."
	}
	if failed || !known {
		if err := l.notice(ctx, fmt.Sprintf("answer:%d", h.ID), h.Channel, h.Root(), text); err != nil {
			return err
		}
	}
	return l.Memory.Handled(ctx, h.ID, time.Now())
}
