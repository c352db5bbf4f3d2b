package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"time"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/runbook"
	"watchkeeper/secret"
	"watchkeeper/session"
	"watchkeeper/state"
)

const (
	// missRetry is the pause before channels are tried again, where the
	// operator wants them and nothing else.
	missRetry = 5 * time.Minute
	// takeOver is how long the servers have to take the locks that this process
	// lets go.
	takeOver = 10 * time.Second
)

// A floor says who speaks to the session: this process, or, in channels mode,
// the session's own servers. It gives them the floor when the channels are
// registered and the session takes events, and takes it back when it drains or
// ends.
type floor struct {
	house *house.House

	mu    sync.Mutex
	token string    // of the newest session in channels mode
	given time.Time // when the servers got the floor; zero while it is ours
	miss  string    // why there were no channels, the last time
	news  chan string
}

func newFloor(h *house.House) *floor { return &floor{house: h, news: make(chan string, 1)} }

// Run keeps what the status says of the channels, until ctx is done.
func (f *floor) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case text := <-f.news:
			if err := f.house.Store.Beat(ctx, "channels", text); err != nil && ctx.Err() == nil {
				f.house.Log.ErrorContext(ctx, "state of the channels not recorded", "err", err)
			}
		}
	}
}

// say replaces what Run has not recorded yet.
func (f *floor) say(text string) {
	select {
	case <-f.news:
	default:
	}
	select {
	case f.news <- text:
	default:
	}
}

// channels are those of the next session.
func (f *floor) channels() session.Channels {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token = rand.Text()
	c := session.Channels{
		Dir: f.house.Dir.Path("session"), Health: f.health, Env: []string{house.ListenerVariable + "=" + f.token},
		Servers: []session.Channel{{Name: "webhook", Probe: "pending_events"}, {Name: "slack", Probe: "list_escalations"}},
	}
	self, err := os.Executable()
	if err != nil {
		self = "watchkeeper" // in the PATH, then
	}
	c.Observer = []string{self, "note", c.Notes()}
	return c
}

// changed follows the session.
func (f *floor) changed(s session.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	give := s.Mode == "channels" && s.Phase == session.Up
	if give == !f.given.IsZero() {
		return
	}
	if !give {
		f.take()
		return
	}
	if err := f.house.Dir.SetListener(f.token); err != nil {
		f.house.Log.Error("the session's servers cannot be told to push", "err", err)
		return // we push nothing either; the watchdog pages
	}
	f.given, f.miss = time.Now(), ""
	f.say("registered")
}

// clear ends what a keeper that was killed has left: a session in its terminal,
// which would go on with servers that push into it.
func (f *floor) clear(ctx context.Context) {
	f.take()
	if err := session.EndTerminal(ctx, f.house.Dir.Path("session")); err != nil {
		f.house.Log.ErrorContext(ctx, "an earlier session may still run", "err", err)
	}
}

// take takes the floor back.
func (f *floor) take() {
	f.given = time.Time{}
	if err := f.house.Dir.SetListener(""); err != nil {
		f.house.Log.Error("the session's servers cannot be told to stop", "err", err)
	}
}

// ours reports whether this process is the one that pushes.
func (f *floor) ours() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.given.IsZero()
}

// health tells servers that push from those that are gone: nobody holds their
// lock then.
func (f *floor) health() []session.ServerStatus {
	f.mu.Lock()
	given := f.given
	f.mu.Unlock()
	status := func(name string, part state.Part) session.ServerStatus {
		if _, held := f.house.Dir.Holder(part); !held && !given.IsZero() && time.Since(given) > takeOver {
			return session.ServerStatus{Name: name, Status: "failed", Error: "it does not push"}
		}
		return session.ServerStatus{Name: name, Status: "connected"}
	}
	return []session.ServerStatus{status("webhook", state.Pump), status("slack", state.Talk)}
}

// missed says once why there are no channels: in the log, in the status, and to
// people if the CLI asks something that only they can answer.
func (f *floor) missed(ctx context.Context, u *session.Unavailable) {
	f.mu.Lock()
	again := f.miss == u.Reason
	f.miss = u.Reason
	f.mu.Unlock()
	now := time.Now()
	f.say("unavailable: " + u.Reason)
	if again {
		return
	}
	f.house.Log.WarnContext(ctx, "no channels", "why", u.Reason, "fallback", f.fallback(), "screen", secret.Redact(u.Screen))
	if u.Screen == "" {
		return
	}
	text := fmt.Sprintf("The session does not run in channels mode: %s. %s It showed:\n```\n%s\n```\nTo answer it, run claude by hand in %s.",
		u.Reason, f.fallback(), secret.Redact(u.Screen), f.house.Workspace)
	err := f.house.Store.Send(ctx, runbook.Message{Key: fmt.Sprintf("channels:%d", now.UnixMilli()), Kind: "message", Text: text, CreatedAt: now})
	if err != nil {
		f.house.Log.ErrorContext(ctx, "lack of channels not told", "err", err)
	}
}

func (f *floor) fallback() string {
	if f.house.Config.Session.Mode == "auto" {
		return "It goes on in stream mode, which does the same work."
	}
	return "It is tried again every few minutes; session.mode: auto would go on in stream mode."
}

// launch adds to c how sessions are started in the mode of the configuration.
func (f *floor) launch(c *session.Config) {
	c.OnChange = f.changed
	mode := f.house.Config.Session.Mode
	if mode == "stream" {
		return
	}
	choice := &session.Choice{Channels: f.channels, Fallback: mode == "auto", OnMiss: f.missed}
	c.Launch = choice.Launch
	if !choice.Fallback {
		c.MissRetry = missRetry
	}
}
