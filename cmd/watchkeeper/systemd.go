package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"watchkeeper/channels/webhook"
	"watchkeeper/cmd/internal/house"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/state"
)

// What up says to systemd, by the protocol of sd_notify(3): a datagram each.
const (
	saysReady    = "READY=1"
	saysAlive    = "WATCHDOG=1"
	saysStopping = "STOPPING=1"
)

// tellSystemd says when up is ready, and again and again that it is alive,
// until ctx is done. It does nothing unless systemd asks for it by NOTIFY_SOCKET
// (Type=notify) and WATCHDOG_USEC (WatchdogSec=).
func tellSystemd(ctx context.Context, h *house.House) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unixgram", socket) // "@…" is an abstract one
	if err != nil {
		return fmt.Errorf("tell systemd (NOTIFY_SOCKET): %w", err)
	}
	defer conn.Close()
	start := time.Now()
	p := pulse{to: conn, every: pulseEvery(os.Getenv("WATCHDOG_USEC")), alive: func(ctx context.Context) error { return alive(ctx, h, start) }}
	p.run(ctx, func(err error) { h.Log.WarnContext(ctx, "no sign of life to systemd", "err", err) })
	return nil
}

// pulseEvery is a third of what systemd waits for a sign of life: two may be
// missed. 0 is never.
func pulseEvery(usec string) time.Duration {
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 {
		return 0
	}
	return time.Duration(n) * time.Microsecond / 3
}

// A pulse is the heart that systemd listens to.
type pulse struct {
	to    io.Writer
	every time.Duration // between two signs of life; 0 gives none after the first
	alive func(context.Context) error
}

// waitReady is how often a start is looked at.
const waitReady = 100 * time.Millisecond

// run beats until ctx is done. A beat that is not earned is left out and
// reported; systemd ends a process that leaves out too many.
func (p pulse) run(ctx context.Context, report func(error)) {
	defer p.say(saysStopping)
	for p.alive(ctx) != nil {
		if !wait(ctx, waitReady) {
			return
		}
	}
	p.say(saysReady)
	for p.every > 0 && wait(ctx, p.every) {
		if err := p.alive(ctx); err != nil {
			report(err)
			continue
		}
		p.say(saysAlive)
	}
	<-ctx.Done()
}

// say sends one datagram. Nobody can be told when it fails.
func (p pulse) say(what string) { _, _ = io.WriteString(p.to, what) }

// wait returns false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// lookedWithin is how old the last look of the watchdog may be: it looks every
// 15 seconds, and the watch over everything else hangs on it.
const lookedWithin = 3 * time.Minute

// alive reports whether this process, which started at start, does its work: the
// memory takes writes, and of what is ours the intake answers and the watchdog
// looks.
func alive(ctx context.Context, h *house.House, start time.Time) error {
	if err := h.Ping(ctx); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	if who, held := h.Dir.Holder(state.Watchdog); held && who.PID == os.Getpid() && time.Since(start) > lookedWithin {
		if err := looked(ctx, h); err != nil {
			return err
		}
	}
	who, held := h.Dir.Holder(state.Intake)
	switch {
	case !held:
		return errors.New("nobody hosts the intake")
	case who.PID != os.Getpid():
		return nil // standing by
	}
	return answers(ctx, h.Config.Listen)
}

// looked reports whether the watchdog has looked lately.
func looked(ctx context.Context, h *house.House) error {
	beats, err := h.Store.Beats(ctx)
	if err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	for _, b := range beats {
		if b.Name == sqlite.WatchdogSign && time.Since(b.At) < lookedWithin {
			return nil
		}
	}
	return fmt.Errorf("the watchdog has not looked for %s", lookedWithin)
}

// answers asks the intake on listen for its health.
func answers(ctx context.Context, listen string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+webhook.Reachable(listen)+"/healthz", http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("intake: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("intake: answers %s", res.Status)
	}
	return nil
}
