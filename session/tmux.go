package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pane is the CLI's, also if a person opens more windows beside it.
const pane = "watchkeeper:0.0"

// tmuxConfig keeps the last screen of a CLI that has ended, and tells a person
// how to leave.
const tmuxConfig = `set -g remain-on-exit on
set -g history-limit 5000
set -g focus-events on
set -g status-left "[watchkeeper] "
set -g status-left-length 20
set -g status-right "Ctrl-b d leaves; the session goes on"
set -g status-right-length 60
`

// tmux is a terminal server of our own, with one window for the CLI. The zero
// value is none.
type tmux struct {
	dir string   // absolute; where its socket is
	env []string // of everything that is started
}

// socket is relative to dir, because the path of a socket may not be longer
// than about a hundred characters.
const socket = "tmux.sock"

func (m tmux) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "tmux", append([]string{"-u", "-S", socket, "-f", filepath.Join(m.dir, "tmux.conf")}, args...)...)
	cmd.Dir, cmd.Env = m.dir, m.env
	return cmd
}

func (m tmux) run(ctx context.Context, args ...string) (string, error) {
	out, err := m.command(ctx, args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		err = errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return "", fmt.Errorf("tmux %s: %w", args[0], err)
	}
	return string(out), nil
}

// open starts the server, and in it the program argv in the folder dir. It
// returns the process of the program.
func (m tmux) open(ctx context.Context, dir string, argv ...string) (pid int, err error) {
	if err := writeFile(filepath.Join(m.dir, "tmux.conf"), []byte(tmuxConfig)); err != nil {
		return 0, err
	}
	args := append([]string{"new-session", "-d", "-s", "watchkeeper", "-x", "160", "-y", "50", "-c", dir, "--"}, argv...)
	if _, err := m.run(ctx, args...); err != nil {
		return 0, err
	}
	return m.pid(ctx)
}

// pid returns the process in the pane; an error if there is no server.
func (m tmux) pid(ctx context.Context) (int, error) {
	return m.number(ctx, "#{pane_pid}")
}

func (m tmux) number(ctx context.Context, format string) (int, error) {
	out, err := m.run(ctx, "display-message", "-p", "-t", pane, format)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(out))
}

// end says how the program ended: "exit status 3" or "signal 9"; "" where
// nobody knows.
func (m tmux) end(ctx context.Context) (string, error) {
	out, err := m.run(ctx, "display-message", "-p", "-t", pane, "#{pane_dead},#{pane_dead_status},#{pane_dead_signal}")
	if err != nil {
		return "", err
	}
	f := strings.Split(strings.TrimSpace(out), ",")
	switch {
	case len(f) != 3 || f[0] != "1" || f[1]+f[2] == "":
		return "", nil
	case f[2] != "":
		return "signal " + f[2], nil
	}
	return "exit status " + f[1], nil
}

// screen returns what the terminal shows.
func (m tmux) screen(ctx context.Context) (string, error) {
	return m.run(ctx, "capture-pane", "-p", "-t", pane)
}

// remains returns what a program that has ended left on the screen. tmux has
// pushed a line of it up, to say below that the pane is dead.
func (m tmux) remains(ctx context.Context) (string, error) {
	return m.run(ctx, "capture-pane", "-p", "-S", "-1", "-t", pane)
}

// keys presses keys by their names, such as Enter.
func (m tmux) keys(ctx context.Context, names ...string) error {
	_, err := m.run(ctx, append([]string{"send-keys", "-t", pane}, names...)...)
	return err
}

// write types text as it is. It must hold no line break: that would send it.
func (m tmux) write(ctx context.Context, text string) error {
	_, err := m.run(ctx, "send-keys", "-t", pane, "-l", "--", text)
	return err
}

// paste inserts text, which may have many lines, without sending it.
func (m tmux) paste(ctx context.Context, text string) error {
	load := m.command(ctx, "load-buffer", "-b", "message", "-")
	load.Stdin = strings.NewReader(text)
	if err := load.Run(); err != nil {
		return fmt.Errorf("tmux load-buffer: %w", err)
	}
	_, err := m.run(ctx, "paste-buffer", "-p", "-d", "-b", "message", "-t", pane)
	return err
}

// close ends the program in order, then what is left of it by force, then the
// server, also when ctx is done. It does nothing where there is no server.
func (m tmux) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*(closeGrace+signalGrace+serverGrace))
	defer cancel()
	server, err := m.number(ctx, "#{pid}")
	if err != nil {
		return nil // there is no server, so nothing runs in it
	}
	if pid, err := m.pid(ctx); err == nil && pid > 0 {
		endGroup(pid)
	}
	_, err = m.run(ctx, "kill-server")
	awaitEnd(func() bool { return !alive(server) }, serverGrace) // or the next one would speak to it
	return err
}

// endGroup asks the process pid to end, which leads a group, waits for it and
// for the servers that it started, and kills what is left.
func endGroup(pid int) {
	syscall.Kill(pid, syscall.SIGTERM) //nolint:errcheck // it may just have ended
	awaitEnd(func() bool { return !alive(pid) }, closeGrace+signalGrace)
	awaitEnd(func() bool { return !alive(-pid) }, serverGrace)
	syscall.Kill(-pid, syscall.SIGKILL) //nolint:errcheck // it may just have ended
	awaitEnd(func() bool { return !alive(-pid) }, killGrace)
}

// alive reports whether the process pid, or the group -pid, runs. One that has
// ended and that nobody has asked for its status does not run: tmux forgets to,
// now and then.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil && !zombie(pid) }

// zombie reports whether the process has ended and waits for its parent; false
// where the system does not say.
func zombie(pid int) bool {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ") // after the name
	return strings.HasPrefix(rest, "Z")
}

func awaitEnd(ended func() bool, within time.Duration) {
	for deadline := time.Now().Add(within); !ended() && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
}

// AttachCommand returns the program that shows the terminal of a session in
// channels mode, and its arguments. It must be run in [Channels.Dir]. With
// watch no key reaches the session.
func AttachCommand(watch bool) (path string, argv []string, err error) {
	if path, err = exec.LookPath("tmux"); err != nil {
		return "", nil, fmt.Errorf("find tmux: %w", err)
	}
	argv = []string{"tmux", "-u", "-S", socket, "attach-session", "-t", pane}
	if watch {
		argv = append(argv, "-r")
	}
	return path, argv, nil
}
