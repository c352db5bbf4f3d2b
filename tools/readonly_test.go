package tools_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/demo/cluster"
	"watchkeeper/runbook"
	"watchkeeper/tools"
)

// A wire is the sample clusters behind something that keeps what arrives, and
// that accepts every change.
type wire struct {
	mu   sync.Mutex
	seen []string // "GET /api/v1/pods"
}

func (w *wire) clusters(t *testing.T) *tools.Clusters {
	t.Helper()
	sample := cluster.New(time.Now().Truncate(time.Second))
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		w.seen = append(w.seen, r.Method+" "+r.URL.RequestURI())
		w.mu.Unlock()
		if r.Method != http.MethodGet {
			rw.Header().Set("Content-Type", "application/json")
			fmt.Fprint(rw, `{"apiVersion":"v1","kind":"Status","status":"Success"}`)
			return
		}
		sample.ServeHTTP(rw, r)
	}))
	t.Cleanup(srv.Close)
	return tools.NewClusters(
		tools.ClusterConfig{Name: "platform-prod", Env: runbook.Prod, Config: cluster.RESTConfig(srv.URL, "platform-prod")},
		tools.ClusterConfig{Name: "platform-dev", Env: runbook.Dev, Config: cluster.RESTConfig(srv.URL, "platform-dev")},
	)
}

// changes returns what arrived and is no question, and forgets everything.
func (w *wire) changes() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	changes := slices.DeleteFunc(w.seen, func(s string) bool {
		return strings.HasPrefix(s, "GET ") || strings.Contains(s, "/selfsubjectaccessreviews")
	})
	w.seen = nil
	return changes
}

// asked reports whether anything arrived.
func (w *wire) asked() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.seen) > 0
}

// TestOnlyTheFourWritesChangeAnything calls every tool with the examples of the
// documentation, against something that would accept every change.
func TestOnlyTheFourWritesChangeAnything(t *testing.T) {
	w := new(wire)
	clusters, store := w.clusters(t), openStore(t)
	for _, name := range []string{"A", "B", "C", "D", "E"} { // the examples name deliveries up to d5
		putAlert(t, store, alert(name, "payments", time.Now()))
	}
	set := tools.All(tools.Config{Store: store, Clusters: clusters, Playbooks: playbooks(t), Limits: many})
	s := startWith(t, set...)
	examples := map[string][]map[string]any{}
	for _, c := range chapters() {
		for _, e := range c.examples {
			examples[e.tool] = append(examples[e.tool], e.args)
		}
	}
	for _, st := range set {
		name := st.Tool.Name
		if slices.Contains(runbook.Actions(), name) {
			continue
		}
		if len(examples[name]) == 0 {
			t.Errorf("%s has no example to call it with", name)
		}
		for _, args := range examples[name] {
			s.call(name, args)
			if strings.HasPrefix(name, "kube_") && !w.asked() {
				t.Errorf("%s%v asked nothing", name, args)
			}
			if got := w.changes(); len(got) > 0 {
				t.Errorf("%s%v sent %q", name, args, got)
			}
		}
	}
	checkHints(t, set)
}

// checkHints compares what the client is told of a tool with what it is.
func checkHints(t *testing.T, set []server.ServerTool) {
	t.Helper()
	writes := 0
	for _, st := range set {
		write := slices.Contains(runbook.Actions(), st.Tool.Name)
		if write {
			writes++
		}
		if ro := st.Tool.Annotations.ReadOnlyHint; ro != nil && *ro && write {
			t.Errorf("%s says that it only reads", st.Tool.Name)
		}
	}
	if writes != 4 {
		t.Errorf("%d tools change a cluster, want the four", writes)
	}
}

// A write that is not confirmed sends dry runs and nothing else, and one that is
// sends exactly its own request beside them.
func TestAWriteSendsItsOwnRequestOnly(t *testing.T) {
	w := new(wire)
	store := openStore(t)
	s := startWith(t, tools.Writes(w.clusters(t), store, tools.WritesConfig{Playbooks: playbooks(t), Limits: many, Patience: time.Millisecond})...)
	args := prodArgs(map[string]any{"namespace": "shop", "name": "payments", "delivery": putAlert(t, store, alert("ServiceDown", "payments", time.Now())), "reason": "wedged"})
	const own = "PATCH /clusters/platform-prod/apis/apps/v1/namespaces/shop/deployments/payments?"
	first := s.ok("restart_deployment", args)
	if got := w.changes(); len(got) != 1 || !strings.HasPrefix(got[0], own) || !strings.Contains(got[0], "dryRun=All") {
		t.Errorf("the first call sent %q, want one dry run", got)
	}
	args["confirm"] = confirmWord.FindStringSubmatch(first)[1]
	s.ok("restart_deployment", args)
	got := w.changes()
	if len(got) != 2 || !strings.Contains(got[0], "dryRun=All") || !strings.HasPrefix(got[1], own) || strings.Contains(got[1], "dryRun") {
		t.Errorf("the second call sent %q, want a dry run and the restart", got)
	}
}
