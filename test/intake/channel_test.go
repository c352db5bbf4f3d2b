package intake_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// patience bounds everything that a test waits for; the next digest of a storm
// takes half of it.
const patience = 2 * runbook.StormInterval

// binary returns the path of a built program.
func binary(t testing.TB, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("WATCHKEEPER_REQUIRE_BINARIES") != "" {
			t.Fatalf("%v; run make build", err)
		}
		t.Skipf("%v; run make build to test the programs", err)
	}
	return path
}

// A message is one JSON-RPC message that the channel wrote.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Result json.RawMessage `json:"result"`
	Params struct {
		Content string            `json:"content"`
		Meta    map[string]string `json:"meta"`
	} `json:"params"`
	at time.Time // when its last byte was read
}

// A channel is a running program, mostly webhook-channel, with us as its host.
type channel struct {
	t      testing.TB
	cmd    *exec.Cmd
	addr   string
	stdin  io.WriteCloser
	stdout *os.File
	stderr *log
	got    chan message
	done   chan struct{} // closed when stdout ended
	read   sync.Once
}

// A log can be read while the process writes it.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// A place is what outlives a process: the state directory and the port.
type place struct{ state, addr string }

func newPlace(t testing.TB) place {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return place{filepath.Join(t.TempDir(), "state"), ln.Addr().String()}
}

// start runs a webhook-channel at p and waits until it listens.
func start(t testing.TB, p place) *channel {
	t.Helper()
	c := launch(t, p)
	c.listens()
	return c
}

// listens waits until the program answers at its address.
func (c *channel) listens() {
	c.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		resp, err := http.Get("http://" + c.addr + "/healthz")
		if err == nil {
			resp.Body.Close()
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("nothing listens: %v\n%s", err, c.stderr)
		}
	}
}

// launch runs a webhook-channel at p.
func launch(t testing.TB, p place) *channel {
	t.Helper()
	return spawn(t, p, "listen: "+p.addr+"\n", nil, "webhook-channel")
}

// spawn runs a program at p with the configuration config, and env besides
// what every program gets.
func spawn(t testing.TB, p place, config string, env []string, program string, args ...string) *channel {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "watchkeeper.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &channel{t: t, addr: p.addr, stderr: new(log), got: make(chan message, 100_000), done: make(chan struct{})}
	c.cmd = exec.Command(binary(t, program), append(args, "--config", file, "--state", p.state)...)
	c.cmd.Env = append([]string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}, env...)
	c.cmd.Stderr = c.stderr
	stdin, err := c.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Stdout = w
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	c.stdin, c.stdout = stdin, stdout
	t.Cleanup(c.kill)
	return c
}

// kill ends the process as a power cut does.
func (c *channel) kill() {
	if c.cmd.ProcessState == nil {
		c.cmd.Process.Kill()
		c.cmd.Wait()
		c.stdin.Close()
		c.stdout.Close()
	}
}

// stop ends the process as its host does, and returns its exit status.
func (c *channel) stop() int {
	c.stdin.Close()
	c.cmd.Process.Signal(syscall.SIGTERM)
	c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode()
}

// listen reads what the channel writes from now on.
func (c *channel) listen() {
	c.read.Do(func() {
		go func() {
			defer close(c.done)
			lines := bufio.NewScanner(c.stdout)
			lines.Buffer(nil, 10<<20)
			for lines.Scan() {
				m := message{at: time.Now()}
				if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
					c.t.Errorf("stdout is no protocol: %q", lines.Text())
					continue
				}
				c.got <- m
			}
		}()
	})
}

// write sends one JSON-RPC message.
func (c *channel) write(format string, args ...any) {
	c.t.Helper()
	if _, err := fmt.Fprintf(c.stdin, format+"\n", args...); err != nil {
		c.t.Fatal(err)
	}
}

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},` +
	`"clientInfo":{"name":"test","version":"1"}}}`

// hello makes the handshake of a host, up to and with initialized.
func (c *channel) hello() message {
	c.t.Helper()
	c.listen()
	c.write(initialize)
	m := c.next("answer to initialize")
	c.write(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return m
}

// next waits for a message.
func (c *channel) next(what string) message {
	c.t.Helper()
	select {
	case m := <-c.got:
		return m
	case <-time.After(patience):
		c.t.Fatalf("no %s within %s\n%s", what, patience, c.stderr)
		return message{}
	}
}

// silent fails if anything is pushed within d.
func (c *channel) silent(d time.Duration) {
	c.t.Helper()
	select {
	case m := <-c.got:
		c.t.Errorf("pushed %s %v, want nothing", m.Method, m.Params.Meta)
	case <-time.After(d):
	}
}

// body is a real Alertmanager envelope of n firing alerts; their fingerprints
// begin with tag and are told apart by their number.
func body(tag string, n int) string {
	alerts := make([]string, n)
	for i := range alerts {
		alerts[i] = fmt.Sprintf(`{"status":"firing","labels":{"alertname":"KubePodCrashLooping","namespace":"shop","pod":"cart-7d9f-%[1]s-%[2]d",`+
			`"container":"cart","severity":"critical","cluster":"prod"},"annotations":{"description":"Pod shop/cart is in waiting state"},`+
			`"startsAt":"2026-11-24T07:12:09.123456789Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus/graph","fingerprint":"%[1]s-%[2]d"}`, tag, i)
	}
	return `{"version":"4","groupKey":"{}:{alertname=\"KubePodCrashLooping\"}","truncatedAlerts":0,"status":"firing","receiver":"watchkeeper",` +
		`"groupLabels":{"alertname":"KubePodCrashLooping"},"commonLabels":{"alertname":"KubePodCrashLooping"},"commonAnnotations":{},` +
		`"externalURL":"http://alertmanager","alerts":[` + strings.Join(alerts, ",") + `]}`
}

// post sends a body and returns the status and what was said.
func post(t testing.TB, addr, body string) (int, string) {
	t.Helper()
	resp, err := http.Post("http://"+addr+"/webhook/alertmanager", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// memory opens the store at p.
func memory(t testing.TB, p place) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(p.state, "watchkeeper.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}
