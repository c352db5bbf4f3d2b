package session

import (
	"context"
	"errors"
	"sync"
)

// A Choice starts sessions in channels mode. With Fallback it starts them in
// stream mode once channels have turned out to be unavailable, until somebody
// asks for a fresh session: then channels are tried again.
type Choice struct {
	Channels func() Channels // of the next session
	Fallback bool
	OnMiss   func(ctx context.Context, u *Unavailable) // called whenever channels are unavailable; may be nil

	mu     sync.Mutex
	missed bool
}

// Launch is for [Config].
func (c *Choice) Launch(command Command, o Options) (Process, error) {
	if c.streams() {
		return c.stream(command, o)
	}
	t, err := StartTerminal(command, c.Channels(), o)
	if err == nil {
		return attempt{t, c}, nil
	}
	if c.miss(context.Background(), err) && c.Fallback {
		return c.stream(command, o)
	}
	return nil, err
}

func (c *Choice) stream(command Command, o Options) (Process, error) {
	s, err := Start(command, o)
	if err != nil {
		return nil, err
	}
	return fallback{s, c}, nil
}

// miss notes that channels are unavailable, if that is what err says.
func (c *Choice) miss(ctx context.Context, err error) bool {
	var u *Unavailable
	if !errors.As(err, &u) {
		return false
	}
	c.set(c.Fallback)
	if c.OnMiss != nil {
		c.OnMiss(ctx, u)
	}
	return true
}

func (c *Choice) streams() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.missed
}

func (c *Choice) set(missed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missed = missed
}

// An attempt is a session in channels mode.
type attempt struct {
	*Terminal
	choice *Choice
}

// Run implements [Process].
func (a attempt) Run(ctx context.Context) error {
	err := a.Terminal.Run(ctx)
	a.choice.miss(context.WithoutCancel(ctx), err)
	return err
}

// A fallback is a session in stream mode in its stead.
type fallback struct {
	*Stream
	choice *Choice
}

// Run implements [Process].
func (f fallback) Run(ctx context.Context) error {
	err := f.Stream.Run(ctx)
	var end End
	if errors.As(context.Cause(ctx), &end) && end.Cause == Restarted {
		f.choice.set(false)
	}
	return err
}
