package session_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/session"
)

func TestArgsNameEverySource(t *testing.T) {
	c := session.Command{Path: "claude", MCPConfig: "/s/mcp.json", Settings: "/s/settings.json", Model: "opus", Extra: []string{"--max-budget-usd", "5"}}
	want := "-p --input-format stream-json --output-format stream-json --verbose --permission-prompt-tool stdio " +
		"--mcp-config /s/mcp.json --strict-mcp-config --permission-mode manual --tools Agent,Read,ToolSearch --disable-slash-commands " +
		"--settings /s/settings.json --model opus --max-budget-usd 5"
	if got := strings.Join(c.Args(), " "); got != want {
		t.Errorf("Args()\n got %s\nwant %s", got, want)
	}
}

func TestEnvironLeavesSecretsOut(t *testing.T) {
	environ := []string{
		"PATH=/bin", "HOME=/h", "LC_ALL=C", "TZ=UTC", "HTTPS_PROXY=p", "KUBECONFIG=/k",
		"ANTHROPIC_API_KEY=a", "CLAUDE_CODE_OAUTH_TOKEN=o", "MCP_TIMEOUT=1", "WATCHKEEPER_STATE=/s",
		"SLACK_BOT_TOKEN=x", "SLACK_APP_TOKEN=y", "SIGNOZ_API_KEY=z", "GITLAB_TOKEN=g", "AWS_SECRET_ACCESS_KEY=w",
		"WATCHKEEPER_WEBHOOK_TOKEN=t", "WATCHKEEPER_WEBHOOK_HMAC_SECRET=h", "LD_PRELOAD=l", "NODE_OPTIONS=n", "EMPTY",
		"CLAUDE_CODE_SESSION_ID=outer", "CLAUDE_CODE_ENTRYPOINT=outer", "CLAUDECODE=1",
	}
	want := []string{
		"PATH=/bin", "HOME=/h", "LC_ALL=C", "TZ=UTC", "HTTPS_PROXY=p", "KUBECONFIG=/k",
		"ANTHROPIC_API_KEY=a", "CLAUDE_CODE_OAUTH_TOKEN=o", "MCP_TIMEOUT=1", "WATCHKEEPER_STATE=/s", "GITLAB_TOKEN=g",
	}
	if diff := cmp.Diff(want, session.Environ(environ, "GITLAB_TOKEN")); diff != "" {
		t.Errorf("Environ (-want +got):\n%s", diff)
	}
}

func TestMCPConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "mcp.json")
	err := session.WriteMCPConfig(path,
		session.Server{Name: "webhook", Command: "/bin/webhook-channel"},
		session.Server{
			Name: "sre-tools", Command: "/bin/sre-tools", Args: []string{"--state", "/s"}, AlwaysLoad: true,
			Timeout: 2 * time.Minute, Env: map[string]string{"GITLAB_TOKEN_FILE": "/run/t"},
		})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"mcpServers": map[string]any{
		"webhook": map[string]any{"type": "stdio", "command": "/bin/webhook-channel", "args": []any{}},
		"sre-tools": map[string]any{
			"type": "stdio", "command": "/bin/sre-tools", "args": []any{"--state", "/s"}, "alwaysLoad": true,
			"timeout": 120000.0, "env": map[string]any{"GITLAB_TOKEN_FILE": "/run/t"},
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v; want 0600", info.Mode(), err)
	}
}

func TestMistakesAreReportedAtOnce(t *testing.T) {
	_, err := session.MCPConfig(session.Server{Name: "a", Command: "rel"}, session.Server{Name: "a", Command: "/b"})
	for _, want := range []string{`"rel" is not an absolute path`, `server "a": every server needs a name of its own`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("MCPConfig() = %v, want %q in it", err, want)
		}
	}
	err = session.Command{Dir: "/nonexistent", MCPConfig: "rel.json", Settings: "/nonexistent.json"}.Validate()
	for _, want := range []string{"session.claude", "workspace", `"rel.json" is not an absolute path`, "settings"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate() = %v, want %q in it", err, want)
		}
	}
}
