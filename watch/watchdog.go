package watch

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

const (
	lookEvery = 15 * time.Second
	// gap is how long nobody may watch before silence counts anew: longer than a
	// restart, and so short that it uses up no patience.
	gap = 2 * time.Minute
	// cryAfter is how long the memory may fail before people hear of it, and
	// cryAgain when they hear it again.
	cryAfter = time.Minute
	cryAgain = time.Hour
	// lateAfter is how long a look may take before the monitor outside is told.
	lateAfter = 2 * time.Minute
)

// A Memory is what the [Watchdog] needs of the store.
type Memory interface {
	Watching(ctx context.Context, now time.Time, gap time.Duration) (since time.Time, err error)
	Beats(ctx context.Context) ([]sqlite.Heartbeat, error)
	Troubles(ctx context.Context) ([]runbook.Trouble, error)
	Complain(ctx context.Context, key string, since time.Time, e runbook.Escalation, text string) (opened bool, err error)
	Recover(ctx context.Context, key, text string, now time.Time) error
}

// A Cry reaches people without the memory. It may ring them.
type Cry func(ctx context.Context, text string) error

// A Watchdog looks, tells and remembers. The fields are set before Run and not
// changed.
type Watchdog struct {
	Memory Memory
	Checks []Check
	Cry    Cry // nil cries nowhere
	Log    *slog.Logger

	mu     sync.Mutex
	looked time.Time // last look that succeeded
	unwell []string  // what that look found wrong with ourselves

	failing time.Time // since when the memory fails; zero while it works
	cried   time.Time // when people last heard of that
}

// Run looks again and again until ctx is done, and returns nil then.
func (w *Watchdog) Run(ctx context.Context) error {
	w.mu.Lock()
	w.looked = time.Now()
	w.mu.Unlock()
	for ctx.Err() == nil {
		err := w.Step(ctx, time.Now())
		if ctx.Err() == nil {
			w.remember(ctx, err, time.Now())
		}
		sleep(ctx, lookEvery)
	}
	return nil
}

// Step looks once. An error is the memory's.
func (w *Watchdog) Step(ctx context.Context, now time.Time) error {
	m := Moment{Now: now, Signs: map[string]sqlite.Heartbeat{}}
	var err error
	if m.Since, err = w.Memory.Watching(ctx, now, gap); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	beats, err := w.Memory.Beats(ctx)
	if err != nil {
		return fmt.Errorf("look for signs of life: %w", err)
	}
	for _, b := range beats {
		m.Signs[b.Name] = b
	}
	var found []Finding
	for _, c := range w.Checks {
		f, err := c.Look(ctx, m)
		if err != nil {
			return fmt.Errorf("look for trouble: %w", err)
		}
		found = append(found, f...)
	}
	if err := w.tell(ctx, found, now); err != nil {
		return err
	}
	w.note(found, now)
	return nil
}

// tell opens what is new and closes what is over.
func (w *Watchdog) tell(ctx context.Context, found []Finding, now time.Time) error {
	open, err := w.Memory.Troubles(ctx)
	if err != nil {
		return err
	}
	for _, f := range found {
		told := slices.ContainsFunc(open, func(t runbook.Trouble) bool { return t.Key == f.Key })
		if told || f.Severity == "" {
			continue
		}
		if _, err := w.Memory.Complain(ctx, f.Key, f.Since, f.escalation(now), f.text(now)); err != nil {
			return err
		}
		w.Log.WarnContext(ctx, "trouble", "key", f.Key, "title", f.Title, "since", f.Since, "found", f.Found)
	}
	for _, t := range open {
		if slices.ContainsFunc(found, func(f Finding) bool { return f.Key == t.Key }) {
			continue
		}
		lasted := now.Sub(t.Since)
		if err := w.Memory.Recover(ctx, t.Key, fmt.Sprintf("Recovered after %s.", runbook.Short(lasted)), now); err != nil {
			return err
		}
		w.Log.InfoContext(ctx, "trouble is over", "key", t.Key, "lasted", lasted.Round(time.Second))
	}
	return nil
}

func (f Finding) escalation(now time.Time) runbook.Escalation {
	return runbook.Escalation{
		Title: "Watchkeeper: " + f.Title, Severity: f.Severity, Env: cmp.Or(f.Env, runbook.EnvUnknown), Cluster: f.Cluster,
		Impact: f.Impact, Found: f.Found, Recommend: f.Recommend, Default: f.Default, OpenedBy: "watchdog", OpenedAt: now,
	}
}

// text is the finding for whoever sees no card.
func (f Finding) text(now time.Time) string {
	return fmt.Sprintf("Watchkeeper: %s, for %s.\n%s\n%s\n%s", f.Title, runbook.Short(now.Sub(f.Since)), f.Found, f.Impact, f.Recommend)
}

// note keeps what the monitor outside is to hear.
func (w *Watchdog) note(found []Finding, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked, w.unwell = now, nil
	for _, f := range found {
		if f.Ours {
			w.unwell = append(w.unwell, f.Title+": "+f.Found)
		}
	}
}

// Unwell returns what is wrong with Watchkeeper itself; nothing if all is well.
// It is safe for concurrent use, and does not ask the memory: a memory that
// hangs is what it must be able to tell.
func (w *Watchdog) Unwell(now time.Time) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if late := now.Sub(w.looked); late > lateAfter {
		return []string{"the memory has not answered for " + runbook.Short(late)}
	}
	return w.unwell
}

// remember counts how long the memory fails. People are told by a cry, since
// the outbox is in the memory too.
func (w *Watchdog) remember(ctx context.Context, err error, now time.Time) {
	if err == nil {
		if !w.cried.IsZero() {
			w.cry(ctx, fmt.Sprintf("Watchkeeper's memory works again, after %s. What senders repeated meanwhile is being looked at.", runbook.Short(now.Sub(w.failing))))
		}
		w.failing, w.cried = time.Time{}, time.Time{}
		return
	}
	w.Log.ErrorContext(ctx, "watchdog failed", "err", err)
	if w.failing.IsZero() {
		w.failing = now
	}
	if now.Sub(w.failing) < cryAfter || !w.cried.IsZero() && now.Sub(w.cried) < cryAgain {
		return
	}
	w.cried = now
	w.cry(ctx, fmt.Sprintf("Watchkeeper's memory has failed for %s: %v\nAlerts are refused with 503, and senders try again. Look at the machine now: "+
		"disk space, permissions of the state directory, watchkeeper doctor.", runbook.Short(now.Sub(w.failing)), err))
}

func (w *Watchdog) cry(ctx context.Context, text string) {
	if w.Cry == nil {
		return
	}
	if err := w.Cry(ctx, text); err != nil && ctx.Err() == nil {
		w.Log.ErrorContext(ctx, "people not reached", "err", err)
	}
}

// sleep returns after d or when ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
