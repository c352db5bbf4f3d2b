package webhook_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"watchkeeper/channels/webhook"
)

func TestPortTaken(t *testing.T) {
	ln, err := webhook.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, err = webhook.Listen(t.Context(), ln.Addr().String())
	checkError(t, err, "listen "+ln.Addr().String()+": address in use: another Watchkeeper?")
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("error %v is not EADDRINUSE", err)
	}
}

func TestServesOverRealConnections(t *testing.T) {
	ln, err := webhook.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var m memory
	srv := webhook.NewServer(ln, newHandler(&m, nil), slog.New(slog.DiscardHandler))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	resp, err := http.Post("http://"+srv.Addr().String()+"/webhook", "application/json", strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || string(body) != "{\"accepted\":1,\"duplicates\":0}\n" {
		t.Errorf("answer %d %q", resp.StatusCode, body)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run = %v, want nil after shutdown", err)
	}
}

// A pipes is a listener whose connections live in memory, so that they work in
// a synctest bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	select {
	case <-p.done:
	default:
		close(p.done)
	}
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// request writes the head of a POST of n bytes, and what there is of its body.
func request(t *testing.T, c net.Conn, n int, body string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", n, body); err != nil {
		t.Fatal(err)
	}
}

func TestASlowBodyIsAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, m := newPipes(), &memory{}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- webhook.NewServer(p, newHandler(m, nil), slog.New(slog.DiscardHandler)).Run(ctx) }()
		c := p.dial()
		defer c.Close()
		start := time.Now()
		request(t, c, len(small), small[:9])
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); resp.StatusCode != 503 || took != 30*time.Second || len(m.stored()) != 0 {
			t.Errorf("answer %d after %v, %d stored; want 503 after 30s, nothing stored", resp.StatusCode, took, len(m.stored()))
		}
		resp.Body.Close()
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

func TestShutdownLetsARequestEnd(t *testing.T) {
	tests := []struct {
		name  string
		takes time.Duration // of the store
		code  int           // 0: cut off
		ends  time.Duration
	}{
		{"within five seconds", 3 * time.Second, 200, 3500 * time.Millisecond},
		{"and no longer", time.Minute, 0, 5 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, m := newPipes(), &memory{put: func(context.Context) { time.Sleep(tt.takes) }}
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- webhook.NewServer(p, newHandler(m, nil), slog.New(slog.DiscardHandler)).Run(ctx) }()
				c := p.dial()
				defer c.Close()
				request(t, c, len(small), small)
				synctest.Wait()
				start := time.Now()
				stop()
				code := 0
				if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err == nil {
					code = resp.StatusCode
					resp.Body.Close()
				}
				if err := <-done; err != nil {
					t.Errorf("Run = %v, want nil", err)
				}
				took := time.Since(start)
				time.Sleep(tt.takes) // the bubble ends when the store is through
				if code != tt.code || took > tt.ends+time.Second {
					t.Errorf("answer %d, end after %v; want %d, about %v", code, took, tt.code, tt.ends)
				}
			})
		})
	}
}
