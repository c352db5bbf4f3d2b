// Package alertmanager_test lets a real Alertmanager send alerts to the built
// watchkeeper: grouped, repeated, resolved, and sent again after a receiver
// that was down.
package alertmanager_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 60 * time.Second

// required fails or skips a test whose tool is missing.
func required(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("WATCHKEEPER_REQUIRE_ALERTMANAGER") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format+" (make test-alertmanager needs it)", args...)
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// A house is a watchkeeper without a model, and an Alertmanager that sends to
// it.
type house struct {
	t                 *testing.T
	dir, addr, sender string
	up                *exec.Cmd
	log               *output
}

func newHouse(t *testing.T) *house {
	t.Helper()
	program, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		required(t, "no prometheus-alertmanager: %v", err)
	}
	h := &house{t: t, dir: t.TempDir(), addr: freePort(t), sender: freePort(t), log: new(output)}
	h.write("watchkeeper.yaml", "listen: "+h.addr+"\nsession: {mode: responder}\n"+
		"clusters: {platform-prod: {env: prod, aliases: [prod-eu1], kubeconfig: /nonexistent}}\n")
	h.write("alertmanager.yml", `
route: {receiver: watchkeeper, group_by: [alertname], group_wait: 1s, group_interval: 2s, repeat_interval: 3s}
receivers:
- name: watchkeeper
  webhook_configs: [{url: "http://`+h.addr+`/webhook/alertmanager", send_resolved: true}]
`)
	am := exec.Command(program, "--config.file="+filepath.Join(h.dir, "alertmanager.yml"), "--storage.path="+filepath.Join(h.dir, "am"),
		"--web.listen-address="+h.sender, "--cluster.listen-address=", "--log.level=error")
	am.Stderr = h.log
	if err := am.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { am.Process.Kill(); am.Wait() })
	h.answers("http://" + h.sender + "/-/ready")
	return h
}

// An output keeps what several processes say at once.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

// String returns what was said so far.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func (h *house) write(name, text string) {
	h.t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) program() string {
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", "watchkeeper"))
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		required(h.t, "%v; run make build", err)
	}
	return path
}

// start goes on duty.
func (h *house) start() {
	h.t.Helper()
	h.up = exec.Command(h.program(), "up", "--config", filepath.Join(h.dir, "watchkeeper.yaml"), "--state", filepath.Join(h.dir, "state"))
	h.up.Stderr, h.up.Stdout = h.log, h.log
	if err := h.up.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(h.kill)
	h.answers("http://" + h.addr + "/readyz")
}

func (h *house) kill() {
	h.up.Process.Kill()
	h.up.Wait()
}

func (h *house) answers(url string) {
	h.t.Helper()
	h.poll(url, func() bool {
		resp, err := http.Get(url)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

func (h *house) poll(what string, ok func() bool) {
	h.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			h.t.Fatalf("no %s within %s\n%s", what, patience, h.log)
		}
	}
}

// fire tells Alertmanager of alerts that last until end.
func (h *house) fire(end time.Time, names ...string) {
	h.t.Helper()
	var alerts []string
	for _, n := range names {
		alerts = append(alerts, fmt.Sprintf(`{"labels":{"alertname":%q,"severity":"critical","cluster":"prod-eu1","namespace":"shop","pod":"cart-7d9f-x2k4p"},`+
			`"annotations":{"summary":"cart is restarting"},"startsAt":%q,"endsAt":%q}`, n, time.Now().UTC().Format(time.RFC3339Nano), end.UTC().Format(time.RFC3339Nano)))
	}
	resp, err := http.Post("http://"+h.sender+"/api/v2/alerts", "application/json", strings.NewReader("["+strings.Join(alerts, ",")+"]"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		h.t.Fatalf("alertmanager answers %s", resp.Status)
	}
}

type occurrence struct {
	Alert, Cluster, Env, Status, State, Verdict, Delivery string
	Count                                                 int
	Escalated                                             bool
}

func (h *house) history() (all []occurrence) {
	h.t.Helper()
	cmd := exec.Command(h.program(), "history", "--json", "--config", filepath.Join(h.dir, "watchkeeper.yaml"), "--state", filepath.Join(h.dir, "state"))
	out, err := cmd.Output()
	if err != nil {
		h.t.Fatalf("history: %v", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var o occurrence
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			h.t.Fatalf("history says %q: %v", lines.Text(), err)
		}
		all = append(all, o)
	}
	return all
}

// TestAlertmanagerDrivesATriage fires, repeats and resolves an alert.
func TestAlertmanagerDrivesATriage(t *testing.T) {
	h := newHouse(t)
	h.start()
	h.fire(time.Now().Add(8*time.Second), "KubePodCrashLooping")
	var got occurrence
	h.poll("verdict", func() bool {
		all := h.history()
		if len(all) == 1 {
			got = all[0]
		}
		return got.Verdict != ""
	})
	if got.Cluster != "platform-prod" || got.Env != "prod" || !got.Escalated {
		t.Errorf("occurrence = %+v, want it on platform-prod, prod, escalated: the cluster cannot be reached", got)
	}
	h.poll("resolve", func() bool { return h.history()[0].Status == "resolved" })
	if all := h.history(); len(all) != 1 || all[0].Count < 2 {
		t.Errorf("history = %+v, want one occurrence that was repeated", all)
	}
}

// TestNothingIsLostWhileWeAreDown fires while nobody listens, and again while
// the receiver is killed.
func TestNothingIsLostWhileWeAreDown(t *testing.T) {
	h := newHouse(t)
	h.fire(time.Now().Add(5*time.Minute), "FiredWhileDown")
	h.start()
	h.poll("alert from before the start", func() bool { return len(h.history()) == 1 })
	h.kill()
	h.fire(time.Now().Add(5*time.Minute), "FiredWhileKilled")
	h.start()
	h.poll("alert of the time between", func() bool { return len(h.history()) == 2 })
	for _, o := range h.history() {
		if o.Delivery == "" {
			t.Errorf("occurrence %+v has no delivery", o)
		}
	}
}
