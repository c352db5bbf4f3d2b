package claude_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"watchkeeper/channels"
	"watchkeeper/mcptool"
	"watchkeeper/test/fakes/claude"
)

// TestMain lets the test binary play an MCP server of the session, or the CLI
// itself.
func TestMain(m *testing.M) {
	claude.Main()
	if os.Getenv("CLAUDE_TEST_ROLE") != "server" {
		os.Exit(m.Run())
	}
	type args struct {
		Delivery string `json:"delivery"`
	}
	answer := func(_ context.Context, in args) (string, error) { return "HISTORY of " + in.Delivery, nil }
	s := channels.NewServer("sre-tools", "test", "stand-in",
		mcptool.New("incident_history", "History of an alert.", mcptool.ReadOnly, answer),
		mcptool.New("restart_deployment", "Restarts.", 0, answer))
	if err := channels.Serve(context.Background(), s, os.Stdin, os.Stdout, slog.New(slog.DiscardHandler)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
