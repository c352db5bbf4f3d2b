package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/state"
)

func TestPulseLeavesOutWhatIsNotEarned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said bytes.Buffer
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute+time.Second)
		defer cancel()
		reports := 0
		pulse{to: &said, every: time.Minute, alive: func(context.Context) error {
			switch since := time.Since(start); {
			case since < time.Second:
				return errors.New("starting")
			case since > 2*time.Minute && since < 4*time.Minute:
				return errors.New("stuck")
			}
			return nil
		}}.run(ctx, func(error) { reports++ })
		if want := saysReady + strings.Repeat(saysAlive, 3) + saysStopping; said.String() != want || reports != 2 {
			t.Errorf("in 5 minutes, stuck for two of them, said %q with %d reports; want %q and 2", &said, reports, want)
		}
	})
}

func TestPulseIsAThirdOfWhatSystemdWaits(t *testing.T) {
	for usec, want := range map[string]time.Duration{"": 0, "0": 0, "-5": 0, "soon": 0, "180000000": time.Minute} {
		if got := pulseEvery(usec); got != want {
			t.Errorf("pulseEvery(%q) = %s, want %s", usec, got, want)
		}
	}
}

// unused returns an address on which nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// startUp starts the real program on duty without a model, with more in its
// environment, and returns it with the address of its intake and its log.
func startUp(t *testing.T, env ...string) (cmd *exec.Cmd, listen string, log *bytes.Buffer) {
	t.Helper()
	dir, listen := t.TempDir(), unused(t)
	config := filepath.Join(dir, "watchkeeper.yaml")
	if err := os.WriteFile(config, []byte("listen: "+listen+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd = exec.CommandContext(t.Context(), "watchkeeper", "up", "--mode", "responder", "--config", config, "--state", filepath.Join(dir, "var"))
	cmd.Env = append(os.Environ(), env...)
	log = new(bytes.Buffer)
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, listen, log
}

// TestUpTellsSystemd plays systemd for the real program.
func TestUpTellsSystemd(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cmd, _, log := startUp(t, "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=150000")
	defer cmd.Process.Kill()
	hear := func() string {
		ln.SetReadDeadline(time.Now().Add(20 * time.Second))
		text := make([]byte, 100)
		n, err := ln.Read(text)
		if err != nil {
			t.Fatalf("%v; the log:\n%s", err, log)
		}
		return string(text[:n])
	}
	for i, want := range []string{saysReady, saysAlive, saysAlive} {
		if got := hear(); got != want {
			t.Errorf("datagram %d = %q, want %q", i, got, want)
		}
	}
	cmd.Process.Signal(syscall.SIGTERM)
	for got := saysAlive; got != saysStopping; {
		if got = hear(); got != saysAlive && got != saysStopping {
			t.Errorf("datagram after SIGTERM = %q", got)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("up ended with %v; the log:\n%s", err, log)
	}
}

func TestAliveIsWhatDoesItsWork(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "watchkeeper.yaml")
	if err := os.WriteFile(config, []byte("listen: "+unused(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h, err := house.Open(t.Context(), house.Flags{Config: config, State: filepath.Join(dir, "var")}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	expect := func(start time.Time, want string) {
		t.Helper()
		err := alive(t.Context(), h, start)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("alive = %v, want %q", err, want)
		}
	}
	old := time.Now().Add(-time.Hour)
	expect(old, "nobody hosts the intake")

	watchdog, err := h.Dir.TryLock(state.Watchdog)
	if err != nil {
		t.Fatal(err)
	}
	defer watchdog.Release()
	expect(old, "the watchdog has not looked")
	if _, err := h.Store.Watching(t.Context(), time.Now(), time.Minute); err != nil {
		t.Fatal(err)
	}
	intake, err := h.Dir.TryLock(state.Intake)
	if err != nil {
		t.Fatal(err)
	}
	expect(old, "connection refused") // hosted, and deaf
	if err := intake.Release(); err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.Intake(ctx) }()
	for range 100 {
		if err = alive(t.Context(), h, old); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond) // of real time: a listener opens
	}
	expect(old, "")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
