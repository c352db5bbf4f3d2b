package claude_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tmux is a server of its own, with one window.
type tmux struct {
	t      *testing.T
	socket string
}

// interactive starts the CLI in tmux, as channels mode does, and returns the
// terminal and the debug file.
func interactive(t *testing.T, dir, config string, env []string, flags ...string) (tmux, string) {
	t.Helper()
	debug := filepath.Join(t.TempDir(), "debug.log")
	args := []string{cli(t), "--mcp-config", config, "--strict-mcp-config", "--permission-mode", "manual", "--debug-file", debug}
	return inTerminal(t, dir, env, append(args, flags...)...), debug
}

// inTerminal starts a program in a terminal.
func inTerminal(t *testing.T, dir string, env []string, argv ...string) tmux {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		missing(t, "no tmux: %v", err)
	}
	w := tmux{t, filepath.Join(t.TempDir(), "tmux.sock")}
	args := []string{"-u", "-S", w.socket, "-f", "/dev/null", "new-session", "-d", "-x", "160", "-y", "51", "-c", dir, "--"}
	cmd := exec.Command("tmux", append(args, argv...)...)
	cmd.Env = env
	t.Cleanup(w.close)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v: %s", err, out)
	}
	return w
}

func (w tmux) run(args ...string) string {
	out, err := exec.Command("tmux", append([]string{"-S", w.socket}, args...)...).CombinedOutput()
	if err != nil && w.t.Context().Err() == nil {
		w.t.Logf("tmux %s: %v: %s", args[0], err, out)
	}
	return string(out)
}

// close ends the terminal and waits for the CLI, which writes to its HOME until
// it is gone.
func (w tmux) close() {
	pid, err := strconv.Atoi(strings.TrimSpace(w.run("display-message", "-p", "#{pane_pid}")))
	w.run("kill-server")
	if err != nil {
		return // it is gone already
	}
	for end := time.Now().Add(5 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// trusted makes a HOME that has seen the first-run dialogs for dir, as
// ~/.claude.json records them.
func trusted(t *testing.T, dir string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"hasCompletedOnboarding": true, "theme": "dark",
		"projects": map[string]any{dir: map[string]any{"hasTrustDialogAccepted": true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	write(t, home, ".claude.json", string(text))
	return home
}

// debugLine waits for a line of the debug file that holds every one of words.
func debugLine(t *testing.T, w tmux, path string, words ...string) string {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	ctx := within(t)
	for {
		text, _ := os.ReadFile(path)
		for line := range strings.Lines(string(text)) {
			if containsAll(line, words) {
				return line
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("no line with %q in the debug file; on the screen:\n%s", words, w.run("capture-pane", "-p"))
		case <-tick.C:
		}
	}
}

func containsAll(s string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(s, w) {
			return false
		}
	}
	return true
}

// checkChannel asserts that server gets as far as the vendor's own switch.
func checkChannel(t *testing.T, w tmux, debug, server string) {
	t.Helper()
	line := debugLine(t, w, debug, `MCP server "`+server+`"`, "Channel notifications")
	if !strings.Contains(line, "channels feature is not currently available") && !strings.Contains(line, "registered") {
		t.Errorf("the CLI says of %s: %s", server, line)
	}
	for _, bad := range []string{"did not declare", "modern protocol revision"} {
		if strings.Contains(line, bad) {
			t.Errorf("the CLI refuses %s: %s", server, line)
		}
	}
}

func TestChannelServerIsAcceptedUpToTheVendorsSwitch(t *testing.T) {
	_, api := model(t)
	c := command(t, api) // its server is made as the channels are
	env := append(environment(t, api, "ANTHROPIC_AUTH_TOKEN=dummy", "TERM=xterm-256color"), "HOME="+trusted(t, c.Dir))
	w, debug := interactive(t, c.Dir, c.MCPConfig, env, "--dangerously-load-development-channels", "server:sre-tools")
	checkChannel(t, w, debug, "sre-tools")
}
