package intake_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// TestHandshakeIsOneThatChannelsAccept pins the raw JSON-RPC: the CLI refuses a
// server as a channel that answers server/discover or negotiates a newer
// revision than these.
func TestHandshakeIsOneThatChannelsAccept(t *testing.T) {
	c := start(t, newPlace(t))
	c.listen()
	c.write(`{"jsonrpc":"2.0","id":7,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`)
	if m := c.next("answer to server/discover"); m.Result != nil {
		t.Errorf("server/discover is answered with %s, want an error", m.Result)
	}
	m := c.hello()
	var result struct {
		ProtocolVersion string `json:"protocolVersion"`
		Capabilities    struct {
			Experimental map[string]any `json:"experimental"`
		} `json:"capabilities"`
	}
	if err := json.Unmarshal(m.Result, &result); err != nil {
		t.Fatal(err)
	}
	if _, ok := result.Capabilities.Experimental["claude/channel"]; !ok || result.ProtocolVersion != "2025-11-25" {
		t.Errorf("initialize gives %s, want the capability claude/channel and revision 2025-11-25", m.Result)
	}
}

func TestNothingIsPushedBeforeInitialized(t *testing.T) {
	p := newPlace(t)
	c := start(t, p)
	c.listen()
	if status, text := post(t, p.addr, body("early", 1)); status != http.StatusOK {
		t.Fatalf("POST = %d %s", status, text)
	}
	c.silent(300 * time.Millisecond)
	c.write(initialize)
	c.next("answer to initialize")
	c.silent(300 * time.Millisecond)
	c.write(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	m := c.next("push")
	if m.Method != "notifications/claude/channel" || m.Params.Meta["alert"] != "KubePodCrashLooping" {
		t.Errorf("pushed %s %v, want the alert", m.Method, m.Params.Meta)
	}
}

// TestUnclaimedComesAgainAfterAKill pushes to a session that dies; the next one
// gets the event under the same delivery, and once claimed it stays away from
// the process that follows in the same session.
func TestUnclaimedComesAgainAfterAKill(t *testing.T) {
	p := newPlace(t)
	c := start(t, p)
	c.hello()
	post(t, p.addr, body("again", 2))
	first := c.next("push")
	c.kill()
	c = start(t, p)
	c.hello()
	second := c.next("push in the next session")
	if first.Params.Meta["delivery"] == "" || first.Params.Meta["delivery"] != second.Params.Meta["delivery"] {
		t.Errorf("delivery %q was pushed again as %q, want the same", first.Params.Meta["delivery"], second.Params.Meta["delivery"])
	}
}

// TestAHostThatDoesNotReadBlocksNothing fills the pipe of a host that never
// reads: every POST is acknowledged and stored, and arrives when the next host
// reads.
func TestAHostThatDoesNotReadBlocksNothing(t *testing.T) {
	p := newPlace(t)
	c := start(t, p)
	c.write(initialize)
	c.write(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	for i := range 400 {
		b := strings.ReplaceAll(body(fmt.Sprintf("deaf-%d", i), 5), "KubePodCrashLooping", fmt.Sprintf("Alert%d", i))
		if status, text := post(t, p.addr, b); status != http.StatusOK {
			t.Fatalf("POST %d = %d %s", i, status, text)
		}
	}
	c.kill()
	c = start(t, p)
	c.hello()
	alerts := 0
	for alerts < 2000 {
		m := c.next("push")
		n := 0
		fmt.Sscan(m.Params.Meta["count"], &n)
		alerts += n
	}
	if alerts != 2000 {
		t.Errorf("the events that followed speak of %d alerts, want all 2,000", alerts)
	}
}

// TestAFloodIsAFewNotifications sends some thousand alerts in a few seconds.
func TestAFloodIsAFewNotifications(t *testing.T) {
	p := newPlace(t)
	c := start(t, p)
	c.hello()
	if n := len(flood(p.addr, "flood", 4, 250, 3)); n != 1000 {
		t.Fatalf("%d POSTs acknowledged, want 1,000", n)
	}
	store := memory(t, p)
	for end := time.Now().Add(patience); queued(t, store) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d events are still queued", queued(t, store))
		}
	}
	if n := len(c.got); n > 10 {
		t.Errorf("3,000 alerts became %d notifications, want at most 10", n)
	}
}

func queued(t *testing.T, s *sqlite.Store) (n int) {
	t.Helper()
	open, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range open {
		if d.State == runbook.Queued {
			n++
		}
	}
	return n
}

func TestATakenPortIsAClearError(t *testing.T) {
	p := newPlace(t)
	ln, err := net.Listen("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	wantExit(t, launch(t, p), "address in use")
}

// TestAFullDiskIsToldToTheSender fills a small file system: the sender gets a
// 503 with Retry-After, nothing half-written is left, and the alert is taken
// once there is room.
func TestAFullDiskIsToldToTheSender(t *testing.T) {
	p := newPlace(t)
	disk := mount(t, "size=3m")
	p.state = filepath.Join(disk, "state")
	c := start(t, p)
	status, text := http.StatusOK, ""
	accepted := 0
	for i := 0; status == http.StatusOK && i < 2000; i++ {
		if status, text = post(t, p.addr, body(fmt.Sprintf("full-%d", i), 20)); status == http.StatusOK {
			accepted += 20
		}
	}
	if status != http.StatusServiceUnavailable {
		t.Fatalf("with a full disk POST = %d %s, want 503", status, text)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	if status, text := post(t, p.addr, body("room", 20)); status != http.StatusOK {
		t.Errorf("with room again POST = %d %s, want 200", status, text)
	}
	c.stop()
	stored := 0
	if err := memory(t, p).Occurrences(t.Context(), time.Time{}, "", 0, func(runbook.Occurrence) bool { stored++; return true }); err != nil {
		t.Fatal(err)
	}
	if stored != accepted+20 {
		t.Errorf("%d alerts are stored, want the %d that got a 200", stored, accepted+20)
	}
}

func TestAReadOnlyDatabaseIsAClearError(t *testing.T) {
	p := newPlace(t)
	disk := mount(t, "size=8m")
	p.state = filepath.Join(disk, "state")
	start(t, p).stop()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	wantExit(t, launch(t, p), "must be writable")
}

func TestADamagedDatabaseIsAClearError(t *testing.T) {
	p := newPlace(t)
	start(t, p).stop()
	file := filepath.Join(p.state, "watchkeeper.db")
	if err := os.WriteFile(file, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	wantExit(t, launch(t, p), "restore the last backup")
}

// wantExit waits for the end of c and checks that it says what is wrong.
func wantExit(t *testing.T, c *channel, says string) {
	t.Helper()
	c.cmd.Wait()
	if code := c.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(c.stderr.String(), says) {
		t.Errorf("exit status %d, stderr %q; want 1 and %q", code, c.stderr, says)
	}
}

// mount makes a small file system of its own for the test.
func mount(t *testing.T, options string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system needs root")
	}
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, options); err != nil {
		t.Skipf("no small file system can be mounted here: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(disk, syscall.MNT_DETACH) })
	return disk
}
