package webhook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// shutdownWithin is how long requests in flight may take to end.
const shutdownWithin = 5 * time.Second

// A Server serves the intake on one listener.
type Server struct {
	listener net.Listener
	http     *http.Server
	log      *slog.Logger
}

// Listen opens addr for a [Server]. The error says what to do when the port is
// taken.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	switch {
	case err == nil:
		return ln, nil
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen %s: address in use: another Watchkeeper? Stop it, or set listen in watchkeeper.yaml to a free port: %w",
			addr, syscall.EADDRINUSE)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("listen %s: not permitted: ports below 1024 need a privilege, set listen in watchkeeper.yaml: %w",
			addr, syscall.EACCES)
	}
	return nil, fmt.Errorf("listen %s: %w", addr, err)
}

// NewServer returns a Server of h on ln. Run closes ln.
func NewServer(ln net.Listener, h http.Handler, log *slog.Logger) *Server {
	return &Server{listener: ln, log: log, http: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second, // from the headers on: reading and storing included
		IdleTimeout:       6 * time.Minute,  // Alertmanager comes back after group_interval, 5 min
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}
}

// Addr is where the Server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx is done, then lets the requests in flight end, for at
// most 5 seconds. It returns nil on shutdown.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve webhooks: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownWithin)
		defer cancel()
		if err := s.http.Shutdown(ctx); err != nil {
			s.log.WarnContext(ctx, "requests cut off at shutdown", "err", err)
			return s.http.Close()
		}
		return nil
	})
	return g.Wait()
}
