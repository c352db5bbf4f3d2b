package claude_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root returns a path at the top of the source.
func root(t *testing.T, name ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{"..", ".."}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// claudeCommand runs a subcommand of the real CLI and returns what it says.
func claudeCommand(t *testing.T, dir string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(within(t), cli(t), args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("claude %q: %v: %s", args, err, out)
	}
	return string(out)
}

// pluginFolder is the plugin as it is handed out: manifests, servers, programs.
func pluginFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{".claude-plugin", ".mcp.json"} {
		copyTree(t, root(t, part), filepath.Join(dir, part))
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"watchkeeper", "webhook-channel", "slack-channel", "sre-tools"} {
		if err := os.Symlink(binary(t, name), filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPluginIsValid(t *testing.T) {
	env := environment(t, "http://127.0.0.1:1")
	dir := pluginFolder(t)
	for _, args := range [][]string{
		{"--strict", dir},
		{"--strict", filepath.Join(dir, ".claude-plugin", "marketplace.json")},
		{root(t)}, // the source too, where CLAUDE.md earns a warning
	} {
		out := claudeCommand(t, t.TempDir(), env, append([]string{"plugin", "validate"}, args...)...)
		if !strings.Contains(out, "Validation passed") {
			t.Errorf("claude plugin validate %q says:\n%s", args, out)
		}
	}
}

func TestPluginConnectsItsServers(t *testing.T) {
	_, api := model(t)
	env := environment(t, api, "ANTHROPIC_AUTH_TOKEN=dummy", "TERM=xterm-256color", "WATCHKEEPER_STATE="+t.TempDir())
	dir := t.TempDir()
	write(t, dir, "watchkeeper.yaml", "listen: "+freePort(t)+"\n")
	claudeCommand(t, dir, env, "plugin", "marketplace", "add", pluginFolder(t))
	claudeCommand(t, dir, env, "plugin", "install", "watchkeeper@watchkeeper")
	out := claudeCommand(t, dir, env, "mcp", "list")
	for _, name := range []string{"webhook", "slack", "sre-tools"} {
		if line := lineWith(out, "plugin:watchkeeper:"+name+":"); !strings.Contains(line, "Connected") {
			t.Errorf("server %s: %q in\n%s", name, line, out)
		}
	}
}

func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// byHand is launch.sh in the workspace of a house, with a state directory and a
// port of its own or those of the house.
func byHand(t *testing.T, dir string, env []string) tmux {
	t.Helper()
	binary(t, "webhook-channel")
	return inTerminal(t, dir, append(env, "TERM=xterm-256color"), root(t, "launch.sh"))
}

// workspace is a folder with everything that a session needs, and a house that
// is not at work.
func workspace(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), state: filepath.Join(t.TempDir(), "state"), listen: freePort(t), log: &output{t: t}, done: make(chan error)}
	for _, part := range []string{"CLAUDE.md", ".claude", "playbooks"} {
		copyTree(t, root(t, part), filepath.Join(h.dir, part))
	}
	write(t, h.dir, "watchkeeper.yaml", "listen: "+h.listen+"\n")
	return h
}

func TestLaunchByHandServesWithTheRealCLI(t *testing.T) {
	script, api := model(t)
	h := workspace(t)
	h.env = append(environment(t, api, "ANTHROPIC_AUTH_TOKEN=dummy", "CLAUDE="+cli(t), "WATCHKEEPER_STATE="+h.state), "HOME="+trusted(t, h.dir))
	byHand(t, h.dir, h.env)
	debug := ""
	h.poll("servers", func() bool {
		text, _ := os.ReadFile(filepath.Join(h.state, "claude-debug.log"))
		debug = string(text)
		return strings.Count(debug, "Successfully connected") == 3 && strings.Count(debug, "Channel notifications") >= 2
	})
	for _, bad := range []string{"did not declare", "modern protocol revision", "not in --channels list"} {
		for _, server := range []string{"webhook", "slack"} {
			if line := lineWith(debug, `MCP server "`+server+`": Channel`); strings.Contains(line, bad) {
				t.Errorf("the CLI refuses %s: %s", server, line)
			}
		}
	}
	h.pushedBy("webhook-channel")
	for part, program := range map[string]string{"intake": "webhook-channel", "watchdog": "webhook-channel", "escalator": "slack-channel", "talk": "slack-channel"} {
		if who := h.status().Parts[part]; who == nil || who.Program != program {
			t.Errorf("%s is hosted by %+v, want %s", part, who, program)
		}
	}
	h.post(payload(t))
	if all := h.history(); len(all) != 1 || all[0].Alert != crashLoop {
		t.Errorf("history = %+v, want the alert", all)
	}
	h.poll("first message", func() bool {
		for _, r := range script.Requests() {
			if strings.Contains(r.Conversation(), "You are on duty.") && strings.Contains(r.System(), "# Watchkeeper: the runbook") {
				return true
			}
		}
		return false
	})
}
