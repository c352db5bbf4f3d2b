package channels

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// stdioSession is the identifier that mcp-go gives the one client of a stdio
// server.
const stdioSession = "stdio"

// A Notifier is the sink that pushes events as MCP notifications. It listens
// from the moment the host has sent notifications/initialized: a push before
// that is lost.
type Notifier struct {
	server  *server.MCPServer
	start   func(ctx context.Context) (int64, error)
	log     *slog.Logger
	ready   chan struct{}
	session atomic.Int64
}

// NewNotifier returns a Notifier for s. start gives the session its number; it
// is called by Run, once.
func NewNotifier(s *server.MCPServer, start func(ctx context.Context) (int64, error), log *slog.Logger) *Notifier {
	n := &Notifier{server: s, start: start, log: log, ready: make(chan struct{})}
	once := sync.OnceFunc(func() { close(n.ready) })
	s.AddNotificationHandler("notifications/initialized", func(context.Context, mcp.JSONRPCNotification) { once() })
	return n
}

// Run waits for the host and numbers the session. It returns when ctx is done,
// or when that has happened.
func (n *Notifier) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-n.ready:
	}
	for ctx.Err() == nil {
		id, err := n.start(ctx)
		switch {
		case err == nil:
			n.session.Store(id)
			return nil
		case ctx.Err() == nil: // the host may have closed stdin already
			n.log.ErrorContext(ctx, "session not recorded", "err", err, "retry_after", retryAfter)
			sleep(ctx, retryAfter)
		}
	}
	return nil
}

// Session implements [Sink].
func (n *Notifier) Session() int64 { return n.session.Load() }

// Push implements [Sink]. It fails while the host does not read; the pump
// keeps the event. SendNotificationToAllClients would drop it silently.
func (n *Notifier) Push(_ context.Context, e Event) error {
	if n.Session() == 0 {
		return ErrNoSession
	}
	err := n.server.SendNotificationToSpecificClient(stdioSession, "notifications/claude/channel",
		map[string]any{"content": e.Content, "meta": e.Meta})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNoSession, err)
	}
	return nil
}
