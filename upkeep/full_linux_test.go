package upkeep_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/upkeep"
)

// ownMounts is the variable that tells this test binary that it has mounts of
// its own.
const ownMounts = "WATCHKEEPER_TEST_OWN_MOUNTS"

// TestFullDiskIsSurvived fills a real disk: a small one in memory, which a
// process in a mount namespace of its own may have without being root.
func TestFullDiskIsSurvived(t *testing.T) {
	if os.Getenv(ownMounts) == "" {
		again(t)
		return
	}
	dir := t.TempDir()
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Skipf("SKIPPED: our mounts would be everybody's: %v", err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=160m"); err != nil {
		t.Skipf("SKIPPED: no disk of our own to fill: %v", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "watchkeeper.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	reserve := filepath.Join(dir, "reserve")
	if err := os.WriteFile(reserve, make([]byte, 32<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	fillUp(t, filepath.Join(dir, "filler"))

	stored, err := storeUntilFull(t, s)
	if err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Fatalf("Put on a full disk = %v, want an error that says so", err)
	}
	if n := count(t, s); n != stored {
		t.Errorf("the memory has %d alerts, and %d were acknowledged", n, stored)
	}
	if err := (&upkeep.Disk{Path: dir, People: s, Log: quiet()}).Look(t.Context(), time.Now()); err != nil {
		t.Fatalf("Look at a full disk: %v", err)
	}
	if got := opened(t, s); len(got) != 1 {
		t.Errorf("pages on a full disk = %+v, want one", got)
	}
	for i := range 100 {
		if err := store(t, s, 1_000_000+i); err != nil {
			t.Fatalf("alert %d after the reserve was given up: %v", i, err)
		}
	}
	if h, err := sqlite.Examine(t.Context(), filepath.Join(dir, "watchkeeper.db")); err != nil || h.Err() != nil {
		t.Errorf("Examine after a full disk = %v, %v; want the memory whole", err, h.Err())
	}
}

// again runs the calling test in a process with mounts of its own.
func again(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), ownMounts+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Skipf("SKIPPED: no mounts of our own: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "SKIPPED") {
		t.Skip(string(out))
	}
}

// fillUp writes zeroes until nothing more goes in.
func fillUp(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for chunk := make([]byte, 1<<20); err == nil; {
		_, err = f.Write(chunk)
	}
}

func storeUntilFull(t *testing.T, s *sqlite.Store) (stored int, err error) {
	t.Helper()
	for ; stored < 100_000; stored++ {
		if err := store(t, s, stored); err != nil {
			return stored, err
		}
	}
	return stored, nil
}

func store(t *testing.T, s *sqlite.Store, i int) error {
	t.Helper()
	a := runbook.Alert{
		Source: "test", Fingerprint: fmt.Sprint(i), StartsAt: time.Now(), Status: runbook.Firing, Name: "full",
		Severity: runbook.Warning, Env: runbook.Prod, Labels: map[string]string{"filler": strings.Repeat("x", 1000)},
	}
	_, err := s.Put(t.Context(), runbook.Batch{ReceivedAt: time.Now(), Alerts: []runbook.Alert{a}})
	return err
}

func count(t *testing.T, s *sqlite.Store) (n int) {
	t.Helper()
	if err := s.Occurrences(t.Context(), time.Time{}, "", 0, func(runbook.Occurrence) bool { n++; return true }); err != nil {
		t.Fatal(err)
	}
	return n
}
