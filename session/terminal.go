package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Channels says how a session in channels mode is run, besides its [Command].
type Channels struct {
	Dir      string    // absolute; the folder for our files, readable by nobody else
	Servers  []Channel // that are channels
	Observer []string  // a program and its arguments that calls [Note] with the file at [Channels.Notes]
	Env      []string  // more variables of the session

	// Health says how the servers do once they are registered; nil says that
	// all are connected. The CLI cannot be asked in this mode.
	Health func() []ServerStatus

	StartWithin time.Duration // until all are registered; 1 minute
	AnswerAfter time.Duration // a dialog that nobody knows is given up; 10 seconds
}

// A Channel is a server that pushes events into the session.
type Channel struct {
	Name  string // as in the MCP configuration
	Probe string // a tool of it that changes nothing
}

func (c Channels) names() []string {
	var all []string
	for _, ch := range c.Servers {
		all = append(all, ch.Name)
	}
	return all
}

// Notes is the file in which the hooks of the session leave their notes.
func (c Channels) Notes() string { return filepath.Join(c.Dir, "notes.jsonl") }

func (c Channels) debug() string    { return filepath.Join(c.Dir, "debug.log") }
func (c Channels) settings() string { return filepath.Join(c.Dir, "settings.json") }

// Unavailable means that channels cannot work now, and why. The CLI may be
// well otherwise.
type Unavailable struct {
	Reason string
	Screen string // what the terminal showed; "" if that says nothing
}

// Error implements error.
func (u *Unavailable) Error() string { return u.Reason }

const (
	terminalLook  = 100 * time.Millisecond // at the files and at the process
	screenLook    = 300 * time.Millisecond // at the screen, which costs a process
	takenWithin   = 10 * time.Second       // for a message
	startWithin   = 30 * time.Second       // for tmux, and the end of an earlier terminal
	connectWithin = 10 * time.Second       // of the other servers, after the channels
	maxReconnect  = 3                      // in a row, for one server
)

// A Terminal is one interactive process of the CLI, in a terminal of its own
// (tmux) that people can look at. Events come to it from the servers that are
// channels; what we send ourselves is typed. Its methods are safe for
// concurrent use.
//
// Three documented things are read, never the conversation on the screen: the
// debug log says whether the channels are registered, hooks say what happens in
// a turn, and the screen is looked at for the first dialogs.
type Terminal struct {
	cfg     Channels
	command Command
	observe func(Output)
	log     *slog.Logger
	tmux    tmux
	pid     int

	open    chan struct{} // closed when messages are taken
	gone    chan struct{} // closed when none are
	leaving sync.Once
	why     error      // set before gone is closed; nil if it was asked for
	typing  sync.Mutex // one message at a time

	notes, debug follower

	mu         sync.Mutex
	seen       noteReader
	registered map[string]bool
	pending    map[string]bool // servers that are being connected
	since      time.Time       // when the channels were registered
	reconnects map[string]int
	last       string // of the screen, when the process had ended
}

// StartTerminal starts the process. The caller must call [Terminal.Run], which
// ends it. A terminal that is left of an earlier keeper, which was killed, is
// ended first. The error is an [Unavailable] where there is no tmux.
func StartTerminal(c Command, ch Channels, o Options) (*Terminal, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startWithin)
	defer cancel()
	ch.StartWithin = cmp.Or(ch.StartWithin, time.Minute)
	ch.AnswerAfter = cmp.Or(ch.AnswerAfter, 10*time.Second)
	c.Env = append(slices.Clip(c.Env), ch.Env...)
	t := &Terminal{
		cfg: ch, command: c, observe: o.Observe, log: o.Log, tmux: tmux{dir: ch.Dir, env: c.Env},
		open: make(chan struct{}), gone: make(chan struct{}),
		notes: follower{path: ch.Notes()}, debug: follower{path: ch.debug()},
		registered: map[string]bool{}, pending: map[string]bool{}, reconnects: map[string]int{},
	}
	if t.observe == nil {
		t.observe = func(Output) {}
	}
	if err := t.prepare(ctx); err != nil {
		return nil, err
	}
	path, err := exec.LookPath(c.Path)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	t.command.Settings = ch.settings()
	argv := append([]string{path}, t.command.interactiveArgs(ch.debug(), ch.names())...)
	if t.pid, err = t.tmux.open(ctx, c.Dir, argv...); err != nil {
		return nil, fmt.Errorf("start %s in a terminal: %w", c.Path, errors.Join(err, t.tmux.close(ctx)))
	}
	return t, nil
}

// EndTerminal ends the terminal that a keeper which was killed has left in the
// folder dir, see [Channels]. It does nothing where there is none.
func EndTerminal(ctx context.Context, dir string) error {
	if err := (tmux{dir: dir}).close(ctx); err != nil {
		return fmt.Errorf("end the terminal of an earlier session: %w", err)
	}
	return nil
}

// prepare writes the files of a session, and removes those of the last one.
func (t *Terminal) prepare(ctx context.Context) error {
	if _, err := exec.LookPath("tmux"); err != nil {
		return &Unavailable{Reason: "there is no tmux; install it (apt-get install tmux)"}
	}
	if err := os.MkdirAll(t.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("prepare a terminal: %w", err)
	}
	if err := EndTerminal(ctx, t.cfg.Dir); err != nil {
		return err
	}
	for _, f := range []string{t.notes.path, t.debug.path} {
		if err := os.Remove(f); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("prepare a terminal: %w", err)
		}
	}
	text, err := hookSettings(t.command.Settings, t.cfg.Observer)
	if err == nil {
		err = writeFile(t.cfg.settings(), text)
	}
	if err != nil {
		return fmt.Errorf("write the settings of the session: %w", err)
	}
	if err := trust(t.command.claudeConfig(), t.command.Dir); err != nil {
		t.log.WarnContext(ctx, "folder not marked as trusted, the CLI will ask", "err", err)
	}
	return nil
}

// Mode implements [Process].
func (t *Terminal) Mode() string { return "channels" }

// PID returns the process of the CLI.
func (t *Terminal) PID() int { return t.pid }

// Stderr returns the last lines on the screen of a process that has ended.
func (t *Terminal) Stderr() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// Run looks after the process until it ends or ctx is done; then it is ended
// in order. It returns nil if that was asked for, an [Unavailable] if the
// channels do not register or no longer are, and an [End] for what the screen
// says.
func (t *Terminal) Run(ctx context.Context) error {
	err := t.start(ctx)
	if err == nil && ctx.Err() == nil {
		close(t.open)
		err = t.keep(ctx)
	}
	t.leave(err)
	if closed := t.tmux.close(ctx); closed != nil {
		t.log.WarnContext(ctx, "terminal not closed", "err", closed)
	}
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was asked for
	}
	return err
}

// leave takes no more messages.
func (t *Terminal) leave(why error) {
	t.leaving.Do(func() {
		t.why = why
		close(t.gone)
	})
}

// start passes the dialogs and waits until every channel is registered. A CLI
// that ends before has not taken the channels: another mode may fare better.
func (t *Terminal) start(ctx context.Context) error {
	guide := &guide{terminal: t, known: dialogs(t.command.Dir, t.cfg.names()), began: time.Now()}
	for ctx.Err() == nil {
		if err := t.look(ctx); errors.Is(err, errEnded) {
			return &Unavailable{Reason: "Claude Code ended before it registered the channels: " + err.Error(), Screen: t.Stderr()}
		} else if err != nil {
			return err
		}
		if t.isReady() {
			return nil
		}
		if err := guide.step(ctx); err != nil {
			return err
		}
		t.rest(ctx, terminalLook)
	}
	return nil
}

// keep watches a session that is at work.
func (t *Terminal) keep(ctx context.Context) error {
	for {
		if err := t.look(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.gone:
			return t.why
		case <-time.After(terminalLook):
		}
	}
}

func (t *Terminal) rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
