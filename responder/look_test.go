package responder_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"watchkeeper/demo/cluster"
	"watchkeeper/responder"
	"watchkeeper/runbook"
	"watchkeeper/secret"
	"watchkeeper/test/fakes/gitlab"
	"watchkeeper/test/fakes/signoz"
	"watchkeeper/tools"
)

// A scene is everything that a first look may ask, about cart, which fails
// since began.
type scene struct {
	hub *gitlab.Server
	sig *signoz.Server
}

func newScene(began time.Time) scene {
	hub := gitlab.New()
	hub.Projects["shop/cart"] = &gitlab.Project{
		Merges: []gitlab.MergeRequest{
			{IID: 412, Title: "Use the new payment timeout <!channel>", Author: "ann", MergedAt: began.Add(-12 * time.Minute), SHA: strings.Repeat("a", 40)},
			{IID: 400, Title: "Long ago", Author: "bob", MergedAt: began.Add(-20 * time.Hour), SHA: strings.Repeat("b", 40)},
		},
		Deployments: []gitlab.Deployment{{IID: 77, Environment: "production", Status: "success", Ref: "main", SHA: strings.Repeat("a", 40), User: "ann", At: began.Add(-5 * time.Minute)}},
	}
	sig := &signoz.Server{}
	for i := range 200 {
		at := began.Add(time.Duration(i-150) * 12 * time.Second)
		sig.Spans = append(sig.Spans, signoz.Record{At: at, Columns: map[string]any{
			"service.name": "cart", "name": "POST /pay", "duration_nano": 2e7, "has_error": i >= 150 && i%2 == 0, "kind_string": "Server",
			"response_status_code": "200", "trace_id": strings.Repeat("ab", 16), "span_id": fmt.Sprintf("%x", i), "parent_span_id": "",
		}})
	}
	return scene{hub, sig}
}

// A hung API server takes requests and answers none.
var hung = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })

// looker asks the sample cluster, and GitLab and SigNoz of the scene.
func (s scene) looker(t *testing.T) responder.Looker {
	t.Helper()
	return s.lookerAt(t, cluster.New(time.Now()))
}

func (s scene) lookerAt(t *testing.T, api http.Handler) responder.Looker {
	t.Helper()
	serve := func(s *httptest.Server) string { t.Cleanup(s.Close); return s.URL }
	sample := serve(httptest.NewServer(api))
	clusters := tools.NewClusters(tools.ClusterConfig{Name: "platform-prod", Env: runbook.Prod, Config: cluster.RESTConfig(sample, "platform-prod")})
	hub, err := tools.NewGitLab(serve(httptest.NewServer(s.hub)), secret.New(gitlab.Token), map[string]string{"cart": "shop/cart"})
	if err != nil {
		t.Fatal(err)
	}
	return responder.FirstLook{Tools: tools.NewFirstLook(tools.FirstLookConfig{
		Clusters: clusters, GitLab: hub, SigNoz: tools.NewSigNoz(serve(httptest.NewServer(s.sig)), secret.New(signoz.Key), clusters), Timeout: 2 * time.Second,
	})}
}

// told returns what a person reads of an alert.
func told(t *testing.T, looker responder.Looker, a runbook.Alert) string {
	t.Helper()
	store := openStore(t, filepath.Join(t.TempDir(), "memory.db"))
	put(t, store, a)
	start(t, store, nil, looker)
	waitDone(t, store)
	all := escalations(t, store)
	if len(all) != 1 {
		t.Fatalf("%d escalations, want one", len(all))
	}
	return all[0].Text()
}

func check(t *testing.T, text string, wants, not []string) {
	t.Helper()
	for _, want := range wants {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	for _, bad := range not {
		if strings.Contains(text, bad) {
			t.Errorf("the text has %q:\n%s", bad, text)
		}
	}
}

func TestAnEscalationCarriesTheFirstLook(t *testing.T) {
	a := alert("HighErrorRate", "cart", "platform-prod", critical)
	text := told(t, newScene(a.StartsAt).looker(t), a)
	check(t, text,
		[]string{
			"pods, events and logs of cart in platform-prod; Argo CD; GitLab; SigNoz",                // checked
			"CrashLoopBackOff, 1 of 3 pods ready", "cart:1.13.2 → cart:1.14.0", "FATAL cannot start", // pods
			"12 min before it began, GitLab: shop/cart !412 merged", "5 min before it began, GitLab: shop/cart #77", // changes
			"of requests fail, against 0 % in the hour before", // traffic
		},
		[]string{"!400", "<!channel>", "not known", "not configured"})
}

func TestWhatDidNotAnswerIsTold(t *testing.T) {
	a := alert("HighErrorRate", "cart", "platform-prod", critical)
	s := newScene(a.StartsAt)
	s.sig.Fail(&signoz.Fault{Hang: true})
	s.hub.Fail(&gitlab.Fault{Status: 401})
	text := told(t, s.looker(t), a)
	check(t, text, []string{"CrashLoopBackOff", "not known: ", "SigNoz did not answer in 2s", "GitLab (merges): "}, []string{"; GitLab;", "; SigNoz."})
}

func TestAClusterThatHangsIsToldOnce(t *testing.T) {
	a := alert("HighErrorRate", "cart", "platform-prod", critical)
	text := told(t, newScene(a.StartsAt).lookerAt(t, hung), a)
	check(t, text, []string{"GitLab; SigNoz. Not the pods: did not answer in 2s.", "!412", "of requests fail"}, []string{"not known", "  did not"})
}

// An alert of SigNoz often names no cluster. The rest can be asked all the same.
func TestWithoutAClusterTheRestIsLookedAt(t *testing.T) {
	a := alert("HighErrorRate", "cart", "", critical)
	a.Env = runbook.Dev // of which there is none
	text := told(t, newScene(a.StartsAt).looker(t), a)
	check(t, text, []string{"GitLab; SigNoz. Not the pods: the alert names no single cluster", "!412", "of requests fail"}, nil)
}

func TestTheOnlyClusterThatRunsItIsLookedAt(t *testing.T) {
	a := alert("HighErrorRate", "orders-api", "", critical)
	text := told(t, newScene(a.StartsAt).looker(t), a)
	check(t, text, []string{"The alert names no cluster; only platform-prod runs a workload called orders-api", "NotReady"}, nil)
}
