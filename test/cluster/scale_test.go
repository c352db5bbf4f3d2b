package cluster_test

import (
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"watchkeeper/runbook"
	"watchkeeper/test/kubetest"
	"watchkeeper/tools"
)

// crowd is one deployment of a cluster of 1,000 pods.
const crowd = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s%[4]s}}
    spec: {containers: [{name: main, image: "registry.example.com/%[1]s:%[3]d"}]%[5]s}
---
`

// A crowdOf is so many deployments of so many pods of one kind each.
type crowdOf struct {
	name         string
	owners, pods int
	labels, spec string
}

const placed = ", nodeName: node-1" // spares the scheduler 4,900 decisions

// crowds are 1,000 pods, of which 40 crash, 20 cannot pull their image and 20
// fit on no node.
var crowds = []crowdOf{
	{"healthy", 8, 115, "", placed},
	{"worker", 4, 10, ", kubetest.watchkeeper.io/state: crashloop", placed},
	{"web", 2, 10, ", kubetest.watchkeeper.io/state: imagepull", placed},
	{"batch", 2, 10, "", ", nodeSelector: {gpu: present}"},
}

// release brings the deployments of a namespace to a version, all without pods or
// as they are.
func release(tb testing.TB, c *kubetest.Cluster, namespace string, version int, pods bool) {
	tb.Helper()
	var b strings.Builder
	for _, w := range crowds {
		n := w.pods
		if !pods {
			n = 0
		}
		for i := range w.owners {
			fmt.Fprintf(&b, crowd, fmt.Sprintf("%s-%d", w.name, i), n, version, w.labels, w.spec)
		}
	}
	c.Apply(tb, namespace, strings.TrimSuffix(b.String(), "---\n"))
}

// populate fills a namespace with a release before and 1,000 pods of the one
// that followed.
func populate(tb testing.TB, c *kubetest.Cluster, namespace string) {
	tb.Helper()
	release(tb, c, namespace, 1, false)
	kubetest.Eventually(tb, "the release before in "+namespace, func() bool {
		list, err := c.Kube.AppsV1().ReplicaSets(namespace).List(tb.Context(), metav1.ListOptions{})
		return err == nil && len(list.Items) == 16
	})
	release(tb, c, namespace, 2, true)
}

// crowded reports whether the pods of a namespace are what they should be. It
// asks the deployments first: to list 1,000 pods is work, and there is enough.
func crowded(tb testing.TB, c *kubetest.Cluster, namespace string) bool {
	tb.Helper()
	list, err := c.Kube.AppsV1().Deployments(namespace).List(tb.Context(), metav1.ListOptions{})
	if err != nil {
		return false
	}
	pods, ready := 0, 0
	for _, d := range list.Items {
		pods, ready = pods+int(d.Status.Replicas), ready+int(d.Status.ReadyReplicas)
	}
	return pods == 1000 && ready == 920 && len(broken(tb, c, namespace)) == 60
}

// broken lists the pods whose containers do not run.
func broken(tb testing.TB, c *kubetest.Cluster, namespace string) []corev1.Pod {
	tb.Helper()
	list, err := c.Kube.CoreV1().Pods(namespace).List(tb.Context(), metav1.ListOptions{LabelSelector: "kubetest.watchkeeper.io/state"})
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(list.Items, func(p corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) != 1 || p.Status.ContainerStatuses[0].State.Waiting == nil
	})
}

// warn makes 300 events about the pods that do not run, as their kubelet would:
// there is none.
func warn(tb testing.TB, c *kubetest.Cluster, namespace string) {
	tb.Helper()
	var g errgroup.Group
	g.SetLimit(8)
	for _, p := range broken(tb, c, namespace) {
		for i, reason := range []string{"BackOff", "Failed", "Unhealthy", "Pulling", "FailedMount"} {
			e := &corev1.Event{
				ObjectMeta:     metav1.ObjectMeta{GenerateName: p.Name + ".", Namespace: namespace},
				InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: namespace, Name: p.Name, UID: p.UID, APIVersion: "v1"},
				Type:           corev1.EventTypeWarning, Reason: reason, Message: reason + " of container main in pod " + p.Name, Count: int32(7 * (i + 1)),
				FirstTimestamp: metav1.NewTime(time.Now().Add(-20 * time.Minute)), LastTimestamp: metav1.NewTime(time.Now().Add(-time.Minute)),
			}
			g.Go(func() error {
				_, err := c.Kube.CoreV1().Events(namespace).Create(tb.Context(), e, metav1.CreateOptions{})
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		tb.Fatal(err)
	}
}

// everywhere matches the address of a list over all namespaces.
var everywhere = regexp.MustCompile(`^(/api/v1|/apis/[^/]+/[^/]+)/(pods|events|persistentvolumeclaims|deployments|replicasets|statefulsets|daemonsets|controllerrevisions|jobs|cronjobs)$`)

// served makes one namespace look like a whole cluster.
type served struct {
	next      http.RoundTripper
	namespace string
}

// RoundTrip implements [http.RoundTripper].
func (s served) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Path = everywhere.ReplaceAllString(r.URL.Path, "$1/namespaces/"+s.namespace+"/$2")
	return s.next.RoundTrip(r)
}

// wholeName is the cluster that has all of the pods.
const wholeName = "whole"

// fiveClusters are five namespaces of 1,000 pods each, which look like clusters,
// and last the cluster that they are in.
func fiveClusters(tb testing.TB) *tools.Clusters {
	tb.Helper()
	c := kubetest.Start(tb)
	var configs []tools.ClusterConfig
	var namespaces []string
	for i := range 5 {
		ns := c.Namespace(tb)
		populate(tb, c, ns)
		cfg := rest.CopyConfig(c.Agent)
		cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return served{next, ns} })
		configs = append(configs, tools.ClusterConfig{Name: fmt.Sprintf("cluster-%d", i), Env: runbook.Prod, Config: cfg})
		namespaces = append(namespaces, ns)
	}
	for _, ns := range namespaces {
		kubetest.Within(tb, 5*time.Minute, "1,000 pods in "+ns, func() bool { return crowded(tb, c, ns) })
		warn(tb, c, ns)
	}
	return tools.NewClusters(append(configs, tools.ClusterConfig{Name: wholeName, Env: runbook.Prod, Config: c.Agent})...)
}

// A question is one call about a cluster of 1,000 pods, with what its answer may
// cost and must tell.
type question struct {
	name, tool string
	args       map[string]any
	tokens     int
	tells      []string
}

// worker is what must be told of a deployment that crashes since a release:
// reason, pods, exit code, count, since when, the image before and after, and
// the last two of a hundred lines of log.
var worker = append([]string{
	"CrashLoopBackOff, 0 of 10 pods ready, exit 1 (Error)", "70 restarts, since ", "registry.example.com/worker-0:1 → :2",
}, kubetest.LastWords...)

var questions = []question{
	{"the cluster", "kube_problems", nil, 2000, append([]string{"920 of 1000 pods ready", "ImagePullBackOff", "Unschedulable"}, worker...)},
	{"a service", "kube_problems", map[string]any{"service": "worker-0"}, 1500, worker},
	{"a service", "first_look", map[string]any{"service": "worker-0"}, 1500, append([]string{"Broken now: Deployment", "all 10 pods"}, worker...)},
	{"the cluster", "first_look", map[string]any{}, 3000, []string{"CrashLoopBackOff", "ImagePullBackOff", "Unschedulable", kubetest.LastWords[1]}},
}

// ask puts q to the tools, about one cluster.
func (q question) ask(tb testing.TB, set []server.ServerTool, cluster string) string {
	tb.Helper()
	i := slices.IndexFunc(set, func(st server.ServerTool) bool { return st.Tool.Name == q.tool })
	args := map[string]any{"cluster": cluster}
	maps.Copy(args, q.args)
	req := mcp.CallToolRequest{}
	req.Params.Name, req.Params.Arguments = q.tool, args
	res, err := set[i].Handler(tb.Context(), req)
	if err != nil || res.IsError {
		tb.Fatalf("%s%v = %+v, %v", q.tool, args, res, err)
	}
	return res.Content[0].(mcp.TextContent).Text
}

// reading are the tools that questions are put to.
func reading(clusters *tools.Clusters) []server.ServerTool {
	return append(tools.Kube(clusters), tools.NewFirstLook(tools.FirstLookConfig{Clusters: clusters}).Tools()...)
}

func TestFiveClustersOfAThousandPods(t *testing.T) {
	clusters := fiveClusters(t)
	set := reading(clusters)
	for _, cl := range clusters.All()[:5] {
		for _, q := range questions {
			t.Run(cl.Name+"/"+q.tool+" of "+q.name, func(t *testing.T) {
				text := q.ask(t, set, cl.Name)
				if n := len(text) / 4; n > q.tokens {
					t.Errorf("the answer takes %d tokens, want at most %d", n, q.tokens)
				}
				for _, want := range q.tells {
					if !strings.Contains(text, want) {
						t.Errorf("the answer lacks %q:\n%s", want, text)
					}
				}
			})
		}
	}
	t.Run("5,000 pods in one", func(t *testing.T) {
		text := question{tool: "kube_problems"}.ask(t, set, wholeName)
		if n := len(text) / 4; n > 2000 {
			t.Errorf("the answer takes %d tokens, want at most 2,000", n)
		}
		// Other tests have pods there too.
		if !regexp.MustCompile(`CrashLoopBackOff: \d+ more with \d{3,} pods`).MatchString(text) {
			t.Errorf("the answer does not count the crash loops:\n%s", text)
		}
	})
}

// BenchmarkFiveClusters prints what each question costs, about one cluster after
// the other, and the first one of a cluster of 5,000 pods: TESTFLAGS="-run ^$ -bench Five" make test-cluster PACKAGES=./test/cluster.
// It is to be 2 s at most.
func BenchmarkFiveClusters(b *testing.B) {
	clusters := fiveClusters(b)
	set := reading(clusters)
	for _, q := range questions {
		b.Run(q.tool+" of "+q.name, func(b *testing.B) {
			size := 0
			for i := 0; b.Loop(); i++ {
				size = len(q.ask(b, set, clusters.All()[i%5].Name)) / 4
			}
			b.ReportMetric(float64(size), "tokens")
		})
	}
	b.Run("kube_problems of 5,000 pods", func(b *testing.B) {
		for b.Loop() {
			questions[0].ask(b, set, wholeName)
		}
	})
}
