package slack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"watchkeeper/runbook"
)

// An Inbox is what the link needs of the memory.
type Inbox interface {
	Hear(ctx context.Context, h runbook.Heard) (bool, error)
	Unhandled(ctx context.Context) ([]runbook.Heard, error)
	Handled(ctx context.Context, id int64, now time.Time) error
	DeliverHeard(ctx context.Context, h runbook.Heard, kind runbook.EventKind, escalation int64, now time.Time) error
	StorePress(ctx context.Context, p runbook.Press) (bool, error)
	Presses(ctx context.Context) ([]runbook.Press, error)
	PressHandled(ctx context.Context, id int64, now time.Time) error
	EscalationsOfThread(ctx context.Context, channel, ts string) ([]runbook.Escalation, error)
	Escalations(ctx context.Context, states ...runbook.EscalationState) ([]runbook.Escalation, error)
	Send(ctx context.Context, m runbook.Message) error
	Note(ctx context.Context, name string) (string, error)
	SetNote(ctx context.Context, name, value string) error
	Beat(ctx context.Context, name, detail string) error
}

// Pauses of the link.
const (
	lastingFor   = time.Minute      // a connection that lives so long ends without blame
	longestPause = 2 * time.Minute  // between two attempts to connect
	rejectedFor  = 10 * time.Minute // before a rejected token is shown to Slack again
)

// A Link is the way from Slack to the memory: one Socket Mode connection, and
// the history for what it missed. Only the holder of the link's lock runs it.
// The fields are set before Run and not changed.
type Link struct {
	Memory  Inbox
	Client  *Client
	People  People
	Actions Actions // nil drops presses, and lets thread replies acknowledge nothing
	Answers Answers // nil knows no prompts
	Log     *slog.Logger

	Silence time.Duration // after which a connection is taken for dead; 0 is 30 s, Slack pings every few

	monitor monitor
	me      Identity // set before the first connection
	suspect bool     // hello counted a connection too many for the first time; of the goroutine that serves
	work    signal   // something is stored and wants handling
	gap     signal   // something may have been missed
}

// Health returns how the link stands. It is safe for concurrent use; another
// process reads the beat of [BeatName] instead.
func (l *Link) Health() Health { return l.monitor.health() }

// Run connects and stays connected until ctx is done, and returns nil then. A
// token that Slack rejects is shown as such by [Link.Health], logged as an
// error, and tried again only every ten minutes.
func (l *Link) Run(ctx context.Context) error {
	if l.Silence == 0 {
		l.Silence = pingWithin
	}
	l.work, l.gap = newSignal(), newSignal()
	l.monitor.become(Down, "starting")
	l.work.set() // what a process before us stored and did not handle
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { l.connect(ctx); return nil })
	g.Go(func() error { l.handle(ctx); return nil })
	g.Go(func() error { l.backfill(ctx); return nil })
	g.Go(func() error { l.monitor.beat(ctx, l.Memory, l.Log); return nil })
	return g.Wait()
}

// connect holds one connection after the other until ctx is done.
func (l *Link) connect(ctx context.Context) {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = time.Second, longestPause
	for ctx.Err() == nil {
		began := time.Now()
		err := l.connection(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) >= lastingFor {
			pauses.Reset()
		}
		pause := l.pause(err, time.Since(began), pauses)
		l.report(ctx, err, pause)
		sleep(ctx, pause)
	}
}

// pause returns how long to wait after a connection that ended with err. One
// that lived for a while is replaced soon; the others back off, because a
// server that hangs up at once would be called thousands of times a second.
func (l *Link) pause(err error, lived time.Duration, pauses *backoff.ExponentialBackOff) time.Duration {
	switch wait := retryAfter(err); {
	case isRejected(err):
		return rejectedFor
	case wait > 0:
		return wait
	case lived >= lastingFor:
		return rand.N(time.Second) //nolint:gosec // spreads reconnects, hides nothing
	}
	return pauses.NextBackOff()
}

// report says how the connection ended, once for each new reason.
func (l *Link) report(ctx context.Context, err error, pause time.Duration) {
	reason := "the connection ended"
	if err != nil {
		reason = l.Client.clean(err.Error())
	}
	if rejected, ok := errors.AsType[*RejectedError](err); ok {
		l.monitor.become(Rejected, rejected.Error())
		l.Log.ErrorContext(ctx, "slack rejects us, nobody can be reached", "err", reason, "retry_after", pause)
		return
	}
	news := l.monitor.become(Down, reason)
	level := slog.LevelDebug
	if news && !errors.Is(err, errRefresh) {
		level = slog.LevelWarn
	}
	l.Log.Log(ctx, level, "slack connection ended", "err", reason, "retry_after", pause.Round(time.Millisecond))
}

// identify asks once who we are, so that our own messages are known as such.
func (l *Link) identify(ctx context.Context) error {
	if l.me.User != "" {
		return nil
	}
	me, err := l.Client.Identify(ctx)
	if err != nil {
		return err
	}
	l.me = me
	return nil
}

// A signal wakes one waiter; setting it again before it is taken changes
// nothing.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

func (s signal) set() {
	select {
	case s <- struct{}{}:
	default:
	}
}

// wait returns when s is set, after d, or when ctx is done.
func (s signal) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-s:
	case <-t.C:
	}
}

// notice is a short text to a person who wrote to us, at most one under a key.
func (l *Link) notice(ctx context.Context, key, channel, thread, text string) error {
	err := l.Memory.Send(ctx, runbook.Message{
		Key: "notice:" + key, Kind: KindNotice, Channel: channel, Thread: thread, Text: text, CreatedAt: time.Now(),
	})
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}
