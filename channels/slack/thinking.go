package slack

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"watchkeeper/runbook"
)

// Times of the status under a message.
const (
	thinking   = "is looking into it…" // after the name of the app
	thinkFor   = 5 * time.Minute       // at most, since the session has the message
	thinkLook  = time.Second           // at the memory
	thinkAgain = 90 * time.Second      // Slack drops a status after two minutes
	thinkOff   = 10 * time.Minute      // after Slack refused one
)

// A QuestionMemory is what a Thinker needs of the memory.
type QuestionMemory interface {
	Unanswered(ctx context.Context, since time.Time) ([]runbook.Heard, error)
}

// A Thinker shows under what a person wrote that the session works on it, until
// that has answered. A Slack that shows no status is left alone: nothing depends
// on it. Only the holder of the link's lock runs it. The fields are set before
// Run and not changed.
type Thinker struct {
	Memory QuestionMemory
	Client *Client
	Log    *slog.Logger

	shown map[spot]time.Time // when the status was last set
	off   time.Time          // not shown before
}

// A spot is where a status is shown.
type spot struct{ channel, thread string }

// Run shows and clears until ctx is done, and returns nil then. What it leaves
// behind, Slack drops by itself.
func (t *Thinker) Run(ctx context.Context) error {
	t.shown = map[spot]time.Time{}
	for ctx.Err() == nil {
		wait := thinkLook
		if err := t.step(ctx, time.Now()); err != nil && ctx.Err() == nil {
			wait = max(retryAfter(err), 10*thinkLook)
			t.Log.DebugContext(ctx, "status not shown", "err", err, "retry_after", wait)
		}
		sleep(ctx, wait)
	}
	return nil
}

// step shows the status where an answer is owed at now, and clears it where
// none is any more.
func (t *Thinker) step(ctx context.Context, now time.Time) error {
	if now.Before(t.off) {
		return nil
	}
	owed, err := t.Memory.Unanswered(ctx, now.Add(-thinkFor))
	if err != nil {
		return err
	}
	var errs []error
	open := map[spot]bool{}
	for _, h := range owed {
		p := spot{h.Channel, h.Root()}
		if open[p] = true; now.Sub(t.shown[p]) >= thinkAgain {
			t.shown[p] = now
			errs = append(errs, t.set(ctx, p, thinking))
		}
	}
	for p := range t.shown {
		if !open[p] {
			delete(t.shown, p)
			errs = append(errs, t.set(ctx, p, ""))
		}
	}
	return errors.Join(errs...)
}

// set sets the status of p, unless Slack has just refused one.
func (t *Thinker) set(ctx context.Context, p spot, status string) error {
	if time.Now().Before(t.off) {
		return nil
	}
	err := t.Client.SetStatus(ctx, p.channel, p.thread, status)
	if !isRejected(err) && !permanent(err) {
		return err
	}
	t.off = time.Now().Add(thinkOff)
	clear(t.shown)
	t.Log.InfoContext(ctx, "slack shows no status here", "err", err, "retry_after", thinkOff)
	return nil
}
