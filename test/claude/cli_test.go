package claude_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"watchkeeper/session"
	"watchkeeper/test/messages"
)

// missing skips the test, loudly, or fails it where the CLI is required.
func missing(t *testing.T, format string, args ...any) {
	t.Helper()
	why := fmt.Sprintf(format, args...)
	if os.Getenv("WATCHKEEPER_REQUIRE_CLAUDE") != "" {
		t.Fatal(why)
	}
	t.Skip("SKIPPED, NOT TESTED: " + why)
}

// cli returns the absolute path of the real CLI.
func cli(t *testing.T) string {
	t.Helper()
	path := os.Getenv("CLAUDE_CLI")
	if path == "" {
		path = filepath.Join("node_modules", ".bin", "claude")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		missing(t, "no Claude Code CLI: %v; run npm install in test/claude, or set CLAUDE_CLI", err)
	}
	return path
}

// patience bounds every wait of these tests; the machine may be busy.
const patience = 60 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// await returns what comes from c, and fails the test if nothing does.
func await[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s within %s", what, patience)
		panic("unreachable")
	}
}

// model serves a script of rules and returns its address.
func model(t *testing.T, rules ...messages.Rule) (*messages.Script, string) {
	t.Helper()
	s, err := messages.New(rules...)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv.URL
}

// environment is that of a CLI which talks to api and to nobody else.
func environment(t *testing.T, api string, more ...string) []string {
	t.Helper()
	return append([]string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + t.TempDir(), "LANG=C.UTF-8", "TZ=UTC",
		"ANTHROPIC_BASE_URL=" + api,
		"DISABLE_TELEMETRY=1", "DISABLE_AUTOUPDATER=1", "DISABLE_ERROR_REPORTING=1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
	}, more...)
}

const (
	apiKey   = "ANTHROPIC_API_KEY=dummy"
	oauthKey = "CLAUDE_CODE_OAUTH_TOKEN=dummy"
)

// write makes the file name in dir.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// command is the session's command in a small workspace, with stand-in
// servers.
func command(t *testing.T, api string, env ...string) session.Command {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "CLAUDE.md", "RUNBOOK: you dispatch.\n")
	write(t, dir, ".claude/agents/investigator.md",
		"---\nname: investigator\ndescription: investigates one alert\ntools: mcp__sre-tools__incident_history\n---\nINVESTIGATOR: you investigate.\n")
	settings := write(t, dir, "settings.json", `{"permissions":{"allow":["Agent","mcp__sre-tools__incident_history"]}}`)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "mcp.json")
	err = session.WriteMCPConfig(config,
		session.Server{Name: "sre-tools", Command: self, Env: map[string]string{"CLAUDE_TEST_ROLE": "server"}, AlwaysLoad: true})
	if err != nil {
		t.Fatal(err)
	}
	c := session.Command{Path: cli(t), Dir: dir, Env: environment(t, api, env...), MCPConfig: config, Settings: settings}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c
}

// logTo is a logger that writes to the test's log.
func logTo(t *testing.T) *slog.Logger {
	t.Helper()
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	if w.t.Context().Err() == nil { // after the test nobody listens
		w.t.Log(strings.TrimSpace(string(b)))
	}
	return len(b), nil
}
