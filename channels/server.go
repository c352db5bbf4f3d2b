package channels

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"github.com/mark3labs/mcp-go/server"
)

// legacyProtocols are the revisions that we agree to. The CLI first tries the
// newest one by server/discover; a server that answers it is refused as a
// channel ("modern protocol revision with no unsolicited notification path").
var legacyProtocols = []string{"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}

// NewServer returns an MCP server that declares itself a channel. instructions
// stay below 2,000 characters: the CLI cuts them.
func NewServer(name, version, instructions string, tools ...server.ServerTool) *server.MCPServer {
	s := server.NewMCPServer(name, version,
		server.WithInstructions(instructions),
		server.WithToolCapabilities(false),
		server.WithExperimental(map[string]any{"claude/channel": map[string]any{}}))
	s.AddTools(tools...)
	return s
}

// Serve speaks MCP on stdin and stdout until the host closes stdin or ctx is
// done, and returns nil then.
func Serve(ctx context.Context, s *server.MCPServer, stdin io.Reader, stdout io.Writer, log *slog.Logger) error {
	stdio := server.NewStdioServer(s)
	stdio.SetErrorLogger(slog.NewLogLogger(log.Handler(), slog.LevelWarn))
	stdio.SetContextFunc(func(ctx context.Context) context.Context {
		return server.WithSupportedProtocolVersions(ctx, legacyProtocols)
	})
	err := stdio.Listen(ctx, stdin, stdout)
	if ctx.Err() != nil || errors.Is(err, io.EOF) {
		return nil //nolint:nilerr // a host that goes away is the expected end
	}
	return err
}
