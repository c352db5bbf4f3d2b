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
	p := pulse{to: conn, every: pulseEvery(os.Getenv("WATCHDOG_USEC")), alive: func(ctx context.Context) error { return alive(ctx, h) }}
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

// alive reports whether this process does its work: the memory takes writes,
// and the intake, if it is ours, answers.
func alive(ctx context.Context, h *house.House) error {
	if err := h.Ping(ctx); err != nil {
		return fmt.Errorf("memory: %w", err)
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
