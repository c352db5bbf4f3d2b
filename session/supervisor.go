package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// ErrNoSession means that no session takes events now.
var ErrNoSession = errors.New("no session is up")

// A Process is one running session: a [Stream] or a [Terminal].
type Process interface {
	Mode() string // "stream" or "channels"
	Send(ctx context.Context, text string) error
	Run(ctx context.Context) error
	Servers(ctx context.Context) ([]ServerStatus, error)
	Reconnect(ctx context.Context, server string) error
	Stderr() string
	PID() int
}

// Config is what a [Supervisor] needs. Durations of 0 are the defaults.
type Config struct {
	Command  Command
	Store    Store
	Log      *slog.Logger
	Briefing func(ctx context.Context) (string, error) // the first message of every session

	Approver   Approver                        // nil is [DenyAll]
	Transcript *Transcript                     // nil keeps none
	Observe    func(o Output)                  // sees all output, in order; must not block; may be nil
	OnChange   func(s State)                   // called when Phase or Cause changes; must not block, nor call Push or Restart; may be nil
	Drain      func(ctx context.Context) error // waits for work under way, before a restart; may be nil

	// Unheard returns what was pushed to a session and should have been claimed
	// by now, for people; "" for nothing. nil asks nobody.
	Unheard func(ctx context.Context, session int64) (string, error)
	// Asking reports whether a person is being asked for a permission: the
	// session waits for as long as they need. nil asks nobody.
	Asking func(ctx context.Context) (bool, error)

	Healthy    time.Duration // after that long a session has not crashed at start; 5 minutes
	LoginRetry time.Duration // between two tries while logged out; 5 minutes
	CLIRetry   time.Duration // between two tries while there is no CLI; 1 minute
	QuotaRetry time.Duration // while the quota is gone and nobody said until when; 10 minutes
	MissRetry  time.Duration // after channels were unavailable; 0 is at once, for a [Choice] that falls back
	Probe      time.Duration // between two looks whether the CLI answers; 30 seconds

	Launch func(c Command, o Options) (Process, error) // nil starts a [Stream]
}

// A Supervisor keeps one session alive. Its methods are safe for concurrent
// use.
type Supervisor struct {
	cfg     Config
	wake    chan struct{} // ends a pause
	telling sync.Mutex    // held during a change of state and its callback

	mu       sync.Mutex
	state    State
	changed  chan struct{} // closed and replaced when state changes
	process  Process
	end      context.CancelCauseFunc // ends the session; nil while there is none
	limit    Limit                   // the last news of it
	failures int                     // failed turns in a row
	failed   chan struct{}           // a turn failed
}

// NewSupervisor returns a Supervisor. It does nothing until Run is called.
func NewSupervisor(c Config) *Supervisor {
	c.Healthy = cmp.Or(c.Healthy, 5*time.Minute)
	c.LoginRetry = cmp.Or(c.LoginRetry, 5*time.Minute)
	c.CLIRetry = cmp.Or(c.CLIRetry, time.Minute)
	c.QuotaRetry = cmp.Or(c.QuotaRetry, 10*time.Minute)
	c.Probe = cmp.Or(c.Probe, 30*time.Second)
	if c.Launch == nil {
		c.Launch = func(c Command, o Options) (Process, error) { return Start(c, o) }
	}
	return &Supervisor{
		cfg: c, wake: make(chan struct{}, 1), changed: make(chan struct{}), failed: make(chan struct{}, 1),
		state: State{Phase: Stopped, Since: time.Now().UTC()},
	}
}

// Run keeps a session alive until ctx is done, and returns nil then: it
// retries failures instead of returning them.
func (s *Supervisor) Run(ctx context.Context) error {
	pause := &backoff.ExponentialBackOff{InitialInterval: time.Second, RandomizationFactor: 0.3, Multiplier: 2, MaxInterval: 5 * time.Minute}
	pause.Reset()
	for ctx.Err() == nil {
		lasted, end := s.session(ctx)
		if ctx.Err() != nil {
			break
		}
		if lasted >= s.cfg.Healthy && !end.ill() {
			pause.Reset()
		}
		wait := s.pause(end, pause)
		s.log(ctx, end, wait)
		s.change(func(st *State) {
			*st = State{Phase: Waiting, Cause: end.Cause, Detail: end.Detail, RetryAt: time.Now().Add(wait).UTC()}
		})
		s.rest(ctx, wait)
	}
	s.change(func(st *State) { *st = State{Phase: Stopped, Cause: Ended} })
	return nil //nolint:nilerr // how the last session ended is in the store
}

// pause is how long to wait after end.
func (s *Supervisor) pause(end End, b *backoff.ExponentialBackOff) time.Duration {
	jitter := func(d time.Duration) time.Duration { return d + rand.N(max(d/10, time.Millisecond)) }
	switch end.Cause {
	case Restarted:
		return 0
	case LoggedOut:
		return jitter(s.cfg.LoginRetry)
	case NoCLI:
		return jitter(s.cfg.CLIRetry)
	case NoChannels:
		return jitter(s.cfg.MissRetry)
	case OutOfQuota:
		if until := time.Until(end.RetryAt); until > 0 {
			return until + rand.N(30*time.Second) // not all at the same second
		}
		return jitter(s.cfg.QuotaRetry)
	}
	return b.NextBackOff()
}

func (s *Supervisor) log(ctx context.Context, end End, wait time.Duration) {
	level := slog.LevelWarn
	if end.Cause == Restarted || end.Cause == NoChannels { // whoever chose channels says why there are none
		level = slog.LevelInfo
	}
	s.cfg.Log.Log(ctx, level, "session ended", "cause", end.Cause, "detail", end.Detail, "retry_after", wait.Round(time.Millisecond))
}

func (s *Supervisor) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-s.wake:
	case <-timer.C:
	}
}

// session runs one session from start to end, and says how long it was up.
func (s *Supervisor) session(parent context.Context) (lasted time.Duration, end End) {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	s.begin(cancel)
	began := time.Now()
	p, err := s.cfg.Launch(s.cfg.Command, Options{Approver: s.cfg.Approver, Observe: s.observe, Transcript: s.cfg.Transcript, Log: s.cfg.Log})
	if err != nil {
		return 0, notStarted(err)
	}
	var parts sync.WaitGroup
	id, err := s.cfg.Store.StartSession(ctx, p.Mode(), p.PID())
	if err != nil {
		cancel(End{Cause: Crashed, Detail: fmt.Sprintf("session not recorded: %v", err)})
	} else {
		s.adopt(p, id)
		parts.Go(func() { s.attend(ctx, p) })
	}
	err = p.Run(ctx)
	end = ending(ctx, parent, err, p.Stderr())
	cancel(end)
	parts.Wait()
	s.mu.Lock()
	s.process, s.end = nil, nil
	s.mu.Unlock()
	if id != 0 {
		s.record(parent, id, end)
	}
	return time.Since(began), end
}

// record writes the end down, also while everything shuts down.
func (s *Supervisor) record(ctx context.Context, id int64, end End) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.cfg.Store.EndSession(ctx, id, end.Error()); err != nil {
		s.cfg.Log.ErrorContext(ctx, "end of the session not recorded", "session", id, "err", err)
	}
}

// notStarted tells a program that is not there from other trouble.
func notStarted(err error) End {
	cause := Crashed
	if _, miss := errors.AsType[*Unavailable](err); miss {
		cause = NoChannels
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, exec.ErrNotFound) {
		cause = NoCLI
	}
	return End{Cause: cause, Detail: err.Error()}
}

// ending says why a process ended: as it was told, because we shut down, or by
// itself.
func ending(ctx, parent context.Context, err error, stderr string) End {
	var told End
	var miss *Unavailable
	switch {
	case errors.As(context.Cause(ctx), &told):
		return told
	case parent.Err() != nil:
		return End{Cause: Ended}
	case errors.As(err, &told):
		return told
	case errors.As(err, &miss):
		return End{Cause: NoChannels, Detail: miss.Reason}
	case errors.Is(err, ErrNotReading):
		return End{Cause: Hung, Detail: err.Error()}
	}
	detail := "the process ended"
	if err != nil {
		detail = err.Error()
	}
	if lines := strings.Split(strings.TrimSpace(stderr), "\n"); lines[0] != "" {
		detail += ": " + lines[len(lines)-1]
	}
	return End{Cause: Crashed, Detail: detail}
}
