package tools_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcptest"
	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/tools"
)

func openStore(t testing.TB) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "memory.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func playbooks(t testing.TB) runbook.Playbooks {
	t.Helper()
	ps, err := runbook.LoadPlaybooks(os.DirFS("../playbooks"))
	if err != nil {
		t.Fatal(err)
	}
	return ps
}

// startWith serves any tools.
func startWith(t *testing.T, sets ...server.ServerTool) session {
	t.Helper()
	srv, err := mcptest.NewServer(t, sets...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return session{t, srv}
}

// A past is a memory with a day's alerts in it, and a session with its tools.
type past struct {
	session
	store *sqlite.Store
	now   time.Time
}

func startMemory(t *testing.T, cfg tools.MemoryConfig) past {
	t.Helper()
	store := openStore(t)
	return past{startWith(t, tools.Memory(store, playbooks(t), cfg)...), store, time.Now().UTC().Truncate(time.Second)}
}

// alert is a firing one that began at a time; change it as needed.
func alert(name, service string, starts time.Time) runbook.Alert {
	return runbook.Alert{
		Source: "test", Fingerprint: name + "/" + service, StartsAt: starts, Status: runbook.Firing,
		Name: name, Severity: runbook.Warning, SeverityRaw: "warning", Service: service, Cluster: "platform-prod",
		Namespace: "shop", Env: runbook.Prod, Labels: map[string]string{"alertname": name, "pod": service + "-1"},
	}
}

// putAlert stores alerts that arrive together and returns the name of their
// delivery.
func putAlert(t testing.TB, store *sqlite.Store, alerts ...runbook.Alert) string {
	t.Helper()
	if _, err := store.Put(t.Context(), runbook.Batch{Source: "test", ReceivedAt: alerts[0].StartsAt.Add(time.Minute), Alerts: alerts}); err != nil {
		t.Fatal(err)
	}
	ds, err := store.Open(t.Context())
	if err != nil || len(ds) == 0 {
		t.Fatalf("open deliveries = %v, %v", ds, err)
	}
	return ds[len(ds)-1].ID.String()
}

// put stores alerts that arrive at a time and returns the delivery of the last.
func (p past) put(at time.Time, alerts ...runbook.Alert) runbook.DeliveryID {
	p.t.Helper()
	if _, err := p.store.Put(p.t.Context(), runbook.Batch{Source: "test", ReceivedAt: at, Alerts: alerts}); err != nil {
		p.t.Fatal(err)
	}
	ds, err := p.store.Open(p.t.Context())
	if err != nil || len(ds) == 0 {
		p.t.Fatalf("open deliveries = %v, %v", ds, err)
	}
	return ds[len(ds)-1].ID
}

// before stores one that fired some time ago, lasted 4 minutes and got a
// verdict.
func (p past) before(ago time.Duration, a runbook.Alert, v runbook.Verdict, summary string) runbook.DeliveryID {
	p.t.Helper()
	at := p.now.Add(-ago)
	a.StartsAt = at
	id := p.put(at, a)
	a.Status, a.EndsAt = runbook.Resolved, at.Add(4*time.Minute)
	if _, err := p.store.Put(p.t.Context(), runbook.Batch{Source: "test", ReceivedAt: a.EndsAt, Alerts: []runbook.Alert{a}}); err != nil {
		p.t.Fatal(err)
	}
	p.decide(id, v, summary, at.Add(5*time.Minute))
	return id
}

func (p past) decide(id runbook.DeliveryID, v runbook.Verdict, summary string, at time.Time) {
	p.t.Helper()
	_, err := p.store.LogVerdict(p.t.Context(), runbook.Incident{
		Delivery: id, Verdict: v, Summary: summary, RootCause: "cause of " + summary,
		Actions: "none", DecidedBy: "session", DecidedAt: at,
	}, false)
	if err != nil {
		p.t.Fatal(err)
	}
}

// ok calls a tool that must not fail.
func (s session) ok(name string, args map[string]any) string {
	s.t.Helper()
	got, failed := s.call(name, args)
	if failed {
		s.t.Fatalf("%s%v failed: %s", name, args, got)
	}
	return got
}

// refuses calls a tool that must fail with a text.
func (s session) refuses(name string, args map[string]any, wants ...string) {
	s.t.Helper()
	got, failed := s.call(name, args)
	if !failed {
		s.t.Errorf("%s%v succeeded, want an error: %s", name, args, got)
	}
	contains(s.t, got, wants...)
}

func TestHistoryClaimsAndTellsWhatHappenedBefore(t *testing.T) {
	p := startMemory(t, tools.MemoryConfig{})
	p.before(20*runbook.Day, alert("KubePodCrashLooping", "cart", p.now), runbook.Real, "bad release")
	p.before(3*runbook.Day, alert("KubePodCrashLooping", "cart", p.now), runbook.Noise, "probe too tight")
	p.before(2*time.Hour, alert("KubePodCrashLooping", "cart", p.now), runbook.Noise, "probe again")
	id := p.put(p.now, alert("KubePodCrashLooping", "cart", p.now.Add(-2*time.Minute)))
	got := p.ok("incident_history", map[string]any{"delivery": id.String()})
	contains(t, got,
		id.String()+`: "KubePodCrashLooping" on cart, cluster platform-prod, prod, warning, firing, 1 alert, namespace shop.`,
		"Claimed. It has no verdict yet",
		"3rd in 14 days; 7 days: 2 noise",
		"1 day: 2 alerts (1 noise, 1 undecided). 7 days: 3 alerts (2 noise, 1 undecided). 30 days: 4 alerts (2 noise, 1 real, 1 undecided).",
		"lasted 4 min: noise by session: probe again", "| "+"  cause: cause of probe too tight", ": real by session: bad release",
		`| firing warning "KubePodCrashLooping" since`, "|   pod=cart-1")
	if d, err := p.store.Delivery(t.Context(), id); err != nil || d.State != runbook.Claimed {
		t.Errorf("delivery is %s (%v), want claimed", d.State, err)
	}
	if got := p.ok("incident_history", map[string]any{"delivery": id.String(), "days": 7}); strings.Contains(got, "bad release") {
		t.Errorf("days: 7 tells of an incident 20 days ago:\n%s", got)
	}
}

func TestHistoryWithoutADeliveryClaimsNothing(t *testing.T) {
	p := startMemory(t, tools.MemoryConfig{})
	id := p.put(p.now, alert("Latency", "tenant-test-1", p.now))
	p.put(p.now, alert("Latency", "tenant-test-2", p.now))
	got := p.ok("incident_history", map[string]any{"alert": "Latency", "service": "tenant-test-3", "cluster": "platform-prod"})
	contains(t, got, `"Latency" on tenant-test-3, cluster platform-prod.`, "First time in 30 days on tenant-test-3; 2 on tenant-test-*",
		"7 days: none", "Family tenant-test-*: 7 days: 2 alerts (2 undecided)", "No earlier one is known.")
	if d, err := p.store.Delivery(t.Context(), id); err != nil || d.State != runbook.Queued {
		t.Errorf("delivery is %s (%v), want queued", d.State, err)
	}
	p.refuses("incident_history", map[string]any{}, "give delivery (d42), or alert")
	p.refuses("incident_history", map[string]any{"delivery": "cart"}, "it is written d42")
	p.refuses("incident_history", map[string]any{"delivery": "d999"}, "there is no delivery d999")
}

func TestHistoryOfSeveralServicesIsToldByService(t *testing.T) {
	p := startMemory(t, tools.MemoryConfig{})
	p.before(runbook.Day, alert("ServiceDown", "cart", p.now), runbook.Real, "node lost")
	id := p.put(p.now, alert("ServiceDown", "cart", p.now), alert("ServiceDown", "backend", p.now))
	got := p.ok("incident_history", map[string]any{"delivery": id.String()})
	contains(t, got, `"ServiceDown" on several`, `"ServiceDown" on cart, cluster platform-prod: 1, 1 firing. 2nd in 14 days`, "real by session: node lost",
		`"ServiceDown" on backend, cluster platform-prod: 1, 1 firing. First time in 30 days`)
}

func TestVerdictClosesOnce(t *testing.T) {
	p := startMemory(t, tools.MemoryConfig{})
	id := p.put(p.now, alert("KubePodCrashLooping", "cart", p.now))
	args := map[string]any{"delivery": id.String(), "verdict": "auto_fixed", "summary": "OOMKilled, recovered", "actions": "restarted by kubelet"}
	got := p.ok("log_verdict", args)
	if want := fmt.Sprintf("Logged: %s is auto_fixed; it closes 1 alert of %q on cart, cluster platform-prod.\n", id, "KubePodCrashLooping"); got != want {
		t.Errorf("log_verdict = %q, want %q", got, want)
	}
	p.refuses("log_verdict", args, id.String()+" is already decided: auto_fixed by session at ", "OOMKilled, recovered", "revise: true")
	contains(t, p.ok("incident_history", map[string]any{"delivery": id.String()}), "Already decided: auto_fixed by session")
	args["verdict"], args["revise"] = "noise", true
	contains(t, p.ok("log_verdict", args), "is noise")
	in, err := p.store.Incident(t.Context(), id)
	if err != nil || in.Verdict != runbook.Noise || in.DecidedBy != "session" || in.Actions != "restarted by kubelet" {
		t.Errorf("incident = %+v, %v", in, err)
	}
}

func TestVerdictSaysWhoShouldHaveBeenTold(t *testing.T) {
	policy := runbook.Policy{EscalateAlways: []runbook.Match{{Category: "certificate"}}}
	tests := []struct {
		name  string
		alert func(*runbook.Alert)
		args  map[string]any
		want  string // "" is no reminder
	}{
		{"real, critical, prod", func(a *runbook.Alert) { a.Severity = runbook.Critical }, nil, "REMINDER: this is real, critical and on prod, and no person was told"},
		{"an unknown environment is prod", func(a *runbook.Alert) { a.Severity, a.Env = runbook.Critical, runbook.EnvUnknown }, nil, "an unknown environment, which counts as prod"},
		{"escalated", func(a *runbook.Alert) { a.Severity = runbook.Critical }, map[string]any{"escalated": true}, ""},
		{"dev", func(a *runbook.Alert) { a.Severity, a.Env = runbook.Critical, runbook.Dev }, nil, ""},
		{"noise", func(a *runbook.Alert) { a.Severity = runbook.Critical }, map[string]any{"verdict": "noise"}, ""},
		{"only a warning", func(*runbook.Alert) {}, nil, ""},
		{"a warning that the policy escalates", func(a *runbook.Alert) { a.Name = "CertManagerCertNotReady" }, nil, "the policy says to escalate it always"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := startMemory(t, tools.MemoryConfig{Policy: policy})
			a := alert("Something", "cart", p.now)
			tt.alert(&a)
			args := map[string]any{"delivery": p.put(p.now, a).String(), "verdict": "real", "summary": "broken"}
			maps.Copy(args, tt.args)
			got := p.ok("log_verdict", args)
			if strings.Contains(got, "REMINDER") != (tt.want != "") || !strings.Contains(got, tt.want) {
				t.Errorf("log_verdict = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestVerdictErrorsTeach(t *testing.T) {
	p := startMemory(t, tools.MemoryConfig{})
	id := p.put(p.now, alert("Latency", "cart", p.now)).String()
	p.refuses("log_verdict", map[string]any{"delivery": id, "verdict": "fixed", "summary": "x"}, `argument "verdict" is "fixed", want one of noise, real, auto_fixed`)
	p.refuses("log_verdict", map[string]any{"delivery": id, "verdict": "noise"}, `argument "summary" is missing`)
	p.refuses("log_verdict", map[string]any{"delivery": id, "verdict": "noise", "summary": " \u200b\n"}, "summary says nothing")
	p.refuses("log_verdict", map[string]any{"delivery": "d77", "verdict": "noise", "summary": "x"}, "there is no delivery d77")
}

func TestBriefingIsThePage(t *testing.T) {
	p := startMemory(t, tools.MemoryConfig{})
	for i := range 3 {
		p.before(time.Duration(i+1)*time.Hour, alert("Tenant Inactive", fmt.Sprintf("tenant-test-%d", i), p.now), runbook.Noise, "no heartbeat")
	}
	p.before(30*time.Minute, alert("</channel>Disk", "db", p.now), runbook.Real, "full <b>disk</b>")
	got := p.ok("briefing", nil)
	contains(t, got, "=== SRE Briefing — Last 7 Days ===\nTotal: 4 alerts | 3 noise | 1 real | 0 auto-fixed | 0 escalated\n"+
		"Recurring noise (consider tuning):\n  - Tenant Inactive on tenant-test-* | 3x\nRecent real incidents:\n  - [",
		"‹/channel›Disk on db — real: full ‹b›disk‹/b›")
	p.refuses("briefing", map[string]any{"days": 400}, "want 1 to 90")
}

func TestPlaybookByNameOrByEvent(t *testing.T) {
	p := startMemory(t, tools.MemoryConfig{})
	id := p.put(p.now, alert("KubePodCrashLooping", "cart", p.now))
	byName := p.ok("get_playbook", map[string]any{"name": "pod-crash-loop"})
	contains(t, byName, "# Playbook pod-crash-loop: ", "Look first at: ")
	if got := p.ok("get_playbook", map[string]any{"delivery": id.String()}); got != byName {
		t.Errorf("by delivery another page:\n%.300s", got)
	}
	if d, err := p.store.Delivery(t.Context(), id); err != nil || d.State != runbook.Claimed {
		t.Errorf("delivery is %s (%v), want claimed", d.State, err)
	}
	p.refuses("get_playbook", map[string]any{"name": "../../etc/passwd"}, `there is no playbook "../../etc/passwd"; there are argo-workflows, `)
	p.refuses("get_playbook", map[string]any{}, "give name or delivery")
}
