package session

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Send types text as a message of the user, as soon as the session takes one.
// It returns [ErrGone] if it is over first, and [ErrNotReading] if the CLI does
// not take the message.
//
// The last line is typed and everything before it is pasted: the CLI shows the
// model a long paste as quoted, which suits a page and not an instruction.
func (t *Terminal) Send(ctx context.Context, text string) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.gone:
		return ErrGone
	case <-t.open:
	}
	t.typing.Lock()
	defer t.typing.Unlock()
	if err := t.send(ctx, printable(text)); err != nil {
		return fmt.Errorf("type a message: %w", err)
	}
	return nil
}

func (t *Terminal) send(ctx context.Context, text string) error {
	if err := t.awaitInput(ctx); err != nil {
		return err
	}
	before, busy := t.taken()
	page, last := "", text
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		page, last = text[:i+1], text[i+1:]
	}
	if page != "" {
		if err := t.tmux.paste(ctx, page); err != nil {
			return err
		}
	}
	if err := t.tmux.write(ctx, last); err != nil {
		return err
	}
	for range 2 { // a CLI that still draws the paste may miss the key
		t.rest(ctx, screenLook)
		if err := t.tmux.keys(ctx, "Enter"); err != nil {
			return err
		}
		if busy { // it waits for the turn to end
			return nil
		}
		if t.poll(ctx, takenWithin/2, func() bool { n, _ := t.taken(); return n > before }) {
			return nil
		}
	}
	return errors.Join(ErrNotReading, ctx.Err())
}

// awaitInput waits until the CLI shows its input: in front of a dialog, what
// we type would answer it.
func (t *Terminal) awaitInput(ctx context.Context) error {
	open := func() bool {
		screen, err := t.tmux.screen(ctx)
		return err == nil && ready(screen)
	}
	if t.poll(ctx, takenWithin, open) {
		return nil
	}
	return errors.Join(ErrNotReading, ctx.Err())
}

// taken is how many messages the CLI has taken, and whether it works on one.
func (t *Terminal) taken() (int, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.seen.prompts, t.seen.busy
}

// poll reports whether ok holds within d, before the session is over.
func (t *Terminal) poll(ctx context.Context, d time.Duration, ok func() bool) bool {
	for deadline := time.Now().Add(d); ctx.Err() == nil && time.Now().Before(deadline); t.rest(ctx, terminalLook) {
		if ok() {
			return true
		}
		select {
		case <-t.gone:
			return false
		default:
		}
	}
	return false
}

// printable drops what a terminal would take for a key.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, strings.TrimRight(s, "\n"))
}

// Servers says how the servers do: "pending" until the channels are
// registered, then what [Channels.Health] knows.
func (t *Terminal) Servers(ctx context.Context) ([]ServerStatus, error) {
	select {
	case <-t.gone:
		return nil, ErrGone
	default:
	}
	if _, err := t.tmux.pid(ctx); err != nil {
		return nil, err
	}
	all := t.status()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range all {
		if s.Status != "failed" {
			delete(t.reconnects, s.Name)
		}
	}
	return all, nil
}

func (t *Terminal) status() []ServerStatus {
	word := "connected"
	select {
	case <-t.open:
		if t.cfg.Health != nil {
			return t.cfg.Health()
		}
	default:
		word = "pending"
	}
	var all []ServerStatus
	for _, ch := range t.cfg.Servers {
		all = append(all, ServerStatus{Name: ch.Name, Status: word})
	}
	return all
}

// reviving makes the CLI start a server that has ended: it does so when a tool
// of the server is called, and registers its channel anew.
const reviving = "The connection to the server %s is lost. Call %s once, which brings it back; then go on."

// Reconnect has the model call a tool of the server. The session is given up
// when that has been in vain a few times.
func (t *Terminal) Reconnect(ctx context.Context, server string) error {
	t.mu.Lock()
	t.reconnects[server]++
	tried := t.reconnects[server]
	t.mu.Unlock()
	if tried > maxReconnect {
		t.leave(End{Cause: Hung, Detail: fmt.Sprintf("the server %s does not come back", server)})
		return ErrGone
	}
	for _, ch := range t.cfg.Servers {
		if ch.Name == server {
			return t.Send(ctx, fmt.Sprintf(reviving, server, ch.Probe))
		}
	}
	return fmt.Errorf("reconnect server %s: it is no channel of this session", server)
}
