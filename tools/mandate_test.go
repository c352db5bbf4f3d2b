package tools_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"watchkeeper/demo/cluster"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/tools"
)

// acceptDryRuns is a cluster that accepts every dry run: samples are read-only,
// and what a real API server does is tested against one.
func acceptDryRuns(cluster http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("dryRun") == "All" {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"apiVersion":"v1","kind":"Status","status":"Success"}`)
			return
		}
		cluster.ServeHTTP(w, r)
	})
}

// rehearsed are the sample clusters, which accept every dry run.
func rehearsed(t testing.TB) *tools.Clusters {
	t.Helper()
	srv := httptest.NewServer(acceptDryRuns(cluster.New(time.Now().Truncate(time.Second))))
	t.Cleanup(srv.Close)
	return tools.NewClusters(
		tools.ClusterConfig{Name: "platform-prod", Env: runbook.Prod, Aliases: []string{"platform"}, Config: cluster.RESTConfig(srv.URL, "platform-prod")},
		tools.ClusterConfig{Name: "platform-dev", Env: runbook.Dev, Config: cluster.RESTConfig(srv.URL, "platform-dev")},
	)
}

// heard stores a message of a person who is on call and returns the name of its
// delivery, which is of the given kind.
func heard(t testing.TB, store *sqlite.Store, kind runbook.EventKind, at time.Time) string {
	t.Helper()
	h := runbook.Heard{EventID: t.Name() + at.String(), Channel: "D1", TS: fmt.Sprint(at.UnixNano()), User: "U1", Text: "please restart payments", ReceivedAt: at}
	if _, err := store.Hear(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	waiting, err := store.Unhandled(t.Context())
	if err != nil || len(waiting) != 1 {
		t.Fatalf("unhandled = %v, %v", waiting, err)
	}
	if err := store.DeliverHeard(t.Context(), waiting[0], kind, 0, at); err != nil {
		t.Fatal(err)
	}
	ds, err := store.Open(t.Context())
	if err != nil || len(ds) == 0 {
		t.Fatalf("open deliveries = %v, %v", ds, err)
	}
	return ds[len(ds)-1].ID.String()
}

// ended is an event whose alert has recovered.
func (p past) ended() string {
	p.t.Helper()
	a := alert("ServiceDown", "payments", p.now.Add(-5*time.Minute))
	id := putAlert(p.t, p.store, a)
	a.Status, a.EndsAt = runbook.Resolved, p.now
	if _, err := p.store.Put(p.t.Context(), runbook.Batch{Source: "test", ReceivedAt: p.now, Alerts: []runbook.Alert{a}}); err != nil {
		p.t.Fatal(err)
	}
	return id
}

// decided is an event that has its verdict, while its alert still fires.
func (p past) decided() string {
	p.t.Helper()
	id := p.put(p.now, alert("ServiceDown", "payments", p.now))
	in := runbook.Incident{Delivery: id, Verdict: runbook.Noise, Summary: "x", DecidedBy: "session", DecidedAt: p.now}
	if _, err := p.store.LogVerdict(p.t.Context(), in, false); err != nil {
		p.t.Fatal(err)
	}
	return id.String()
}

// with changes an alert.
func with(a runbook.Alert, change func(*runbook.Alert)) runbook.Alert {
	change(&a)
	return a
}

func TestAWriteNeedsAMandate(t *testing.T) {
	now := time.Now().UTC().Truncate(time.Second)
	down := alert("ServiceDown", "payments", now.Add(-5*time.Minute))
	alerts := func(list ...runbook.Alert) func(past) string {
		return func(p past) string { return putAlert(p.t, p.store, list...) }
	}
	asks := func(kind runbook.EventKind, at time.Time) func(past) string {
		return func(p past) string { return heard(p.t, p.store, kind, at) }
	}
	tests := []struct {
		name   string
		event  func(past) string
		policy runbook.Policy
		want   string // of the refusal; "" is allowed
	}{
		{"an alert whose playbook allows it", alerts(down), runbook.Policy{}, ""},
		{"the cluster by its other name", alerts(with(down, func(a *runbook.Alert) { a.Cluster = "platform" })), runbook.Policy{}, ""},
		{"no cluster is named", alerts(with(down, func(a *runbook.Alert) { a.Cluster = "" })), runbook.Policy{}, ""},
		{"a person who asks", asks(runbook.EventMessage, now), runbook.Policy{}, ""},
		{"a person who asks, whatever the policy leaves to one", asks(runbook.EventMessage, now), runbook.Policy{EscalateAlways: []runbook.Match{{Alert: "*"}}}, ""},

		{"a playbook that allows something else", alerts(alert("ArgoCDAppOutOfSync", "payments", now)), runbook.Policy{}, `playbook argocd-app, which is that of "ArgoCDAppOutOfSync", allows refresh_argocd_app and not restart_deployment`},
		{"a playbook that allows nothing", alerts(alert("PostgresDown", "payments", now)), runbook.Policy{}, `playbook postgresql, which is that of "PostgresDown", allows no action`},
		{"an alert that nobody knows", alerts(alert("Something Else", "payments", now)), runbook.Policy{}, "playbook unknown, which is that of"},
		{"what the policy leaves to a person", alerts(down), runbook.Policy{EscalateAlways: []runbook.Match{{Service: "pay*", Reason: "money"}}}, `the policy leaves "ServiceDown" to a person (money)`},
		{"another cluster", alerts(with(down, func(a *runbook.Alert) { a.Cluster = "platform-dev" })), runbook.Policy{}, "is about cluster platform-dev, not platform-prod"},
		{"a cluster that is not configured", alerts(with(down, func(a *runbook.Alert) { a.Cluster = "elsewhere" })), runbook.Policy{}, "is about cluster elsewhere, not platform-prod"},
		{"three services at once", alerts(down, alert("ServiceDown", "cart", now), alert("ServiceDown", "orders", now)), runbook.Policy{}, "is about several services at once"},
		{"an alert that has ended", past.ended, runbook.Policy{}, "what has recovered needs nothing"},
		{"an alert that has its verdict", past.decided, runbook.Policy{}, "is closed"},
		{"somebody who acknowledges", asks(runbook.EventAcked, now), runbook.Policy{}, "is a notice (escalation_acked)"},
		{"a person who asked this morning", asks(runbook.EventMessage, now.Add(-3*time.Hour)), runbook.Policy{}, "was written 3 h ago"},
	}
	clusters := rehearsed(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			store := openStore(t)
			s := startWith(t, tools.Writes(clusters, store, tools.WritesConfig{Policy: tt.policy, Playbooks: playbooks(t), Limits: many})...)
			event := tt.event(past{s, store, now})
			got, failed := s.call("restart_deployment", prodArgs(map[string]any{"namespace": "shop", "name": "payments", "delivery": event, "reason": "wedged"}))
			if tt.want == "" {
				if failed || !strings.HasPrefix(got, "NOTHING WAS CHANGED YET.") {
					t.Errorf("answer = %q, want what would be done", got)
				}
				return
			}
			if !failed || !strings.Contains(got, "refused, nothing was changed: ") || !strings.Contains(got, tt.want) {
				t.Errorf("answer = %q, want a refusal with %q", got, tt.want)
			}
			rows, err := store.Audits(t.Context(), "restart_deployment", time.Time{})
			if err != nil || len(rows) != 1 || rows[0].Phase != "refused" {
				t.Errorf("audit = %+v, %v, want the refusal", rows, err)
			}
		})
	}
}

// Argo CD often runs in another cluster than what it deploys, and the alert is
// about the latter.
func TestARefreshMayBeInTheClusterOfArgoCD(t *testing.T) {
	store := openStore(t)
	s := startWith(t, tools.Writes(rehearsed(t), store, tools.WritesConfig{Playbooks: playbooks(t), Limits: many})...)
	id := putAlert(t, store, with(alert("ArgoCDAppOutOfSync", "data-service", time.Now()), func(a *runbook.Alert) { a.Cluster = "platform-dev" }))
	got := s.ok("refresh_argocd_app", prodArgs(map[string]any{"namespace": "argocd", "name": "data-service", "delivery": id, "reason": "the fix is merged and not seen"}))
	contains(t, got, "NOTHING WAS CHANGED YET.")
}

func TestWithoutPlaybooksNothingIsAllowed(t *testing.T) {
	store := openStore(t)
	s := startWith(t, tools.Writes(rehearsed(t), store, tools.WritesConfig{Limits: many})...)
	id := putAlert(t, store, alert("ServiceDown", "payments", time.Now()))
	s.refuses("restart_deployment", prodArgs(map[string]any{"namespace": "shop", "name": "payments", "delivery": id, "reason": "wedged"}), `no playbook fits "ServiceDown"`)
	s.refuses("restart_deployment", prodArgs(map[string]any{"namespace": "shop", "name": "payments", "reason": "wedged"}), `argument "delivery" is missing`)
}
