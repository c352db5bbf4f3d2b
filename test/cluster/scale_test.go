package cluster_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

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
    metadata: {labels: {app: %[1]s%[3]s}}
    spec: {containers: [{name: main, image: "registry.example.com/%[1]s:1"}]%[4]s}
---
`

// populate fills a namespace with 1,000 pods, of which 40 crash, 20 cannot pull
// their image and 20 fit on no node.
func populate(t *testing.T, c *kubetest.Cluster, namespace string) {
	t.Helper()
	var b strings.Builder
	add := func(name string, owners, pods int, labels, spec string) {
		for i := range owners {
			fmt.Fprintf(&b, crowd, fmt.Sprintf("%s-%d", name, i), pods, labels, spec)
		}
	}
	const placed = ", nodeName: node-1" // spares the scheduler 4,900 decisions
	add("healthy", 8, 115, "", placed)
	add("worker", 4, 10, ", kubetest.watchkeeper.io/state: crashloop", placed)
	add("web", 2, 10, ", kubetest.watchkeeper.io/state: imagepull", placed)
	add("batch", 2, 10, "", ", nodeSelector: {gpu: present}")
	c.Apply(t, namespace, strings.TrimSuffix(b.String(), "---\n"))
}

// crowded reports whether the pods of a namespace are what they should be. It
// asks the deployments first: to list 1,000 pods is work, and there is enough.
func crowded(t *testing.T, c *kubetest.Cluster, namespace string) bool {
	t.Helper()
	list, err := c.Kube.AppsV1().Deployments(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		return false
	}
	pods, ready := 0, 0
	for _, d := range list.Items {
		pods, ready = pods+int(d.Status.Replicas), ready+int(d.Status.ReadyReplicas)
	}
	return pods == 1000 && ready == 920 && waiting(t, c, namespace) == 60
}

// waiting counts the containers that do not run.
func waiting(t *testing.T, c *kubetest.Cluster, namespace string) (n int) {
	t.Helper()
	list, err := c.Kube.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "kubetest.watchkeeper.io/state"})
	if err != nil {
		return 0
	}
	for _, p := range list.Items {
		for _, s := range p.Status.ContainerStatuses {
			if s.State.Waiting != nil {
				n++
			}
		}
	}
	return n
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

func TestFiveClustersOfAThousandPods(t *testing.T) {
	if testing.Short() {
		t.Skip("5,000 pods take a minute")
	}
	c := kubetest.Start(t)
	var configs []tools.ClusterConfig
	var namespaces []string
	for i := range 5 {
		ns := c.Namespace(t)
		populate(t, c, ns)
		cfg := rest.CopyConfig(c.Agent)
		cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return served{next, ns} })
		configs = append(configs, tools.ClusterConfig{Name: fmt.Sprintf("cluster-%d", i), Env: runbook.Prod, Config: cfg})
		namespaces = append(namespaces, ns)
	}
	for _, ns := range namespaces {
		kubetest.Within(t, 5*time.Minute, "1,000 pods in "+ns, func() bool { return crowded(t, c, ns) })
	}
	for _, cl := range tools.NewClusters(configs...).All() {
		t.Run(cl.Name, func(t *testing.T) {
			begin := time.Now()
			p, err := cl.Problems(t.Context(), tools.ProblemsQuery{})
			took := time.Since(begin)
			if err != nil {
				t.Fatal(err)
			}
			text := p.String()
			t.Logf("%d pods, %d problems, %d tokens in %v", p.Pods, len(p.Problems), len(text)/4, took)
			if took > 6*time.Second { // 2 s on an idle machine
				t.Errorf("1,000 pods took %v", took)
			}
			if n := len(text) / 4; n > 2000 {
				t.Errorf("1,000 pods took %d tokens, want at most 2,000", n)
			}
			for _, want := range []string{"920 of 1000 pods ready", "CrashLoopBackOff", "ImagePullBackOff", "Unschedulable"} {
				if !strings.Contains(text, want) {
					t.Errorf("the text lacks %q:\n%s", want, text)
				}
			}
		})
	}
}
