package tools_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"

	"watchkeeper/tools"
)

// An apiServer says which kinds it serves, in the newer form, and has one
// object of each.
type apiServer struct{ installed atomic.Bool }

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	group := func(name, version, resource, kind, singular, short string) string {
		return `{"metadata":{"name":"` + name + `"},"versions":[{"version":"` + version + `","resources":[{"resource":"` + resource +
			`","responseKind":{"kind":"` + kind + `"},"scope":"Namespaced","singularResource":"` + singular + `","shortNames":["` + short + `"]}]}]}`
	}
	say := func(text string) { _, _ = w.Write([]byte(text)) }
	list := `{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","items":[`
	switch r.URL.Path {
	case "/api":
		say(list + group("", "v1", "pods", "Pod", "pod", "po") + `]}`)
	case "/apis":
		list += group("apps", "v1", "deployments", "Deployment", "deployment", "deploy") + "," +
			group("metrics.k8s.io", "v1beta1", "pods", "PodMetrics", "", "") // called like the core's
		if s.installed.Load() {
			list += "," + group("example.com", "v2", "widgets", "Widget", "widget", "wg")
		}
		say(list + `]}`)
	default:
		say(`{"kind":"List","apiVersion":"v1","items":[{"kind":"X","apiVersion":"v1","metadata":{"name":"from` +
			strings.ReplaceAll(r.URL.Path, "/", "-") + `"}}]}`)
	}
}

func TestKindsAreFoundByTheirNames(t *testing.T) {
	server := new(apiServer)
	srv := httptest.NewServer(server)
	t.Cleanup(srv.Close)
	reach := tools.NewClusters(tools.ClusterConfig{Name: "new", Config: &rest.Config{Host: srv.URL}})
	s := start(t, reach)
	get := func(kind string) (string, bool) {
		return session{t, s.srv}.call("kube_get", map[string]any{"cluster": "new", "kind": kind})
	}
	for kind, path := range map[string]string{
		"pods": "-api-v1-pods", "po": "-api-v1-pods", "Pod": "-api-v1-pods", "pods.metrics.k8s.io": "-apis-metrics.k8s.io-v1beta1-pods",
		"podmetrics": "-apis-metrics.k8s.io-v1beta1-pods", "deploy": "-apis-apps-v1-deployments", "deployments.apps": "-apis-apps-v1-deployments",
	} {
		if text, failed := get(kind); failed || !strings.Contains(text, "from"+path) {
			t.Errorf("kube_get %s answers %q, want what is at %s", kind, text, path)
		}
	}
	if text, failed := get("widgets"); !failed || !strings.Contains(text, `no kind "widgets"`) {
		t.Errorf("kube_get widgets answers %q, want that there is no such kind", text)
	}
	server.installed.Store(true)
	if text, failed := get("wg.example"); failed || !strings.Contains(text, "from-apis-example.com-v2-widgets") {
		t.Errorf("after its installation kube_get wg answers %q", text)
	}
}
