package session

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// A guide leads a CLI through its first dialogs. It makes a choice only in a
// dialog that it knows, and only when the screen shows that Enter takes the
// choice that is meant.
type guide struct {
	terminal *Terminal
	known    []dialog
	began    time.Time

	looked time.Time
	screen string    // the last that was seen
	since  time.Time // when it came up
}

// step looks at the screen now and then, and answers what it knows. It returns
// an [Unavailable] for what it does not know, and an [End] when the CLI wants a
// person to log in.
func (g *guide) step(ctx context.Context) error {
	t, now := g.terminal, time.Now()
	if now.Sub(g.looked) < screenLook {
		return nil
	}
	g.looked = now
	screen, err := t.tmux.screen(ctx)
	if err != nil {
		return nil //nolint:nilerr // look sees whether the process is there
	}
	if screen != g.screen {
		g.screen, g.since = screen, now
	}
	if shows(screen, loginWords) {
		return End{Cause: LoggedOut, Detail: "Claude Code asks for a login"}
	}
	if d := recognise(screen, g.known); d != nil {
		return g.answer(ctx, d)
	}
	return g.patience(now)
}

// answer takes one step towards the choice that is meant. The next look sees
// what came of it.
func (g *guide) answer(ctx context.Context, d *dialog) error {
	t := g.terminal
	if choice := chosen(g.screen); choice != d.answer && !strings.HasPrefix(choice, d.answer+" (") {
		return t.tmux.keys(ctx, g.direction(d.answer))
	}
	t.log.InfoContext(ctx, "dialog of the CLI answered", "dialog", d.name, "answer", d.answer)
	return t.tmux.keys(ctx, "Enter")
}

// direction is the key that leads to the choice.
func (g *guide) direction(answer string) string {
	for line := range strings.Lines(g.screen) {
		line = strings.TrimLeft(line, " │")
		switch {
		case strings.HasPrefix(line, marker):
			return "Down"
		case choice(line) == answer:
			return "Up"
		}
	}
	return "Down"
}

// patience gives up a screen that does not change and that nobody knows.
func (g *guide) patience(now time.Time) error {
	t := g.terminal
	t.mu.Lock()
	started := t.seen.started
	t.mu.Unlock()
	screen := strings.Join(words(g.screen), "\n")
	switch {
	case !started && screen != "" && now.Sub(g.since) >= t.cfg.AnswerAfter:
		return &Unavailable{Reason: "Claude Code shows something that Watchkeeper does not know and does not answer", Screen: screen}
	case now.Sub(g.began) >= t.cfg.StartWithin:
		return &Unavailable{Reason: fmt.Sprintf("Claude Code has not registered the channels within %s", t.cfg.StartWithin), Screen: screen}
	}
	return nil
}
