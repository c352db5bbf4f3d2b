package intake_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"watchkeeper/channels/slack/fakeslack"
	"watchkeeper/demo/cluster"
)

// Bounds of the resident memory, in MiB, of each server at work and of all
// programs beside the CLI on a machine of 2 GB.
const (
	webhookBound = 30
	slackBound   = 40
	toolsBound   = 70
	wholeBound   = 150
)

// BenchmarkMemory prints what each program holds at its start and after some
// work, in MiB, and fails where that is too much.
func BenchmarkMemory(b *testing.B) {
	b.Run("webhook-channel", benchmarkWebhookMemory)
	b.Run("slack-channel", benchmarkSlackMemory)
	b.Run("sre-tools", benchmarkToolsMemory)
	b.Run("whole", benchmarkWholeMemory)
}

// The channel must stay flat: after its start, 10,000 alerts and 100,000.
func benchmarkWebhookMemory(b *testing.B) {
	p := newPlace(b)
	c := start(b, p)
	c.hello()
	c.ignore()
	b.ReportMetric(resident(b, c), "start-MiB")
	flood(p.addr, "warm", 8, 125, 10)
	b.ReportMetric(resident(b, c), "10k-MiB")
	flood(p.addr, "full", 8, 1125, 10)
	within(b, "100k-MiB", resident(b, c), webhookBound)
}

func benchmarkSlackMemory(b *testing.B) {
	s := newScene(b)
	c := s.run("slack-channel")
	c.hello()
	b.ReportMetric(resident(b, c), "start-MiB")
	speak(c)
	s.await(func() bool { return len(s.slack.Calls("chat.postMessage")) >= 6 }, "six escalations in Slack", c)
	within(b, "worked-MiB", resident(b, c), slackBound)
}

func benchmarkToolsMemory(b *testing.B) {
	s := newScene(b)
	c := s.run("sre-tools")
	c.hello()
	b.ReportMetric(resident(b, c), "start-MiB")
	look(c)
	within(b, "worked-MiB", resident(b, c), toolsBound)
}

// benchmarkWholeMemory runs everything that a session has beside the CLI: up
// hosts all parts, and the three servers stand by. The responder works in
// place of the session.
func benchmarkWholeMemory(b *testing.B) {
	s := newScene(b)
	up := s.run("watchkeeper", "up", "--mode", "responder")
	up.listens()
	all := map[string]*channel{"up": up}
	for _, name := range []string{"webhook-channel", "slack-channel", "sre-tools"} {
		all[name] = s.run(name)
		all[name].hello()
	}
	all["webhook-channel"].ignore()
	flood(s.addr, "whole", 8, 125, 10)
	speak(all["slack-channel"])
	look(all["sre-tools"])
	s.await(func() bool { return len(s.slack.Calls("chat.postMessage")) >= 6 }, "six escalations in Slack", up)
	sum := 0.0
	for _, name := range slices.Sorted(maps.Keys(all)) {
		mib := resident(b, all[name])
		b.ReportMetric(mib, name+"-MiB")
		sum += mib
	}
	within(b, "sum-MiB", sum, wholeBound)
}

// within reports mib, and fails when it is above bound.
func within(b *testing.B, unit string, mib, bound float64) {
	b.Helper()
	b.ReportMetric(mib, unit)
	if mib > bound {
		b.Errorf("%s is %.1f, want at most %.0f", unit, mib, bound)
	}
}

// A scene is a place with a Slack and two clusters.
type scene struct {
	place
	t      testing.TB
	config string
	env    []string
	slack  *fakeslack.Server
}

func newScene(t testing.TB) *scene {
	t.Helper()
	slack, err := fakeslack.Start(fakeslack.Options{Burst: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slack.Close() })
	slack.AddUser(fakeslack.User{ID: "U0123AB4CD", Name: "ann"})
	clusters := httptest.NewServer(cluster.New(time.Now()))
	t.Cleanup(clusters.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, cluster.Kubeconfig(clusters.URL, cluster.Names()...), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &scene{place: newPlace(t), t: t, slack: slack}
	s.env = []string{"KUBECONFIG=" + kubeconfig, "SLACK_BOT_TOKEN=xoxb-fake", "SLACK_APP_TOKEN=xapp-fake"}
	s.config = "listen: " + s.addr + "\noncall: {slack_user: U0123AB4CD}\nslack: {api_url: " + slack.URL() + "}\n" +
		"clusters: {platform-prod: {env: prod, aliases: [prod]}, platform-dev: {env: dev}}\n"
	return s
}

func (s *scene) run(program string, args ...string) *channel {
	s.t.Helper()
	return spawn(s.t, s.place, s.config, s.env, program, args...)
}

// await waits until ok holds.
func (s *scene) await(ok func() bool, what string, c *channel) {
	s.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("no %s within %s\n%s", what, patience, c.stderr)
		}
	}
}

// speak does with slack-channel what a bad night does.
func speak(c *channel) {
	for i := range 6 {
		c.call("escalate", map[string]any{
			"title": fmt.Sprintf("cart-%d crashes since its release", i), "severity": "critical",
			"found": strings.Repeat("It exits 1. ", 50), "recommend": "Roll back.", "default": "Nothing is changed.",
		})
		c.call("send_message", map[string]any{"text": fmt.Sprintf("tenant-%d is quiet again", i)})
	}
	c.call("list_escalations", map[string]any{})
}

// look does with sre-tools what an investigation or two do.
func look(c *channel) {
	for _, name := range cluster.Names() {
		for range 2 {
			c.call("kube_problems", map[string]any{"cluster": name})
			c.call("kube_get", map[string]any{"cluster": name, "kind": "pods"})
			c.call("kube_get", map[string]any{"cluster": name, "kind": "deployments"})
			c.call("kube_events", map[string]any{"cluster": name})
			c.call("argocd_apps", map[string]any{"cluster": name})
			c.call("first_look", map[string]any{"cluster": name, "service": "cart", "namespace": "shop"})
		}
	}
	c.call("kube_logs", map[string]any{"cluster": "platform-prod", "namespace": "shop", "name": "cart"})
	c.call("incident_history", map[string]any{"alert": "KubePodCrashLooping", "service": "cart", "cluster": "platform-prod"})
	c.call("briefing", map[string]any{})
}

// call calls a tool and fails if the tool does.
func (c *channel) call(tool string, args map[string]any) {
	c.t.Helper()
	params, err := json.Marshal(map[string]any{"name": tool, "arguments": args})
	if err != nil {
		c.t.Fatal(err)
	}
	c.write(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":%s}`, params)
	for {
		m := c.next("answer of " + tool)
		if m.ID == nil {
			continue // pushed in between
		}
		var result struct {
			IsError bool `json:"isError"`
		}
		if err := json.Unmarshal(m.Result, &result); err != nil || result.IsError {
			c.t.Fatalf("%s answers %s", tool, m.Result)
		}
		return
	}
}

// ignore reads and forgets whatever is pushed from now on.
func (c *channel) ignore() {
	go func() {
		for {
			select {
			case <-c.got:
			case <-c.done:
				return
			}
		}
	}()
}

// resident returns the resident memory of a process in MiB.
func resident(b *testing.B, c *channel) float64 {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		b.Skipf("no /proc here: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.Atoi(strings.Fields(v)[0])
			if err != nil {
				b.Fatal(err)
			}
			return float64(kib) / 1024
		}
	}
	b.Fatal("no VmRSS")
	return 0
}
