package slack

import (
	"context"
	"fmt"
	"time"
)

// KindNotice is the kind of a message of the link itself to somebody who wrote
// to us.
const KindNotice = "notice"

// store keeps what an envelope brings. An error means that it must come again.
func (l *Link) store(ctx context.Context, e envelope) error {
	switch e.Type {
	case "events_api":
		var c callback
		if !e.read(&c) || c.EventID == "" {
			l.unparsable(ctx, e)
			return nil
		}
		return l.storeEvent(ctx, c.EventID, c.Event)
	case "interactive":
		var c click
		if !e.read(&c) {
			l.unparsable(ctx, e)
			return nil
		}
		return l.storePresses(ctx, c)
	}
	l.ignore()
	return nil
}

func (l *Link) ignore() { l.monitor.note(func(h *Health) { h.Ignored++ }) }

func (l *Link) storeEvent(ctx context.Context, id string, e event) error {
	now := time.Now()
	switch sortOf(e, l.me, l.People) {
	case isWords:
		stored, err := l.Memory.Hear(ctx, e.heard(id, now))
		if err != nil {
			return err
		}
		l.stored(stored)
		return nil
	case isStranger:
		l.ignore()
		return l.notice(ctx, "stranger:"+e.User+":"+now.UTC().Format(time.DateOnly), e.Channel, e.Thread,
			"I only talk with the people on call here. Please ask one of them.")
	case isEdit:
		l.ignore()
		thread := e.Message.Thread
		if thread == "" {
			thread = e.Message.TS
		}
		return l.notice(ctx, "edit:"+e.Channel+":"+e.Message.TS, e.Channel, thread,
			"I read a message as it was first sent and do not see changes. Please send what is new as a message of its own.")
	}
	l.ignore()
	return nil
}

// stored wakes the handler for something new, and counts what came again.
func (l *Link) stored(fresh bool) {
	if !fresh {
		l.monitor.note(func(h *Health) { h.Duplicates++ })
		return
	}
	l.work.set()
}

func (l *Link) storePresses(ctx context.Context, c click) error {
	if c.Type != "block_actions" {
		l.ignore()
		return nil
	}
	now := time.Now()
	for _, p := range c.presses(now) {
		if !l.People.Has(p.User) {
			l.ignore()
			l.Log.WarnContext(ctx, "button pressed by somebody who is not on call", "user", p.User, "action", p.Action)
			err := l.notice(ctx, "stranger:"+p.User+":"+now.UTC().Format(time.DateOnly), p.Channel, p.Thread,
				"Only the people on call decide here.")
			if err != nil {
				return err
			}
			continue
		}
		fresh, err := l.Memory.StorePress(ctx, p)
		if err != nil {
			return fmt.Errorf("store press: %w", err)
		}
		l.stored(fresh)
	}
	return nil
}
