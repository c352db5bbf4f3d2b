package tools_test

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"watchkeeper/demo/cluster"
	"watchkeeper/runbook"
	"watchkeeper/tools"
)

// load starts a cluster called "big" from files, behind whatever is given.
func load(t testing.TB, files fs.FS, behind ...func(http.Handler) http.Handler) *tools.Clusters {
	t.Helper()
	h, err := cluster.Load(time.Now().Truncate(time.Second), files)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range behind {
		h = b(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return tools.NewClusters(tools.ClusterConfig{Name: "big", Env: runbook.Prod, Config: cluster.RESTConfig(srv.URL, "big")})
}

// big describes a cluster of 1,000 pods, of which 40 crash, 20 are pending and
// 20 fail to pull, spread over owners of perOwner pods, with 300 events.
func big(perOwner int) fs.FS {
	var b strings.Builder
	b.WriteString("nodes:\n")
	for i := range 20 {
		fmt.Fprintf(&b, "- {name: node-%d, since: 30d}\n", i)
	}
	b.WriteString("workloads:\n")
	broken := func(name, state string, pods int) {
		for i := range pods / perOwner {
			fmt.Fprintf(&b, "- namespace: team-%d\n  name: %s-%d\n  image: registry.example.com/%s:2\n  since: 25m\n  before: {image: 'registry.example.com/%s:1', since: 9d}\n  stalled: true\n  pods:\n",
				i%10, name, i, name, name)
			for j := range perOwner {
				fmt.Fprintf(&b, "  - {%s, events: [", state)
				if j < 4 {
					fmt.Fprintf(&b, "{reason: BackOff, message: 'Back-off restarting failed container', count: 30, first: 24m, last: 1m}, {reason: Unhealthy, message: 'probe failed', count: 4, first: 24m, last: 3m}, {reason: Failed, message: 'Error: exit', count: 7, first: 24m, last: 2m}, {type: Normal, reason: Pulled, message: 'pulled', last: 20m}")
				}
				b.WriteString("]}\n")
			}
		}
	}
	broken("worker", "state: crashloop, exit: 1, restarts: 9, last: 2m", 40)
	broken("batch", "state: pending, message: '0/20 nodes are available: 20 Insufficient cpu.'", 20)
	broken("web", "state: waiting, reason: ImagePullBackOff, message: 'Back-off pulling image \"registry.example.com/web:2\"'", 20)
	for i := range 230 {
		fmt.Fprintf(&b, "- {namespace: team-%d, name: healthy-%d, image: 'registry.example.com/healthy:7', since: 12d, replicas: 4}\n", i%10, i)
	}
	files := fstest.MapFS{"big/cluster.yaml": {Data: []byte(b.String())}, "big/logs/.keep": {}}
	log := strings.Repeat("130s INFO serving request 12 in 3ms\n", 98) + "121s ERROR dial tcp 10.0.0.7:5432: connect: connection refused\n120s FATAL no database after 5 attempts\n"
	for i := range 40 {
		files[fmt.Sprintf("big/logs/team-%d_worker-%d_worker-%d.previous.log", i%10, i, i)] = &fstest.MapFile{Data: []byte(log)}
	}
	return files
}

func TestOneCallExplainsAThousandPods(t *testing.T) {
	for _, perOwner := range []int{1, 4, 10} {
		t.Run(fmt.Sprintf("%d pods an owner", perOwner), func(t *testing.T) {
			clusters := load(t, big(perOwner))
			s := startWith(t, append(tools.Kube(clusters), tools.NewFirstLook(tools.FirstLookConfig{Clusters: clusters}).Tools()...)...)
			got := s.ok("kube_problems", map[string]any{"cluster": "big"})
			if n := tokens(got); n > 2000 {
				t.Errorf("the cluster took %d tokens, want at most 2,000", n)
			}
			contains(t, got, "exit 1 (Error)", fmt.Sprintf("%d restarts, since ", 9*perOwner), "registry.example.com/worker:1 → :2", "no database after 5 attempts",
				"CrashLoopBackOff", "ImagePullBackOff", "Unschedulable", "920 of 1000 pods ready")

			for _, tool := range []string{"kube_problems", "first_look"} {
				got = s.ok(tool, map[string]any{"cluster": "big", "service": "worker-0"})
				if n := tokens(got); n > 1500 {
					t.Errorf("%s of the service took %d tokens, want at most 1,500", tool, n)
				}
				contains(t, got, "CrashLoopBackOff", "exit 1 (Error)", fmt.Sprintf("%d restarts, since ", 9*perOwner), "registry.example.com/worker:1 → :2", "connection refused", "no database after 5 attempts")
			}
		})
	}
}

// BenchmarkThousandPods prints what the two overviews cost of a cluster of 1,000
// pods, of which 80 are broken. It is to be 2 s at most.
func BenchmarkThousandPods(b *testing.B) {
	clusters := load(b, big(4))
	set := append(tools.Kube(clusters), tools.NewFirstLook(tools.FirstLookConfig{Clusters: clusters}).Tools()...)
	for _, tool := range []string{"kube_problems", "first_look"} {
		b.Run(tool+" of the cluster", func(b *testing.B) { measure(b, set, tool, map[string]any{"cluster": "big"}) })
		b.Run(tool+" of a service", func(b *testing.B) { measure(b, set, tool, map[string]any{"cluster": "big", "service": "worker-0"}) })
	}
}
