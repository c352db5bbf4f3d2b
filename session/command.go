package session

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// defaultTools are the built-in tools that a session gets when a [Command]
// names none. Naming them is a wall that holds whatever the settings say: there
// is no Bash, Edit, Write or web access to permit. ToolSearch finds the
// deferred tools of the servers.
var defaultTools = []string{"Agent", "Read", "ToolSearch"}

// A Command says how the CLI is started.
type Command struct {
	Path      string   // of the CLI; a bare name is looked up in our own PATH
	Dir       string   // the workspace, with CLAUDE.md, .claude and playbooks
	Env       []string // the whole environment, see [Environ]
	MCPConfig string   // absolute path of the file that [WriteMCPConfig] wrote
	Settings  string   // absolute path of a settings file; "" passes none
	Model     string   // "" is the CLI's default
	Agents    string   // JSON of sub-agents that go before those of Dir; "" is none, see package agents
	Tools     []string // built-in tools; nil is Agent, Read and ToolSearch
	Extra     []string // more arguments, last
}

// Args returns the arguments of c in stream mode. They name every source of
// configuration, because a project's own servers and permissions are dropped in
// a folder that nobody has trusted by hand.
func (c Command) Args() []string {
	return append([]string{
		"-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose",
		"--permission-prompt-tool", "stdio",
	}, c.common()...)
}

// interactiveArgs returns the arguments of c in channels mode. debug is the
// file for the CLI's lines about servers; channels are the servers that push.
func (c Command) interactiveArgs(debug string, channels []string) []string {
	args := append([]string{"--debug=mcp", "--debug-file", debug}, c.common()...)
	if len(channels) > 0 {
		args = append(args, "--dangerously-load-development-channels") // last: it takes all that follows
	}
	for _, name := range channels {
		args = append(args, "server:"+name)
	}
	return args
}

// common are the arguments that both modes have.
func (c Command) common() []string {
	tools := c.Tools
	if tools == nil {
		tools = defaultTools
	}
	args := []string{
		"--mcp-config", c.MCPConfig, "--strict-mcp-config",
		"--permission-mode", "manual",
		"--tools", strings.Join(tools, ","),
		"--disable-slash-commands", // text of people must never become a command
	}
	if c.Settings != "" {
		args = append(args, "--settings", c.Settings)
	}
	if c.Model != "" {
		args = append(args, "--model", c.Model)
	}
	if c.Agents != "" {
		args = append(args, "--agents", c.Agents)
	}
	return append(args, c.Extra...)
}

// variable returns the value of the variable name in c's environment.
func (c Command) variable(name string) string {
	value := ""
	for _, kv := range c.Env {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v // the last one counts
		}
	}
	return value
}

// Validate reports every mistake at once.
func (c Command) Validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("session.claude: no program is named"))
	}
	if info, err := os.Stat(c.Dir); err != nil {
		errs = append(errs, fmt.Errorf("workspace: %w", err))
	} else if !info.IsDir() {
		errs = append(errs, fmt.Errorf("workspace: %s is no folder", c.Dir))
	}
	for name, path := range map[string]string{"MCP configuration": c.MCPConfig, "settings": c.Settings} {
		if path == "" && name == "settings" {
			continue
		}
		if !filepath.IsAbs(path) {
			errs = append(errs, fmt.Errorf("%s: %q is not an absolute path; the CLI runs in the workspace", name, path))
		} else if _, err := os.Stat(path); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// Names of the variables that a session may see. Everything else is left out,
// above all the Slack tokens: the CLI hands its environment to every server
// and to every process that it starts.
var (
	passNames = []string{
		"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TERM", "COLORTERM",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
		"SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS",
		"DISABLE_TELEMETRY", "DISABLE_AUTOUPDATER", "DISABLE_ERROR_REPORTING",
		"KUBECONFIG",
	}
	passPrefixes = []string{"LC_", "XDG_", "ANTHROPIC_", "CLAUDE_", "MCP_", "WATCHKEEPER_"}

	// dropPrefixes belong to a session around us, not to the one we start.
	dropPrefixes = []string{
		"CLAUDE_CODE_SESSION_", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_CHILD_",
		"CLAUDE_CODE_MESSAGING_", "CLAUDE_CODE_LAUNCHED_BY_", "CLAUDE_PROJECT_DIR",
	}
	// dropNames are the secrets of the intake and of the watchdog; no session needs them.
	dropNames = []string{"WATCHKEEPER_WEBHOOK_TOKEN", "WATCHKEEPER_WEBHOOK_HMAC_SECRET", "WATCHKEEPER_HEARTBEAT_URL"}
)

// Environ returns the part of environ ("NAME=value") that a session may see,
// and with it the variables that are named in also.
func Environ(environ []string, also ...string) []string {
	var out []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if slices.Contains(also, name) || allowed(name) {
			out = append(out, kv)
		}
	}
	return out
}

func allowed(name string) bool {
	starts := func(p string) bool { return strings.HasPrefix(name, p) }
	if slices.Contains(dropNames, name) || slices.ContainsFunc(dropPrefixes, starts) {
		return false
	}
	return slices.Contains(passNames, name) || slices.ContainsFunc(passPrefixes, starts)
}
