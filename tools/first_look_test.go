package tools_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"watchkeeper/demo/cluster"
	"watchkeeper/runbook"
	"watchkeeper/test/fakes/gitlab"
	"watchkeeper/test/fakes/signoz"
	"watchkeeper/tools"
)

// lookTokens bounds a first look.
const lookTokens = 3000

// everywhere is a first look at the sample, with a release and telemetry that
// go with an alert that began then. The returned name is its delivery.
func everywhere(t *testing.T, began time.Time, hub *gitlab.Server, sig *signoz.Server) (session, string) {
	t.Helper()
	store, clusters := openStore(t), sample(t)
	look := tools.NewFirstLook(tools.FirstLookConfig{
		Clusters: clusters, Store: store, GitLab: gitlabAt(t, hub), SigNoz: signozAt(t, sig, clusters), Timeout: 2 * time.Second,
	})
	return startWith(t, look.Tools()...), eventAt(t, store, began)
}

func TestFirstLookGathersEverySource(t *testing.T) {
	began := time.Now().UTC().Truncate(time.Second).Add(-10 * time.Minute)
	s, id := everywhere(t, began, releases(began), telemetry(began))
	got := s.ok("first_look", map[string]any{"delivery": id})
	contains(t, got,
		"CrashLoopBackOff",           // pods
		"cart:1.13.2", "cart:1.14.0", // images, before and after
		"!412",                               // merges
		"#77",                                // deployments
		"CART_PAYMENT_TIMEOUT",               // the decisive log line
		"First time in 30 days",              // history
		"25 % of requests fail", "92 % full", // telemetry
	)
	if n := tokens(got); n > lookTokens {
		t.Errorf("a first look takes %d tokens, want at most %d", n, lookTokens)
	}
	checkContained(t, got)
}

// TestASilentSourceIsAGap asks sources that never answer, and one that refuses.
func TestASilentSourceIsAGap(t *testing.T) {
	began := time.Now().UTC().Add(-10 * time.Minute)
	hub, sig := releases(began), telemetry(began)
	hub.Fail(&gitlab.Fault{Status: 401})
	sig.Fail(&signoz.Fault{Hang: true})
	s, id := everywhere(t, began, hub, sig)
	got := s.ok("first_look", map[string]any{"delivery": id})
	contains(t, got, "SigNoz did not answer in 2s", "GitLab (merges): ", "CrashLoopBackOff")
}

func TestWhatIsNotConfiguredIsAGap(t *testing.T) {
	look := tools.NewFirstLook(tools.FirstLookConfig{Clusters: sample(t), Store: openStore(t)})
	s := startWith(t, look.Tools()...)
	got := s.ok("first_look", map[string]any{"cluster": "platform-prod", "service": "cart", "namespace": "shop"})
	contains(t, got, "CrashLoopBackOff", "GitLab (merges): not configured", "SigNoz: not configured")
}

// TestAnAlertWithoutAClusterIsLookedFor is what SigNoz sends by default.
func TestAnAlertWithoutAClusterIsLookedFor(t *testing.T) {
	store := openStore(t)
	s := startWith(t, tools.NewFirstLook(tools.FirstLookConfig{Clusters: sample(t), Store: store}).Tools()...)
	tests := []struct {
		name, service string
		env           runbook.Env
		want          string
		wantNot       string
	}{
		{
			"the only one that runs it is shown", "orders-api", runbook.EnvUnknown,
			"- The alert names no cluster; only platform-prod runs a workload called orders-api, and that one is shown.\n- Broken now: Deployment shop/orders-api", "(prod): the alert",
		},
		{"of the same environment", "checkout-api", runbook.Dev, "only platform-dev runs a workload called checkout-api", "platform-prod"},
		{"two are not guessed at", "checkout-api", runbook.EnvUnknown, "the alert names no cluster: checkout-api runs in platform-dev, platform-prod; ask for each", "Deployment"},
		{"a stateful one", "postgres", runbook.Prod, "only platform-prod runs a workload called postgres", ""},
		{"none", "nobody", runbook.EnvUnknown, "the alert names no cluster: no workload is called nobody", "Deployment"},
		{"no name at all", "<b>", runbook.EnvUnknown, "the alert names no single cluster", "Deployment"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := alert("Slow", tt.service, time.Now().Add(-time.Duration(10+i)*time.Minute))
			a.Cluster, a.Namespace, a.Env, a.Name, a.Fingerprint = "", "", tt.env, tt.name, tt.name
			got := session{t, s.srv}.ok("first_look", map[string]any{"delivery": putAlert(t, store, a)})
			contains(t, got, tt.want)
			if tt.wantNot != "" && strings.Contains(got, tt.wantNot) {
				t.Errorf("the look says %q:\n%s", tt.wantNot, got)
			}
		})
	}
}

func TestAClusterThatIsSilentMakesTheOtherUncertain(t *testing.T) {
	srv := httptest.NewServer(cluster.New(time.Now()))
	t.Cleanup(srv.Close)
	clusters := tools.NewClusters(
		tools.ClusterConfig{Name: "platform-prod", Config: cluster.RESTConfig(srv.URL, "platform-prod")},
		tools.ClusterConfig{Name: "gone", Config: &rest.Config{Host: "http://127.0.0.1:1"}})
	store := openStore(t)
	a := alert("Slow", "cart", time.Now().Add(-10*time.Minute))
	a.Cluster, a.Env = "", runbook.EnvUnknown
	s := startWith(t, tools.NewFirstLook(tools.FirstLookConfig{Clusters: clusters, Store: store}).Tools()...)
	contains(t, s.ok("first_look", map[string]any{"delivery": putAlert(t, store, a)}), "cart runs in platform-prod, and gone did not answer")
}

func TestFirstLookSaysWhatItNeeds(t *testing.T) {
	s := startWith(t, tools.NewFirstLook(tools.FirstLookConfig{Clusters: sample(t), Store: openStore(t)}).Tools()...)
	tests := []struct {
		name string
		args map[string]any
		want string
	}{
		{"nothing", map[string]any{}, "give delivery (d42), or cluster"},
		{"a delivery that is none", map[string]any{"delivery": "dog"}, "it is written d42"},
		{"an unknown delivery", map[string]any{"delivery": "d999"}, "d999"},
		{"no time", map[string]any{"cluster": "platform-prod", "at": "soon"}, "at: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, failed := session{t, s.srv}.call("first_look", tt.args)
			if !failed || !strings.Contains(got, tt.want) {
				t.Errorf("first_look%v = %q (failed %t), want an error with %q", tt.args, got, failed, tt.want)
			}
		})
	}
}
