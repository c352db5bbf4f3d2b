package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"watchkeeper"
)

func TestKilledInitLeavesOnlyWholeFilesAndIsCompletedByTheNext(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "duty")
	partial := false
	for delay := time.Duration(0); delay < 60*time.Millisecond; delay += 3 * time.Millisecond {
		os.RemoveAll(filepath.Join(dir, "playbooks"))
		os.RemoveAll(filepath.Join(dir, "CLAUDE.md"))
		cmd := exec.CommandContext(t.Context(), "watchkeeper", "init", dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay) // of real time: the moment of the kill is what varies
		cmd.Process.Kill()
		cmd.Wait()
		n := compare(t, dir)
		partial = partial || n > 0 && n < len(builtIns(t))
		if _, err := os.Stat(filepath.Join(dir, "CLAUDE.md")); err == nil && n < len(builtIns(t)) {
			t.Errorf("killed after %s: CLAUDE.md is there and %d files are missing, want it last", delay, len(builtIns(t))-n)
		}
	}
	if !partial {
		t.Log("no kill came in the middle; the machine is too fast or too slow")
	}
	if out, err := exec.CommandContext(t.Context(), "watchkeeper", "init", dir).CombinedOutput(); err != nil || strings.Contains(string(out), "  kept ") {
		t.Fatalf("init after the kills: %v\n%s", err, out)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".init-*")); len(left) > 0 {
		t.Errorf("init leaves %q behind", left)
	}
	if n := compare(t, dir); n != len(builtIns(t)) {
		t.Errorf("%d of %d files are there after the second init", n, len(builtIns(t)))
	}
}

func builtIns(t *testing.T) (names []string) {
	t.Helper()
	err := fs.WalkDir(watchkeeper.Workspace, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// compare counts the files of the workspace in dir, and reports those that are
// not whole.
func compare(t *testing.T, dir string) (n int) {
	t.Helper()
	for _, name := range builtIns(t) {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		n++
		if want, _ := watchkeeper.Workspace.ReadFile(name); string(got) != string(want) {
			t.Errorf("%s has %d bytes, want %d", name, len(got), len(want))
		}
	}
	return n
}
