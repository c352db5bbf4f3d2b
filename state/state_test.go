package state_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"watchkeeper/state"
)

// TestMain can be the other process: it then takes all locks of a directory,
// says so, and holds them until it is killed or its input ends.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "hold" {
		hold(os.Args[2])
		return
	}
	os.Exit(m.Run())
}

func hold(path string) {
	d, err := state.Open(path)
	held := map[state.Part]*state.Lock{}
	for _, part := range state.Parts() {
		if err == nil {
			held[part], err = d.TryLock(part)
		}
	}
	fmt.Fprintln(os.Stdout, "held", err)
	bufio.NewReader(os.Stdin).ReadByte()
	runtime.KeepAlive(held)
}

// startHolder runs another process that holds all locks of d.
func startHolder(t *testing.T, d state.Dir) *os.Process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "hold", d.String())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "held <nil>\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	return cmd.Process
}

func open(t *testing.T) state.Dir {
	t.Helper()
	d, err := state.Open(filepath.Join(t.TempDir(), "a", "var"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestOpenCreatesADirectoryForThisUserAlone(t *testing.T) {
	t.Chdir(t.TempDir())
	d, err := state.Open("var")
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := filepath.Abs("var"); d.String() != want || d.Database() != want+"/watchkeeper.db" || d.Path("a", "b") != want+"/a/b" {
		t.Errorf("Open = %s, %s, %s, want all in %s", d, d.Database(), d.Path("a", "b"), want)
	}
	info, err := os.Stat("var")
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode = %v, %v, want 0700", info.Mode(), err)
	}
	if _, err := state.Open("var"); err != nil {
		t.Errorf("Open again: %v", err)
	}
}

func TestOpenSaysWhatIsInTheWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "var")} {
		_, err := state.Open(path)
		if err == nil || !strings.Contains(err.Error(), "open state directory "+path) || !strings.Contains(err.Error(), "not a directory") {
			t.Errorf("Open(%q) = %v, want that it is not a directory", path, err)
		}
	}
	if _, err := state.Open(""); err == nil {
		t.Error("Open of no path = nil, want an error")
	}
}

func TestTryLockExcludesOthersUntilRelease(t *testing.T) {
	d := open(t)
	if h, held := d.Holder(state.Intake); held {
		t.Errorf("Holder of a new directory = %v, want none", h)
	}
	lock, err := d.TryLock(state.Intake)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.TryLock(state.Intake); !errors.Is(err, state.ErrHeld) {
		t.Errorf("second TryLock = %v, want ErrHeld", err)
	}
	h, held := d.Holder(state.Intake)
	if !held || h.PID != os.Getpid() || h.Program != filepath.Base(os.Args[0]) {
		t.Errorf("Holder = %v, %t, want this process", h, held)
	}
	other, err := d.TryLock(state.Link)
	if err != nil {
		t.Errorf("TryLock of another part = %v, want it free", err)
	} else if err := other.Release(); err != nil {
		t.Error(err)
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if h, held := d.Holder(state.Intake); held {
		t.Errorf("Holder after release = %v, want none", h)
	}
	if lock, err = d.TryLock(state.Intake); err != nil {
		t.Fatalf("TryLock after release: %v", err)
	}
	if err := lock.Release(); err != nil {
		t.Error(err)
	}
}

func TestHolderNamesTheOtherProcess(t *testing.T) {
	d := open(t)
	child := startHolder(t, d)
	for _, part := range state.Parts() {
		h, held := d.Holder(part)
		if !held || h.PID != child.Pid || h.Program != filepath.Base(os.Args[0]) {
			t.Errorf("Holder(%s) = %v, %t, want process %d", part, h, held, child.Pid)
		}
		if _, err := d.TryLock(part); !errors.Is(err, state.ErrHeld) {
			t.Errorf("TryLock(%s) = %v, want ErrHeld", part, err)
		}
	}
}

func TestLockOfAKilledProcessIsTakenOver(t *testing.T) {
	d := open(t)
	child := startHolder(t, d)
	hosting := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- d.Host(ctx, state.Escalator, quiet(), func(context.Context) error {
			close(hosting)
			return nil
		})
	}()
	select {
	case <-hosting:
		t.Fatal("hosted while the other process lived")
	case <-time.After(50 * time.Millisecond):
	}
	if err := child.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	<-hosting // closed, unless Host gave up
	if h, held := d.Holder(state.Intake); held {
		t.Errorf("Holder(intake) = %v after the kill, want none", h)
	}
}

func TestHostTakesOverWithinASecond(t *testing.T) {
	d := open(t)
	synctest.Test(t, func(t *testing.T) {
		lock, err := d.TryLock(state.Pump)
		if err != nil {
			t.Fatal(err)
		}
		started := make(chan time.Time, 1)
		go d.Host(t.Context(), state.Pump, quiet(), func(context.Context) error {
			started <- time.Now()
			return nil
		})
		time.Sleep(time.Hour + 100*time.Millisecond)
		if synctest.Wait(); len(started) != 0 {
			t.Fatal("Host ran while another held the lock")
		}
		freed := time.Now()
		if err := lock.Release(); err != nil {
			t.Fatal(err)
		}
		if after := (<-started).Sub(freed); after > time.Second {
			t.Errorf("Host started %s after the release, want within a second", after)
		}
	})
}

func TestHostHoldsTheLockWhileItRuns(t *testing.T) {
	d := open(t)
	failed := errors.New("it broke")
	err := d.Host(t.Context(), state.Link, quiet(), func(context.Context) error {
		if _, err := d.TryLock(state.Link); !errors.Is(err, state.ErrHeld) {
			t.Errorf("TryLock within Host = %v, want ErrHeld", err)
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Errorf("Host = %v, want the function's error", err)
	}
	if h, held := d.Holder(state.Link); held {
		t.Errorf("Holder after Host = %v, want none", h)
	}
}

func TestHostStandsByUntilTheContextEnds(t *testing.T) {
	d := open(t)
	lock, err := d.TryLock(state.Session)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		err := d.Host(ctx, state.Session, quiet(), func(context.Context) error {
			t.Error("Host ran while another held the lock")
			return nil
		})
		if err != nil {
			t.Errorf("Host = %v, want nil on shutdown", err)
		}
	})
}

func TestHostReportsALockFileThatCannotBe(t *testing.T) {
	d := open(t)
	if err := os.RemoveAll(d.Path("locks")); err != nil {
		t.Fatal(err)
	}
	err := d.Host(t.Context(), state.Intake, quiet(), func(context.Context) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "lock intake") {
		t.Errorf("Host = %v, want an error that names the lock", err)
	}
}
