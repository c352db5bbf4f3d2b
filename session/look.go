package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// look reads what is new, and sees whether the process is there.
func (t *Terminal) look(ctx context.Context) error {
	there := alive(t.pid) // first: what it said last is read after that
	if err := t.readNotes(); err != nil {
		return err
	}
	if err := t.readDebug(ctx); err != nil {
		return err
	}
	if !there && ctx.Err() == nil {
		return t.ended(ctx)
	}
	return nil
}

func (t *Terminal) readNotes() error {
	lines, err := t.notes.lines()
	if err != nil {
		return fmt.Errorf("read what the session does: %w", err)
	}
	for _, line := range lines {
		t.mu.Lock()
		outputs := t.seen.read(line)
		t.mu.Unlock()
		for _, o := range outputs {
			t.observe(o)
		}
	}
	return nil
}

func (t *Terminal) readDebug(ctx context.Context) error {
	lines, err := t.debug.lines()
	if err != nil {
		return fmt.Errorf("read the CLI's debug log: %w", err)
	}
	for _, line := range lines {
		t.connecting(line)
		news, ok := parseDebug(line)
		if !ok || !t.ours(news.server) {
			continue
		}
		t.log.DebugContext(ctx, "channel", "server", news.server, "registered", news.registered, "why", news.why)
		if !news.registered {
			return &Unavailable{Reason: fmt.Sprintf("Claude Code does not take %s as a channel: %s", news.server, news.why)}
		}
		t.mu.Lock()
		t.registered[news.server] = true
		t.mu.Unlock()
	}
	return nil
}

// connecting counts the servers that are being connected: the model sees only
// the tools of those that are when its turn begins.
func (t *Terminal) connecting(line string) {
	server, begins, ok := parseConnection(line)
	if !ok {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if begins {
		t.pending[server] = true
	} else {
		delete(t.pending, server)
	}
}

func (t *Terminal) ours(server string) bool {
	return slices.Contains(t.cfg.names(), server)
}

// isReady reports whether the CLI is past its dialogs, takes our channels and
// has its servers. One that does not connect is not waited for for long.
func (t *Terminal) isReady() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.seen.started || len(t.registered) < len(t.cfg.Servers) {
		return false
	}
	if t.since.IsZero() {
		t.since = time.Now()
	}
	quiet := time.Since(t.since)
	return quiet > connectWithin || len(t.pending) == 0 && quiet >= settled
}

// errEnded is what every error of ended is.
var errEnded = errors.New("the process ended")

// ended is the error of a process that is gone.
func (t *Terminal) ended(ctx context.Context) error {
	how, err := t.tmux.end(ctx)
	for range 5 { // tmux may not have noticed yet
		if err != nil || how != "" {
			break
		}
		t.rest(ctx, terminalLook)
		how, err = t.tmux.end(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: somebody has closed the terminal", errEnded)
	}
	if screen, err := t.tmux.remains(ctx); err == nil {
		lines := words(screen)
		for len(lines) > 0 && strings.HasPrefix(lines[len(lines)-1], "Pane is dead") {
			lines = lines[:len(lines)-1] // tmux says so
		}
		t.mu.Lock()
		t.last = strings.Join(lines[max(len(lines)-tailLines, 0):], "\n")
		t.mu.Unlock()
	}
	if how == "" {
		return errEnded
	}
	return fmt.Errorf("%w: %s", errEnded, how)
}
