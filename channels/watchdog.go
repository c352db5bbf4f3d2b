package channels

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"watchkeeper/runbook"
)

// A Pager is what the watchdog needs of the store.
type Pager interface {
	Overdue(ctx context.Context, now time.Time) ([]runbook.Delivery, error)
	Page(ctx context.Context, e runbook.Escalation, text string) error
}

// watchEvery is how often the watchdog looks.
const watchEvery = 15 * time.Second

// A Watchdog pages a human when an event stays unclaimed or undecided past its
// deadline. It needs no session, and no model.
type Watchdog struct {
	Memory Pager
	Log    *slog.Logger
}

// Run looks again and again until ctx is done, and returns nil then.
func (w *Watchdog) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := w.Step(ctx); err != nil && ctx.Err() == nil {
			w.Log.ErrorContext(ctx, "watchdog failed", "err", err)
		}
		sleep(ctx, watchEvery)
	}
	return nil
}

// Step pages for everything that is overdue now.
func (w *Watchdog) Step(ctx context.Context) error {
	now := time.Now()
	overdue, err := w.Memory.Overdue(ctx, now)
	if err != nil {
		return fmt.Errorf("look for overdue events: %w", err)
	}
	for _, d := range overdue {
		e := page(d, now)
		if err := w.Memory.Page(ctx, e, e.Title+"\n"+e.Found+"\n"+e.Recommend); err != nil {
			return fmt.Errorf("page for %s: %w", d.ID, err)
		}
		w.Log.WarnContext(ctx, "paged a human", "delivery", d.ID.String(), "alert", d.Alert)
	}
	return nil
}

// page is the cry for help about d. It is critical whatever the alert says: the
// session that should have looked is not looking.
func page(d runbook.Delivery, now time.Time) runbook.Escalation {
	what := "nobody claimed it"
	switch d.State {
	case runbook.Claimed:
		what = "the investigation ended without a verdict"
	case runbook.Queued:
		what = "no session took it"
	}
	name := d.Alert
	if d.Kind == runbook.EventMessage {
		name = "a message from " + d.User
	}
	return runbook.Escalation{
		Key: "page:" + d.ID.String(), Delivery: d.ID, Severity: runbook.Critical, Env: d.Env,
		Title:     fmt.Sprintf("%s (%s): %s for %s", flat(name), d.ID, what, runbook.Short(now.Sub(d.CreatedAt))),
		Found:     fmt.Sprintf("%d alerts, %s, on %s in cluster %s, %s", d.Alerts, d.Severity, or(d.Service), or(d.Cluster), d.Status),
		Recommend: "Look at it yourself, and at the session: watchkeeper status.",
		Default:   "It is pushed again to the next session.",
		OpenedBy:  "watchdog", OpenedAt: now,
	}
}
