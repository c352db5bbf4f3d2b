package claude_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"watchkeeper/demo/cluster"
)

// house is `watchkeeper up` at work with the real CLI: intake, pump and
// session, on a state directory of its own.
type house struct {
	t      *testing.T
	dir    string // the workspace
	state  string
	listen string
	env    []string
	cmd    *exec.Cmd
	log    *output
	done   chan error
}

// binary returns a built binary of ours.
func binary(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		missing(t, "no %s: %v; run make build", name, err)
	}
	return path
}

// newHouse makes the workspace and starts watchkeeper up. config is added to
// watchkeeper.yaml; prepare changes what it starts with.
func newHouse(t *testing.T, api, config string, prepare ...func(*house)) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), state: filepath.Join(t.TempDir(), "state"), listen: freePort(t)}
	for _, name := range []string{"watchkeeper", "webhook-channel", "slack-channel", "sre-tools"} {
		binary(t, name)
	}
	for _, part := range []string{"CLAUDE.md", ".claude", "playbooks"} {
		copyTree(t, filepath.Join("..", "..", part), filepath.Join(h.dir, part))
	}
	clusters := httptest.NewServer(cluster.New(time.Now()))
	t.Cleanup(clusters.Close)
	kubeconfig := write(t, h.dir, "kubeconfig", string(cluster.Kubeconfig(clusters.URL, cluster.Names()...)))
	write(t, h.dir, "watchkeeper.yaml", "listen: "+h.listen+"\n"+
		"clusters:\n  platform-prod: {env: prod, aliases: [prod-eu1]}\n  platform-dev: {env: dev}\n"+
		"session: {mode: stream, claude: "+cli(t)+"}\n"+config)
	h.env = environment(t, api, apiKey, "KUBECONFIG="+kubeconfig)
	for _, p := range prepare {
		p(h)
	}
	h.up()
	t.Cleanup(h.stop)
	return h
}

// up starts the house and waits until it is ready for alerts.
func (h *house) up() {
	h.t.Helper()
	h.cmd = exec.Command(binary(h.t, "watchkeeper"), "up", "--config", filepath.Join(h.dir, "watchkeeper.yaml"), "--state", h.state)
	h.cmd.Dir, h.cmd.Env = h.dir, h.env
	h.log = &output{t: h.t}
	h.cmd.Stdout, h.cmd.Stderr = h.log, h.log
	if err := h.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.done = make(chan error, 1)
	go func() { h.done <- h.cmd.Wait() }()
	h.poll("readiness", func() bool {
		resp, err := http.Get("http://" + h.listen + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// stop ends the house in order.
func (h *house) stop() {
	h.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-h.done:
		if err != nil {
			h.t.Errorf("watchkeeper up ended with %v", err)
		}
	case <-time.After(patience):
		h.cmd.Process.Kill()
		h.t.Error("watchkeeper up does not end")
	}
}

// poll waits until ok holds.
func (h *house) poll(what string, ok func() bool) {
	h.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for !ok() {
		select {
		case err := <-h.done:
			h.t.Fatalf("waiting for %s: watchkeeper up ended: %v\n%s", what, err, h.log)
		case <-end:
			h.t.Fatalf("no %s within %s\n%s", what, patience, h.log)
		case <-tick.C:
		}
	}
}

// post sends a body to the intake, as a sender does.
func (h *house) post(body string) {
	h.t.Helper()
	resp, err := http.Post("http://"+h.listen+"/webhook/alertmanager", "application/json", strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		h.t.Fatalf("the intake answers %s: %s, %v", resp.Status, text, err)
	}
}

// occurrence is a line of `watchkeeper history --json`.
type occurrence struct {
	Alert     string     `json:"alert"`
	Service   string     `json:"service"`
	Status    string     `json:"status"`
	EndsAt    *time.Time `json:"ends_at"`
	Delivery  string     `json:"delivery"`
	State     string     `json:"state"`
	Verdict   string     `json:"verdict"`
	Escalated bool       `json:"escalated"`
}

// history returns what the memory holds, newest first.
func (h *house) history() []occurrence {
	h.t.Helper()
	text := h.run("history", "--json")
	var all []occurrence
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		var o occurrence
		if err := json.Unmarshal(sc.Bytes(), &o); err != nil {
			h.t.Fatalf("history says %q: %v", sc.Text(), err)
		}
		all = append(all, o)
	}
	return all
}

// run runs a command of the CLI of ours on the same state.
func (h *house) run(args ...string) []byte {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(h.t, "watchkeeper"), append(args, "--config", filepath.Join(h.dir, "watchkeeper.yaml"), "--state", h.state)...)
	cmd.Dir, cmd.Env = h.dir, h.env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("watchkeeper %q: %v: %s", args, err, &stderr)
	}
	return out
}

// decided waits until the alert has its verdict.
func (h *house) decided(alert string) occurrence {
	h.t.Helper()
	var found occurrence
	h.poll("verdict of "+alert, func() bool {
		for _, o := range h.history() {
			if o.Alert == alert && o.State == "done" && o.Verdict != "" {
				found = o
				return true
			}
		}
		return false
	})
	return found
}

// sessions lists the processes of the real CLI that run in the workspace.
func (h *house) sessions() []int {
	var pids []int
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, l := range links {
		proc := filepath.Dir(l)
		cwd, err := os.Readlink(l)
		line, err2 := os.ReadFile(filepath.Join(proc, "cmdline"))
		if err == nil && err2 == nil && cwd == h.dir && bytes.Contains(line, []byte("stream-json")) {
			var pid int
			if json.Unmarshal([]byte(filepath.Base(proc)), &pid) == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func copyTree(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		t.Fatalf("the runbook is incomplete: %v", err)
	}
	if info.IsDir() {
		err = os.CopyFS(to, os.DirFS(from))
	} else if text, e := os.ReadFile(from); e != nil {
		err = e
	} else {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// output keeps what a process says, for the message of a failed test.
type output struct {
	t  *testing.T
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
