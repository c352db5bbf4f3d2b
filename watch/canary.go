package watch

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"watchkeeper/runbook"
)

const (
	// canaryWithin is how long a canary may take. Three pushes take 9 minutes,
	// and the daily restart up to 11.
	canaryWithin = 20 * time.Minute
	// canaryAgain is when the next one is sent after one was lost.
	canaryAgain = 5 * time.Minute
	// canaryFirst is when the first one is sent after the watch began.
	canaryFirst = 10 * time.Minute
)

// A Flock is what the memory knows of canaries.
type Flock interface {
	Canaries(ctx context.Context, limit int) ([]runbook.Canary, error)
	SendCanary(ctx context.Context, nonce string, now time.Time) error
	LoseCanary(ctx context.Context, id int64, now time.Time) error
	WithdrawCanary(ctx context.Context, id int64, now time.Time) error
}

// A Canary sends an event of our own the whole way, now and then, and expects
// its verdict: HTTP, memory, session, sre-tools. It needs a session that works;
// that there is none is another check's to say.
type Canary struct {
	Flock Flock
	Every time.Duration
	Post  func(ctx context.Context, nonce string, now time.Time) error // hands it to the intake; the same nonce again is the same canary
	Log   *slog.Logger
}

// Look implements [Check].
func (c Canary) Look(ctx context.Context, m Moment) ([]Finding, error) {
	all, err := c.Flock.Canaries(ctx, 2)
	if err != nil {
		return nil, err
	}
	var last, before runbook.Canary
	if len(all) > 0 {
		last = all[0]
	}
	if len(all) > 1 {
		before = all[1]
	}
	if flying := last.ID != 0 && last.DecidedAt.IsZero() && last.LostAt.IsZero(); flying {
		if last, err = c.follow(ctx, last, m); err != nil {
			return nil, err
		}
		if last.LostAt.IsZero() {
			last = before // what is not known yet changes nothing
		}
	} else if err := c.send(ctx, last, m); err != nil {
		return nil, err
	}
	return lost(last), nil
}

// follow looks after a canary that is on its way.
func (c Canary) follow(ctx context.Context, last runbook.Canary, m Moment) (runbook.Canary, error) {
	if !m.alive() {
		return last, c.Flock.WithdrawCanary(ctx, last.ID, m.Now)
	}
	if last.Delivery == 0 {
		c.post(ctx, last.Nonce, last.SentAt)
	}
	from := last.SentAt
	if m.Since.After(from) { // we were away ourselves
		from = m.Since
	}
	if m.Now.Sub(from) <= canaryWithin {
		return last, nil
	}
	last.LostAt = m.Now
	return last, c.Flock.LoseCanary(ctx, last.ID, m.Now)
}

// send sends the next one if its time has come.
func (c Canary) send(ctx context.Context, last runbook.Canary, m Moment) error {
	wait := c.Every
	if !last.LostAt.IsZero() {
		wait = canaryWithin + min(canaryAgain, c.Every)
	}
	if !m.alive() || m.Now.Sub(m.Since) < canaryFirst || last.ID != 0 && m.Now.Sub(last.SentAt) < wait {
		return nil
	}
	nonce := rand.Text()
	if err := c.Flock.SendCanary(ctx, nonce, m.Now); err != nil {
		return err
	}
	c.post(ctx, nonce, m.Now)
	return nil
}

// post tries; what fails is tried again at the next look, until it is late.
func (c Canary) post(ctx context.Context, nonce string, sent time.Time) {
	if err := c.Post(ctx, nonce, sent); err != nil && ctx.Err() == nil {
		c.Log.WarnContext(ctx, "canary not taken", "err", err)
	}
}

// lost is the finding about the last canary whose end is known.
func lost(c runbook.Canary) []Finding {
	if c.LostAt.IsZero() {
		return nil
	}
	where := "The intake took it, as " + c.Delivery.String() + ", and the session gave no verdict."
	if c.Delivery == 0 {
		where = "The intake did not take it."
	}
	return []Finding{{
		Key: "canary", Since: c.SentAt, Severity: runbook.Critical, Ours: true,
		Title:     "our canary did not come back",
		Found:     fmt.Sprintf("The event that we sent ourselves at %s had no verdict after %s. %s", clock(c.SentAt), runbook.Short(canaryWithin), where),
		Impact:    "Real alerts may take the same way and end there. They are paged when nobody claims them.",
		Recommend: "See watchkeeper status; watchkeeper restart gives the session a fresh start.",
		Default:   "I send another every few minutes.",
	}}
}
