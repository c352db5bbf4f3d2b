package claude_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"watchkeeper/test/messages"
)

const crashLoop = "KubePodCrashLooping"

// payload is a real body of Alertmanager: one firing crash loop on prod-eu1.
func payload(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "channels", "webhook", "testdata", "payloads", "alertmanager", "new-single-001.json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// event matches the push of an alert and catches its delivery as d.
func event(alert string) string {
	return `<channel source="webhook"[^>]* event="(alert|reminder)"[^>]* delivery="(?P<d>d\d+)"[^>]* alert="` + alert + `"`
}

// verdict is the arguments of log_verdict.
func verdict(verdict string, escalated bool) map[string]any {
	return map[string]any{
		"delivery": "${d}", "verdict": verdict, "escalated": escalated, "summary": "cart exits 1 since the release",
		"root_cause": "bad release", "actions": "none", "evidence": "kube_problems: cart in CrashLoopBackOff",
	}
}

// investigation is a scripted model that triages a crash loop as the runbook
// says. hold delays the first report, nil does not.
func investigation(hold <-chan struct{}) []messages.Rule {
	call := func(tool string, input map[string]any) []messages.Block {
		return []messages.Block{messages.Call(tool, input)}
	}
	report := []messages.Block{messages.Text("VERDICT: real\nDELIVERY: ${d}\nCAUSE: REPORT of ${d}: cart crashes since its release.\n" +
		"EVIDENCE:\n- CrashLoopBackOff (kube_problems)\nGAPS:\n- none\nACTION: none\nRECOMMEND: roll back")}
	rules := []messages.Rule{
		{
			Name: "dispatch", When: messages.Match{Agent: messages.Main, Text: event(crashLoop)},
			Reply: call("Agent", map[string]any{
				"description": "crash loop", "subagent_type": "investigator",
				"prompt": "Investigate delivery ${d}: KubePodCrashLooping on cart, cluster platform-prod.",
			}),
		},
		{
			Name: "history", When: messages.Match{Agent: messages.Sub, Text: `Investigate delivery (?P<d>d\d+)`, NoResult: true},
			Reply: call("mcp__sre-tools__incident_history", map[string]any{"delivery": "${d}"}),
		},
		{
			Name: "problems", When: messages.Match{Agent: messages.Sub, ResultOf: "mcp__sre-tools__incident_history"},
			Reply: call("mcp__sre-tools__kube_problems", map[string]any{"cluster": "platform-prod", "namespace": "shop"}),
		},
	}
	if hold != nil {
		rules = append(rules, messages.Rule{
			Name: "held", When: messages.Match{Agent: messages.Sub, ResultOf: "mcp__sre-tools__kube_problems"},
			Times: 1, Hold: hold,
		})
	}
	return append(rules,
		messages.Rule{Name: "report", When: messages.Match{
			Agent: messages.Sub, ResultOf: "mcp__sre-tools__kube_problems",
			Anywhere: `Investigate delivery (?P<d>d\d+)`,
		}, Reply: report},
		messages.Rule{
			Name: "verdict", When: messages.Match{Agent: messages.Main, Text: `REPORT of (?P<d>d\d+)`},
			Reply: call("mcp__sre-tools__log_verdict", verdict("real", true)),
		},
		messages.Rule{
			Name: "escalate", When: messages.Match{Agent: messages.Main, ResultOf: "mcp__sre-tools__log_verdict", Anywhere: `REPORT of (?P<d>d\d+)`},
			Reply: call("mcp__slack__escalate", map[string]any{
				"delivery": "${d}", "severity": "critical",
				"title": "cart crashes since its release", "text": "cart in platform-prod exits 1 since its release. Roll back?",
			}),
		},
		messages.Rule{Name: "done", When: messages.Match{Agent: messages.Main, ResultOf: "mcp__slack__escalate"}})
}

// checkResults fails the test if a tool of ours answered with an error.
func checkResults(t *testing.T, s *messages.Script) {
	t.Helper()
	for _, r := range s.Requests() {
		for _, res := range r.Results() {
			if res.Error {
				t.Errorf("%s answered: %s", res.Tool, res.Text)
			}
		}
	}
}

func TestAlertIsInvestigatedDecidedAndEscalated(t *testing.T) {
	script, api := model(t, investigation(nil)...)
	h := newHouse(t, api, "")
	h.post(payload(t))
	o := h.decided(crashLoop)
	if o.Verdict != "real" {
		t.Errorf("occurrence = %+v, want real", o)
	}
	if _, err := script.AwaitRule(within(t), "done"); err != nil {
		t.Fatal(err)
	}
	h.poll("escalation", func() bool { return h.decided(crashLoop).Escalated })
	checkResults(t, script)
	problems, err := script.AwaitRule(within(t), "report")
	if err != nil {
		t.Fatal(err)
	}
	if got := problems.Results(); len(got) != 1 || !strings.Contains(got[0].Text, "cart") {
		t.Errorf("kube_problems told the sub-agent %+v, want the crash loop of cart", got)
	}
	if first := script.Requests()[0]; !strings.Contains(first.LastText(), "=== SRE Briefing") {
		t.Errorf("the session began with %q, want the briefing", first.LastText())
	}
	if page := string(h.run("briefing")); !strings.Contains(page, "Total: 1 alerts | 0 noise | 1 real") {
		t.Errorf("briefing = %s", page)
	}
	var status map[string]any
	if err := json.Unmarshal(h.run("status", "--json"), &status); err != nil {
		t.Errorf("status --json: %v", err)
	}
}

func TestKnownNoiseIsDismissedWithoutASubAgent(t *testing.T) {
	script, api := model(t,
		messages.Rule{
			Name: "dismiss", When: messages.Match{Agent: messages.Main, Text: event("TenantInactive") + `[^>]* suggest="dismiss"`},
			Reply: []messages.Block{messages.Call("mcp__sre-tools__log_verdict", map[string]any{
				"delivery": "${d}", "verdict": "noise",
				"summary": "test tenants have no heartbeat",
			})},
		})
	h := newHouse(t, api, "policy: {known_noise: [{alert: TenantInactive, reason: test tenants have no heartbeat}]}\n")
	h.post(strings.ReplaceAll(payload(t), crashLoop, "TenantInactive"))
	if o := h.decided("TenantInactive"); o.Verdict != "noise" || o.Escalated {
		t.Errorf("occurrence = %+v, want noise, not escalated", o)
	}
	for _, r := range script.Requests() {
		if r.SubAgent() {
			t.Errorf("a sub-agent was spawned for known noise: %s", r.LastText())
		}
	}
	checkResults(t, script)
}

func TestKilledSessionIsReplacedAndTheAlertDecidedOnce(t *testing.T) {
	hold := make(chan struct{})
	script, api := model(t, investigation(hold)...)
	h := newHouse(t, api, "")
	defer close(hold)
	h.post(payload(t))
	if _, err := script.AwaitRule(within(t), "held"); err != nil {
		t.Fatal(err)
	}
	pids := h.sessions()
	if len(pids) != 1 {
		t.Fatalf("sessions = %v, want one", pids)
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if o := h.decided(crashLoop); o.Verdict != "real" {
		t.Errorf("occurrence = %+v, want real", o)
	}
	if _, err := script.AwaitRule(within(t), "done"); err != nil {
		t.Fatal(err)
	}
	if n := script.Count("verdict"); n != 1 {
		t.Errorf("%d verdicts, want one", n)
	}
	if n := len(h.history()); n != 1 {
		t.Errorf("%d occurrences, want one", n)
	}
	if again := h.sessions(); len(again) != 1 || again[0] == pids[0] {
		t.Errorf("sessions = %v after killing %v", again, pids)
	}
}

func TestOurServersAreAcceptedAsChannels(t *testing.T) {
	_, api := model(t)
	dir, state := t.TempDir(), t.TempDir()
	config := map[string]any{}
	for name, bin := range map[string]string{"webhook": "webhook-channel", "slack": "slack-channel", "sre-tools": "sre-tools"} {
		config[name] = map[string]any{"command": binary(t, bin), "args": []string{"--state", state}}
	}
	text, err := json.Marshal(map[string]any{"mcpServers": config})
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "watchkeeper.yaml", "listen: "+freePort(t)+"\n")
	env := append(environment(t, api, "ANTHROPIC_AUTH_TOKEN=dummy", "TERM=xterm-256color", "WATCHKEEPER_CONFIG="+filepath.Join(dir, "watchkeeper.yaml")),
		"HOME="+trusted(t, dir))
	w, debug := interactive(t, dir, write(t, dir, "mcp.json", string(text)), env,
		"--dangerously-load-development-channels", "server:webhook", "server:slack")
	checkChannel(t, w, debug, "webhook")
	checkChannel(t, w, debug, "slack")
}
