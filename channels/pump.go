package channels

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"watchkeeper/runbook"
)

// ErrNoSession means that nobody listens. The pump keeps the event.
var ErrNoSession = errors.New("no session listens")

// A Sink hands events to one session after another.
type Sink interface {
	// Session returns the number of the session that listens now, 0 while
	// none does. A new number means that the one before is gone.
	Session() int64
	// Push hands e over. A nil error does not mean that anybody read it.
	Push(ctx context.Context, e Event) error
}

// A Memory is what the pump needs of the store.
type Memory interface {
	Due(ctx context.Context, channel string, now time.Time, limit int) ([]runbook.Delivery, error)
	NextDue(ctx context.Context, channel string) (time.Time, error)
	Pending(ctx context.Context, channel string, now time.Time) (int, error)
	Digest(ctx context.Context, now time.Time) (int, error)
	Expire(ctx context.Context, channel string, now time.Time) error
	Requeue(ctx context.Context, channel string, session int64, now time.Time) error
	MarkPushed(ctx context.Context, id runbook.DeliveryID, session int64, now time.Time) error
}

// A Waiter wakes the pump when the memory changes.
type Waiter interface {
	Wait(ctx context.Context, d time.Duration) error
}

// A Pump moves the deliveries of one channel from the memory to a sink.
type Pump struct {
	Channel string // "webhook" or "slack"
	Memory  Memory
	Subject func(ctx context.Context, d runbook.Delivery) (Subject, error) // see [Reader.Subject]
	Sink    Sink
	Log     *slog.Logger

	session int64 // the last one that the memory was told of
}

const (
	// rest is the longest the pump sleeps: a session may come or go without a
	// change of the memory.
	rest = time.Second
	// lookOut is how soon the pump sees that a session has come.
	lookOut = 50 * time.Millisecond
	// calm is the shortest pause between two looks, so that a flood of alerts
	// costs a look now and then and not one for each of them.
	calm = 5 * time.Millisecond
	// retryAfter is the pause after the memory or the sink failed.
	retryAfter = 500 * time.Millisecond
	// pushAtOnce is how many events one look hands over.
	pushAtOnce = 20
)

// Run pushes events as they fall due, until ctx is done. It returns nil on
// shutdown; it retries failures instead of returning them.
func (p *Pump) Run(ctx context.Context, wait Waiter) error {
	for ctx.Err() == nil {
		next, err := p.Step(ctx)
		if err != nil && ctx.Err() == nil {
			level := slog.LevelError
			if errors.Is(err, ErrNoSession) {
				level = slog.LevelDebug
			}
			p.Log.Log(ctx, level, "pump failed", "channel", p.Channel, "err", err, "retry_after", retryAfter)
			next = retryAfter
			sleep(ctx, next) // a change of the memory must not make this a hot loop
			continue
		}
		sleep(ctx, calm)
		if err := wait.Wait(ctx, min(next, rest)); err != nil && ctx.Err() == nil {
			p.Log.ErrorContext(ctx, "memory cannot be watched", "err", err)
			sleep(ctx, retryAfter)
		}
	}
	return nil
}

// Step does what is due now and returns how long it is until the next deadline
// (at most [rest]).
func (p *Pump) Step(ctx context.Context) (time.Duration, error) {
	session := p.Sink.Session()
	if session == 0 {
		return lookOut, nil
	}
	now := time.Now()
	if session != p.session {
		if err := p.Memory.Requeue(ctx, p.Channel, session, now); err != nil {
			return 0, fmt.Errorf("requeue: %w", err)
		}
		p.session = session
	}
	storm, err := p.tidy(ctx, now)
	if err != nil {
		return 0, err
	}
	if err := p.pushDue(ctx, session, now, storm); err != nil {
		return 0, err
	}
	next, err := p.Memory.NextDue(ctx, p.Channel)
	if err != nil || next.IsZero() {
		return rest, err
	}
	return max(time.Until(next), 0), nil
}

// tidy queues again what was not claimed in time, and makes a digest of what
// is too much: then it reports a storm.
func (p *Pump) tidy(ctx context.Context, now time.Time) (storm bool, err error) {
	if err := p.Memory.Expire(ctx, p.Channel, now); err != nil {
		return false, fmt.Errorf("expire: %w", err)
	}
	if p.Channel != "webhook" {
		return false, nil
	}
	pending, err := p.Memory.Pending(ctx, p.Channel, now)
	if err != nil || pending <= runbook.StormAbove {
		return false, err
	}
	n, err := p.Memory.Digest(ctx, now)
	if n > 0 {
		p.Log.InfoContext(ctx, "storm digest", "events", n, "pending", pending)
	}
	return true, err
}

func (p *Pump) pushDue(ctx context.Context, session int64, now time.Time, storm bool) error {
	due, err := p.Memory.Due(ctx, p.Channel, now, pushAtOnce)
	if err != nil {
		return fmt.Errorf("look for events: %w", err)
	}
	for _, d := range due {
		if storm && d.Kind.Digested() {
			continue // it came after the digest was made, and is in the next one
		}
		s, err := p.Subject(ctx, d)
		if err != nil {
			return fmt.Errorf("read %s: %w", d.ID, err)
		}
		// Push before the mark: a crash in between pushes again, and loses
		// nothing.
		if err := p.Sink.Push(ctx, Render(s, now)); err != nil {
			return fmt.Errorf("push %s: %w", d.ID, err)
		}
		if err := p.Memory.MarkPushed(ctx, d.ID, session, time.Now()); err != nil {
			return fmt.Errorf("mark %s: %w", d.ID, err)
		}
		p.Log.DebugContext(ctx, "pushed", "delivery", d.ID.String(), "event", d.Kind, "push", d.Pushes+1)
	}
	return nil
}

// sleep returns after d or when ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
