package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// backupOf is the variable that makes this test binary another process, which
// backs a memory up until it is killed.
const backupOf = "WATCHKEEPER_TEST_BACKUP_OF"

// restoreOf has it restore that backup instead, once.
const restoreOf = "WATCHKEEPER_TEST_RESTORE_OF"

// killAfter runs this binary as that process and kills it, delay after it has
// begun.
func killAfter(t *testing.T, delay time.Duration, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBackupProcess$")
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(delay) // of real time: the moment of the kill is what varies
	cmd.Process.Kill()
	cmd.Wait()
}

// names lists the alerts that a memory has, oldest first.
func names(t *testing.T, s *sqlite.Store) []string {
	t.Helper()
	var out []string
	err := s.Occurrences(t.Context(), time.Time{}, "", 0, func(o runbook.Occurrence) bool {
		out = append([]string{o.Name}, out...)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// store puts an alert of that name into s.
func store(t *testing.T, s *sqlite.Store, name string) {
	t.Helper()
	a := alert(name, "cart", time.Now())
	a.Labels = map[string]string{"filler": strings.Repeat("x", 500)}
	put(t, s, time.Now(), a)
}

func TestBackupIsOneInstantWhileOthersWrite(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, filepath.Join(dir, "memory.db"))
	store(t, s, "before")
	stop, written := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { written <- n }()
		for {
			select {
			case <-stop:
				return
			default:
				store(t, s, fmt.Sprintf("during-%06d", n))
				n++
			}
		}
	}()
	backups := make([]string, 5)
	for i := range backups {
		backups[i] = filepath.Join(dir, fmt.Sprintf("%d.db", i))
		if err := s.Backup(t.Context(), backups[i]); err != nil {
			t.Errorf("Backup %d: %v", i, err)
		}
	}
	close(stop)
	if n := <-written; n < len(backups) {
		t.Errorf("%d alerts were stored during %d backups, want the writer to go on", n, len(backups))
	}
	all := names(t, s)
	for _, path := range backups {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of a backup = %v, %v, want 0600", info, err)
		}
		got := names(t, openAt(t, path))
		if len(got) == 0 || strings.Join(got, " ") != strings.Join(all[:len(got)], " ") {
			t.Errorf("backup has %d alerts that are not the first of the memory's %d", len(got), len(all))
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".backup-*")); len(left) > 0 {
		t.Errorf("backups left %q behind", left)
	}
}

func TestBackupNeverReplacesAFile(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, filepath.Join(dir, "memory.db"))
	path := filepath.Join(dir, "precious")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := s.Backup(t.Context(), path)
	if text, _ := os.ReadFile(path); !errors.Is(err, fs.ErrExist) || string(text) != "mine" {
		t.Errorf("Backup to a file that exists = %v, and it holds %q now; want ErrExist and no change", err, text)
	}
	if err := s.Backup(t.Context(), filepath.Join(dir, "missing", "b.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Backup to a missing folder = %v, want ErrNotExist", err)
	}
}

// TestBackupProcess is no test: it is the process that others kill.
func TestBackupProcess(t *testing.T) {
	source := os.Getenv(backupOf)
	if source == "" {
		t.Skip("only as the process that other tests kill")
	}
	if backup := os.Getenv(restoreOf); backup != "" {
		fmt.Fprintln(os.Stdout, "restoring")
		if _, err := sqlite.Restore(t.Context(), source, backup, time.Now()); err != nil {
			t.Fatal(err)
		}
		return
	}
	s := openAt(t, source)
	for i := 0; ; i++ {
		fmt.Fprintln(os.Stdout, "backing up")
		if err := s.Backup(t.Context(), fmt.Sprintf("%s.%d.copy", source, i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKilledBackupLeavesNothingHalf(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "memory.db")
	s := openAt(t, source)
	for i := range 300 {
		store(t, s, fmt.Sprintf("alert-%03d", i))
	}
	for delay := time.Duration(0); delay < 40*time.Millisecond; delay += 4 * time.Millisecond {
		killAfter(t, delay, backupOf+"="+source)
		copies, _ := filepath.Glob(source + ".*.copy")
		for _, path := range copies {
			if h, err := sqlite.Examine(t.Context(), path); err != nil || h.Err() != nil {
				t.Errorf("after a kill at %s, %s: %v, %v; want a whole backup or none", delay, path, err, h.Err())
			}
			os.Remove(path)
		}
	}
	left, _ := filepath.Glob(filepath.Join(dir, ".backup-*"))
	for _, path := range left {
		if err := os.Chtimes(path, time.Now(), time.Now().Add(-2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	after := filepath.Join(dir, "after.db")
	if err := s.Backup(t.Context(), after); err != nil {
		t.Fatalf("Backup after the kills: %v", err)
	}
	if got := len(names(t, openAt(t, after))); got != 300 {
		t.Errorf("backup after the kills has %d alerts, want 300", got)
	}
	if still, _ := filepath.Glob(filepath.Join(dir, ".backup-*")); len(left) == 0 || len(still) > 0 {
		t.Errorf("kills left %d unfinished backups, and %d of them stay; want some, and none", len(left), len(still))
	}
}

func TestRestoreBringsEverythingBackAndKeepsTheOther(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "memory.db"), filepath.Join(dir, "backup.db")
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	s := openAt(t, path)
	store(t, s, "before")
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	store(t, s, "after")

	if _, err := sqlite.Restore(t.Context(), path, backup, now); err == nil || !strings.Contains(err.Error(), "another process has the memory open") {
		t.Errorf("Restore under an open memory = %v, want it refused", err)
	}
	if got := names(t, s); len(got) != 2 {
		t.Errorf("after a refused restore, the memory has %q", got)
	}
	s.Close()
	kept, err := sqlite.Restore(t.Context(), path, backup, now)
	if err != nil || kept != path+".before-20260304T050607Z" {
		t.Fatalf("Restore = %q, %v", kept, err)
	}
	if got := names(t, openAt(t, path)); len(got) != 1 || got[0] != "before" {
		t.Errorf("restored memory has %q, want what the backup has", got)
	}
	if got := names(t, openAt(t, kept)); len(got) != 2 {
		t.Errorf("kept memory has %q, want both alerts", got)
	}
	if got := names(t, openAt(t, backup)); len(got) != 1 {
		t.Errorf("backup has %q after the restore", got)
	}
}

func TestKilledRestoreLeavesTheOldOrTheNewMemory(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "memory.db"), filepath.Join(dir, "backup.db")
	s := openAt(t, path)
	for i := range 100 {
		store(t, s, fmt.Sprint("before ", i))
	}
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		store(t, s, fmt.Sprint("after ", i))
	}
	s.Close()
	full, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	restored := 0
	for delay := time.Duration(0); delay < 45*time.Millisecond; delay += 3 * time.Millisecond {
		if err := os.WriteFile(path, full, 0o600); err != nil {
			t.Fatal(err)
		}
		killAfter(t, delay, backupOf+"="+path, restoreOf+"="+backup)
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("killed after %s: %v; want a memory at any instant", delay, err)
		}
		s, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatalf("killed after %s: %v", delay, err)
		}
		switch n := len(names(t, s)); n {
		case 100:
			restored++
		case 200:
		default:
			t.Errorf("killed after %s: the memory has %d alerts, want all 200 or the backup's 100", delay, n)
		}
		s.Close()
	}
	if restored == 0 {
		t.Log("no restore was fast enough to end; the machine is slow")
	}
}

func TestBackupOfAnOlderReleaseIsRestoredAndBroughtUpToDate(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "memory.db"), filepath.Join(dir, "backup.db")
	db, err := sql.Open("sqlite3", backup)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	old, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.UpTo(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `
		INSERT INTO deliveries (id, kind, channel, state, created_at, last_at, due_at) VALUES (7, 'alert', 'webhook', 'done', 1, 1, 1);
		INSERT INTO occurrences (source, fingerprint, starts_at, status, alert, service, family, cluster, namespace, env, severity,
		  severity_raw, received_at, delivery_id) VALUES ('old', 'f', 1, 'resolved', 'of the old release', '', '', '', '', 'prod', 'info', '', 1, 7)`); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Restore(t.Context(), path, backup, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := names(t, openAt(t, path)); len(got) != 1 || got[0] != "of the old release" {
		t.Errorf("restored memory has %q", got)
	}
	if h, err := sqlite.Examine(t.Context(), path); err != nil || h.Version != h.Newest {
		t.Errorf("Examine = %+v, %v; want the newest schema", h, err)
	}
}

func TestRestoreRefusesWhatIsNoWholeMemory(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "memory.db")
	s := openAt(t, path)
	for i := range 200 {
		store(t, s, fmt.Sprint(i))
	}
	torn := filepath.Join(dir, "torn.db")
	if err := s.Backup(t.Context(), torn); err != nil {
		t.Fatal(err)
	}
	s.Close()
	text, _ := os.ReadFile(torn)
	text = append(text[:len(text)/2], make([]byte, len(text)-len(text)/2)...)
	for name, content := range map[string][]byte{"torn.db": text, "text.db": []byte(strings.Repeat("no database ", 500)), "empty.db": {}} {
		backup := filepath.Join(dir, name)
		if err := os.WriteFile(backup, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if kept, err := sqlite.Restore(t.Context(), path, backup, time.Now()); err == nil || kept != "" {
			t.Errorf("Restore of %s = %q, %v; want it refused", name, kept, err)
		}
	}
	if _, err := sqlite.Restore(t.Context(), path, filepath.Join(dir, "none"), time.Now()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Restore of nothing = %v, want ErrNotExist", err)
	}
	if got := len(names(t, openAt(t, path))); got != 200 {
		t.Errorf("memory has %d alerts after the refusals, want 200", got)
	}
}

func TestRestoreReplacesADamagedMemory(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "memory.db"), filepath.Join(dir, "backup.db")
	s := openAt(t, path)
	store(t, s, "before")
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.WriteFile(path, []byte(strings.Repeat("rubbish ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if h, err := sqlite.Examine(t.Context(), path); err != nil || len(h.Damage) == 0 {
		t.Errorf("Examine of rubbish = %+v, %v; want damage", h, err)
	}
	kept, err := sqlite.Restore(t.Context(), path, backup, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := os.ReadFile(kept); !strings.HasPrefix(string(text), "rubbish") {
		t.Errorf("kept %q, want the damaged memory for whoever can read it", kept)
	}
	if got := names(t, openAt(t, path)); len(got) != 1 {
		t.Errorf("restored memory has %q", got)
	}
}

func TestExamineSeesAHealthyMemoryInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	s := openAt(t, path)
	store(t, s, "one")
	for _, state := range []string{"open", "closed"} {
		h, err := sqlite.Examine(t.Context(), path)
		if err != nil || h.Err() != nil || !h.WAL || h.Version == 0 || h.Version != h.Newest || h.Bytes == 0 {
			t.Errorf("Examine of a memory that is %s = %+v, %v, %v; want it whole", state, h, err, h.Err())
		}
		s.Close()
	}
}
