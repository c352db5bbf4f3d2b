package tools_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/test/kubetest"
	"watchkeeper/tools"
)

// A hand is a session with the four writes on a real API server, which it
// reaches as two clusters, prod and dev, with the agent's own token.
type hand struct {
	session
	*kubetest.Cluster
	namespace string
	store     *sqlite.Store
	asked     string // the message in which a person asks for what the tests do
}

// many allows more writes than a test makes.
var many = runbook.WriteLimits{PerHour: 100, PerTargetPerHour: 100}

func startHand(t *testing.T, cfg tools.WritesConfig, labels ...string) hand {
	t.Helper()
	c := kubetest.Start(t)
	clusters := tools.NewClusters(
		tools.ClusterConfig{Name: "prod", Env: runbook.Prod, Config: c.Agent},
		tools.ClusterConfig{Name: "unsaid", Config: c.Agent},
		tools.ClusterConfig{Name: "dev", Env: runbook.Dev, Config: c.Agent},
	)
	store := openStore(t)
	return hand{startWith(t, tools.Writes(clusters, store, cfg)...), c, c.Namespace(t, labels...), store, heard(t, store, runbook.EventMessage, time.Now())}
}

func (h hand) args(cluster, name string, more ...string) map[string]any {
	args := map[string]any{"cluster": cluster, "namespace": h.namespace, "name": name, "delivery": h.asked, "reason": "pods are wedged, history says a restart helps"}
	for i := 0; i+1 < len(more); i += 2 {
		args[more[i]] = more[i+1]
	}
	return args
}

// writes lists what the API server says that the agent asked to change.
func (h hand) writes() []string {
	h.t.Helper()
	var all []string
	for _, r := range h.AgentWrites(h.t, h.namespace) {
		all = append(all, strings.Replace(r.String(), h.namespace, "NS", 1))
	}
	return all
}

// audit lists what the memory says, oldest first.
func (h hand) audit() []string {
	h.t.Helper()
	rows, err := h.store.Audits(h.t.Context(), "", time.Time{})
	if err != nil {
		h.t.Fatal(err)
	}
	var all []string
	for _, r := range slices.Backward(rows) {
		all = append(all, strings.Replace(fmt.Sprintf("%s %s %s", r.Phase, r.Action, r.Target), h.namespace, "NS", 1))
	}
	return all
}

func (h hand) same(what string, got, want []string) {
	h.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// deployment is a Deployment of one container; more is YAML of its spec, with
// an indent of two, and pod of its pods, with six.
func deployment(name, more, labels, pod string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  %[2]s
  template:
    metadata: {labels: {app: %[1]s%[3]s}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: "registry.example.com/%[1]s:1"}]
      %[4]s
`, name, more, labels, pod)
}

// rolledOut waits until all pods of a deployment are available.
func (h hand) rolledOut(name string) *appsv1.Deployment {
	h.t.Helper()
	var d *appsv1.Deployment
	kubetest.Eventually(h.t, name+" to be rolled out", func() bool {
		var err error
		d, err = h.Kube.AppsV1().Deployments(h.namespace).Get(h.t.Context(), name, metav1.GetOptions{})
		return err == nil && d.Status.ObservedGeneration >= d.Generation && d.Status.AvailableReplicas == *d.Spec.Replicas
	})
	return d
}

// pod waits for a pod of an app that ok likes.
func (h hand) pod(app string, ok func(*corev1.Pod) bool) *corev1.Pod {
	h.t.Helper()
	var found *corev1.Pod
	kubetest.Eventually(h.t, "a pod of "+app, func() bool {
		list, err := h.Kube.CoreV1().Pods(h.namespace).List(h.t.Context(), metav1.ListOptions{LabelSelector: "app=" + app})
		if err != nil {
			return false
		}
		for i := range list.Items {
			if ok(&list.Items[i]) {
				found = &list.Items[i]
				return true
			}
		}
		return false
	})
	return found
}

func waiting(reason string) func(*corev1.Pod) bool {
	return func(p *corev1.Pod) bool {
		return len(p.Status.ContainerStatuses) > 0 && p.Status.ContainerStatuses[0].State.Waiting != nil &&
			p.Status.ContainerStatuses[0].State.Waiting.Reason == reason
	}
}

var confirmWord = regexp.MustCompile(`confirm=(\w+)`)

// token is the confirmation that a first call on production returned.
func (h hand) token(text string) string {
	h.t.Helper()
	m := confirmWord.FindStringSubmatch(text)
	if m == nil {
		h.t.Fatalf("no token in: %s", text)
	}
	return m[1]
}

func TestRestartOnDevIsSeenThrough(t *testing.T) {
	h := startHand(t, tools.WritesConfig{Limits: many})
	h.Apply(t, h.namespace, deployment("cart", "replicas: 2", "", ""))
	before := h.rolledOut("cart")
	got := h.ok("restart_deployment", h.args("dev", "cart"))
	contains(t, got, "DONE: restart_deployment of Deployment "+h.namespace+"/cart in dev (dev), ",
		"| before: 2 replicas, 2 ready, 2 available", "| after: 2 of 2 pods new, 2 available")
	after := h.rolledOut("cart")
	if _, err := time.Parse(time.RFC3339, after.Spec.Template.Annotations["kubectl.kubernetes.io/restartedAt"]); err != nil || after.Generation != before.Generation+1 {
		t.Errorf("generation %d, annotations %v", after.Generation, after.Spec.Template.Annotations)
	}
	h.same("API server", h.writes(), []string{"patch deployments.apps NS/cart 200 (dry run)", "patch deployments.apps NS/cart 200"})
	h.same("audit", h.audit(), []string{"before restart_deployment dev/NS/Deployment/cart", "after restart_deployment dev/NS/Deployment/cart"})
	h.refuses("restart_deployment", h.args("dev", "cart"), "refused, nothing was changed: it was restarted", "A person could: look why")
}

func TestRestartOnProdNeedsItsOwnToken(t *testing.T) {
	for _, cluster := range []string{"prod", "unsaid"} {
		t.Run(cluster, func(t *testing.T) {
			h := startHand(t, tools.WritesConfig{Limits: many})
			h.Apply(t, h.namespace, deployment("cart", "replicas: 2", "", "")+"---"+deployment("orders", "replicas: 1", "", ""))
			h.rolledOut("cart")
			h.rolledOut("orders")
			first := h.ok("restart_deployment", h.args(cluster, "cart"))
			contains(t, first, "NOTHING WAS CHANGED YET.", "would replace its 2 pods one after the other (at most 25% unavailable, 25% more than usual)", "within 5 minutes")
			token := h.token(first)
			h.refuses("restart_deployment", h.args(cluster, "orders", "confirm", token), "this confirm token is for restart_deployment of "+cluster+"/"+h.namespace+"/Deployment/cart")
			h.refuses("restart_deployment", h.args(cluster, "cart", "confirm", "NOSUCHTOKEN"), "this confirm token was never given")
			h.same("API server before", h.writes(), []string{
				"patch deployments.apps NS/cart 200 (dry run)", "patch deployments.apps NS/orders 200 (dry run)", "patch deployments.apps NS/cart 200 (dry run)",
			})

			// Somebody changes it in between: what was confirmed is not there any more.
			_, err := h.Kube.AppsV1().Deployments(h.namespace).Patch(t.Context(), "cart", types.MergePatchType, []byte(`{"metadata":{"labels":{"team":"shop"}}}`), metav1.PatchOptions{})
			if err != nil {
				t.Fatal(err)
			}
			h.refuses("restart_deployment", h.args(cluster, "cart", "confirm", token), "the object has changed since this confirm token was given", "call again without confirm")

			token = h.token(h.ok("restart_deployment", h.args(cluster, "cart")))
			contains(t, h.ok("restart_deployment", h.args(cluster, "cart", "confirm", token)), "DONE: restart_deployment", "after: 2 of 2 pods new, 2 available")
			h.refuses("restart_deployment", h.args(cluster, "cart", "confirm", token), "refused")
			sent := 0
			for _, w := range h.writes() {
				if !strings.HasSuffix(w, "(dry run)") {
					sent++
				}
			}
			if sent != 1 {
				t.Errorf("%d requests in earnest, want 1: %q", sent, h.writes())
			}
		})
	}
}

// What one action did not mend, a person should: on production the alert
// carries one, on dev as many as the limits let.
func TestOneActionForEachAlertOnProduction(t *testing.T) {
	h := startHand(t, tools.WritesConfig{Limits: many, Playbooks: playbooks(t)})
	h.Apply(t, h.namespace, deployment("cart", "replicas: 1", "", "")+"---"+deployment("orders", "replicas: 1", "", ""))
	h.rolledOut("cart")
	h.rolledOut("orders")
	down := with(alert("ServiceDown", "cart", time.Now()), func(a *runbook.Alert) { a.Cluster = "prod" })
	id := putAlert(t, h.store, down)
	token := h.token(h.ok("restart_deployment", h.args("prod", "cart", "delivery", id)))
	second := h.token(h.ok("restart_deployment", h.args("prod", "orders", "delivery", id)))
	contains(t, h.ok("restart_deployment", h.args("prod", "cart", "delivery", id, "confirm", token)), "DONE: restart_deployment")
	for _, confirm := range []string{"", second} {
		h.refuses("restart_deployment", h.args("prod", "orders", "delivery", id, "confirm", confirm),
			"restart_deployment of prod/"+h.namespace+"/Deployment/cart was done for "+id, "A person could: decide what is to be done")
	}
	contains(t, h.ok("restart_deployment", h.args("prod", "orders")), "NOTHING WAS CHANGED YET.") // a person asks for it

	h.Apply(t, h.namespace, deployment("web", "replicas: 1", "", "")+"---"+deployment("api", "replicas: 1", "", ""))
	h.rolledOut("web")
	h.rolledOut("api")
	dev := putAlert(t, h.store, with(down, func(a *runbook.Alert) { a.Cluster, a.Env, a.Fingerprint = "dev", runbook.Dev, "dev" }))
	for _, name := range []string{"web", "api"} {
		contains(t, h.ok("restart_deployment", h.args("dev", name, "delivery", dev)), "DONE: restart_deployment")
	}
}

func TestTwoConcurrentRestartsBecomeOne(t *testing.T) {
	h := startHand(t, tools.WritesConfig{Limits: many})
	h.Apply(t, h.namespace, deployment("cart", "replicas: 2", "", ""))
	h.rolledOut("cart")
	answers := make([]string, 4)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i], _ = h.call("restart_deployment", h.args("dev", "cart")) })
	}
	wg.Wait()
	done := 0
	for _, a := range answers {
		switch {
		case strings.HasPrefix(a, "DONE"):
			done++
		case !strings.Contains(a, "Nothing was done a second time") && !strings.Contains(a, "refused, nothing was changed"):
			t.Errorf("answer = %q", a)
		}
	}
	sent := 0
	for _, w := range h.writes() {
		if !strings.HasSuffix(w, "(dry run)") {
			sent++
		}
	}
	if done != 1 || sent != 1 {
		t.Errorf("%d answers say done and %d requests were sent, want 1 of each: %q", done, sent, answers)
	}
}

func TestRestartPreconditions(t *testing.T) {
	const claim = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: once}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: none}
---`
	const volume = `volumes: [{name: v, persistentVolumeClaim: {claimName: once}}]`
	h := startHand(t, tools.WritesConfig{Limits: many})
	restarted := fmt.Sprintf("kubectl.kubernetes.io/restartedAt: %q", time.Now().Add(-3*time.Minute).UTC().Format(time.RFC3339))
	tests := []struct {
		name, cluster, yaml string
		wait                func(*testing.T)
		want                string
	}{
		{"paused", "dev", deployment("paused", "paused: true", "", ""), nil, "the deployment is paused. A person could: find out why"},
		{"zero", "dev", deployment("zero", "replicas: 0", "", ""), nil, "the deployment has 0 replicas"},
		{"recreate", "prod", deployment("recreate", "strategy: {type: Recreate}", "", ""), func(*testing.T) { h.rolledOut("recreate") }, "its strategy is Recreate"},
		{"volume", "dev", claim + deployment("volume", "replicas: 1", ", kubetest.watchkeeper.io/state: crashloop", volume), func(*testing.T) { h.updated("volume") }, "its volume once can be attached once only"},
		{"pull", "dev", deployment("pull", "replicas: 1", ", kubetest.watchkeeper.io/state: imagepull", ""), func(*testing.T) { h.updated("pull"); h.pod("pull", waiting("ImagePullBackOff")) }, "cannot pull its image (ImagePullBackOff)"},
		{"postgres", "dev", deployment("postgres", "replicas: 1", "", ""), nil, "databases, stores and queues are never touched"},
		{"lately", "dev", strings.Replace(deployment("lately", "replicas: 1", "", ""), "metadata: {labels: {app: lately}}", "metadata: {labels: {app: lately}, annotations: {"+restarted+"}}", 1), func(*testing.T) { h.rolledOut("lately") }, "it was restarted 3 min ago"},
		{"rolling", "dev", deployment("rolling", "replicas: 1", "", "nodeSelector: {no: such}"), nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h.Apply(t, h.namespace, tt.yaml)
			if tt.wait != nil {
				tt.wait(t)
			}
			if tt.name == "rolling" { // a second template, whose rollout cannot end
				h.updated("rolling")
				h.Apply(t, h.namespace, strings.Replace(tt.yaml, ":1\"", ":2\"", 1))
				tt.want = "a rollout is running"
				kubetest.Eventually(t, "two ReplicaSets", func() bool {
					d, err := h.Kube.AppsV1().Deployments(h.namespace).Get(t.Context(), "rolling", metav1.GetOptions{})
					return err == nil && d.Status.Replicas == 2
				})
			}
			session{t, h.srv}.refuses("restart_deployment", h.args(tt.cluster, tt.name), "restart_deployment: refused, nothing was changed: ", tt.want, "A person could: ")
		})
	}
	h.refuses("restart_deployment", h.args("dev", "nope"), `"nope" not found`)
	if got := h.writes(); len(got) > 0 {
		t.Errorf("the agent sent %q, want nothing", got)
	}
	for _, row := range h.audit() {
		if !strings.HasPrefix(row, "refused restart_deployment ") {
			t.Errorf("audit row %q, want refusals only", row)
		}
	}
}

// updated waits until the controller has seen a deployment and made its pods.
func (h hand) updated(name string) {
	h.t.Helper()
	kubetest.Eventually(h.t, name+" to be updated", func() bool {
		d, err := h.Kube.AppsV1().Deployments(h.namespace).Get(h.t.Context(), name, metav1.GetOptions{})
		return err == nil && d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == *d.Spec.Replicas && d.Status.Replicas == *d.Spec.Replicas
	})
}

func protecting(namespaces ...string) runbook.Policy {
	return runbook.Policy{ProtectedNamespaces: namespaces}
}

func TestPolicyComesFirst(t *testing.T) {
	free := startHand(t, tools.WritesConfig{Limits: many, Policy: protecting("", "data-*")})
	labelled := startHand(t, tools.WritesConfig{Limits: many}, "watchkeeper.io/protected", "")
	globbed := startHand(t, tools.WritesConfig{Limits: many, Policy: protecting("t-*")})
	in := func(namespace string) map[string]any {
		return map[string]any{"cluster": "dev", "namespace": namespace, "name": "coredns", "delivery": free.asked, "reason": "test"}
	}
	for _, tool := range []string{"restart_deployment", "delete_stuck_pod", "clear_stuck_workflow"} {
		free.refuses(tool, in("kube-system"), "namespace kube-system is protected")
		free.refuses(tool, in("argocd"), "namespace argocd is protected")
		free.refuses(tool, in("no-such-namespace"), "dev has no namespace no-such-namespace")
		labelled.refuses(tool, labelled.args("dev", "cart"), "is protected by its label watchkeeper.io/protected")
		globbed.refuses(tool, globbed.args("dev", "cart"), "is protected, and nothing is ever changed in it")
	}
	for _, h := range []hand{free, labelled, globbed} {
		if got := h.writes(); len(got) > 0 {
			t.Errorf("the agent sent %q, want nothing", got)
		}
	}
}

func TestArgumentsReachNoAddress(t *testing.T) {
	h := startHand(t, tools.WritesConfig{Limits: many})
	tests := []struct{ name, argument, value, want string }{
		{"a flag for a cluster", "cluster", "--server=https://evil.example", "unknown cluster"},
		{"a context for a cluster", "cluster", "test", "unknown cluster"},
		{"a path for a namespace", "namespace", "../kube-system", "is not a namespace"},
		{"a path for a name", "name", "../../namespaces/kube-system", "is not a name in Kubernetes"},
		{"a subresource for a name", "name", "cart/scale", "is not a name in Kubernetes"},
		{"an escape for a name", "name", "cart%2Fscale", "is not a name in Kubernetes"},
		{"a query for a name", "name", "cart?force=true", "is not a name in Kubernetes"},
		{"a flag for a name", "name", "--server=https://evil.example", "is not a name in Kubernetes"},
		{"no reason", "reason", " \n\u200b", "reason says nothing"},
		{"a delivery that is none", "delivery", "cart", "it is written d42"},
		{"a delivery that is not there", "delivery", "d77", "there is no delivery d77"},
	}
	for _, tool := range []string{"restart_deployment", "delete_stuck_pod", "clear_stuck_workflow", "refresh_argocd_app"} {
		for _, tt := range tests {
			t.Run(tool+": "+tt.name, func(t *testing.T) {
				session{t, h.srv}.refuses(tool, h.args("dev", "cart", tt.argument, tt.value), tt.want)
			})
		}
	}
	if got := h.writes(); len(got) > 0 {
		t.Errorf("the agent sent %q, want nothing", got)
	}
}

func TestLimitsBindTheTools(t *testing.T) {
	h := startHand(t, tools.WritesConfig{Limits: runbook.WriteLimits{PerHour: 1, PerTargetPerHour: 1}})
	h.Apply(t, h.namespace, deployment("cart", "replicas: 1", "", "")+"---"+deployment("orders", "replicas: 1", "", ""))
	h.rolledOut("cart")
	h.rolledOut("orders")
	h.ok("restart_deployment", h.args("dev", "cart"))
	h.refuses("restart_deployment", h.args("dev", "orders"), "1 writes in an hour are allowed for all clusters together", "not before")
	none := startHand(t, tools.WritesConfig{})
	none.Apply(t, none.namespace, deployment("cart", "replicas: 1", "", ""))
	none.rolledOut("cart")
	none.refuses("restart_deployment", none.args("dev", "cart"), "the operator allows no writes")
}

func TestStuckPodIsReplaced(t *testing.T) {
	h := startHand(t, tools.WritesConfig{Limits: many})
	h.Apply(t, h.namespace, deployment("cart", "replicas: 1", ", kubetest.watchkeeper.io/state: crashloop", ""))
	old := h.pod("cart", waiting("CrashLoopBackOff"))
	first := h.ok("delete_stuck_pod", h.args("prod", old.Name))
	contains(t, first, "would evict it, and Deployment "+h.namespace+"/cart would make a new one",
		"CrashLoopBackOff since", "a new pod runs the same code: this only ends the backoff")
	// The cause goes away: new pods of this ReplicaSet are well from now on.
	h.heal("cart")
	got := h.ok("delete_stuck_pod", h.args("prod", old.Name, "confirm", h.token(first)))
	contains(t, got, "DONE: delete_stuck_pod", "after: the pod is gone and a new one is ready", "after: 1 of 1 pods of its ReplicaSet ready")
	h.same("API server", h.writes(), []string{
		"create pods/eviction NS/" + old.Name + " 201 (dry run)", "create pods/eviction NS/" + old.Name + " 201 (dry run)", "create pods/eviction NS/" + old.Name + " 201",
	})
	for _, r := range h.AgentWrites(t, h.namespace) {
		var body struct {
			DeleteOptions map[string]any `json:"deleteOptions"`
		}
		if err := json.Unmarshal(r.Body, &body); err != nil || body.DeleteOptions["gracePeriodSeconds"] != nil {
			t.Errorf("the eviction says %s (%v), want no grace period", r.Body, err)
		}
	}
}

// heal removes the label that makes kwok play a state from the template of the
// ReplicaSet, so that its next pod is well.
func (h hand) heal(app string) {
	h.t.Helper()
	sets, err := h.Kube.AppsV1().ReplicaSets(h.namespace).List(h.t.Context(), metav1.ListOptions{LabelSelector: "app=" + app})
	if err != nil {
		h.t.Fatal(err)
	}
	rs := &sets.Items[0]
	delete(rs.Spec.Template.Labels, "kubetest.watchkeeper.io/state")
	if _, err := h.Kube.AppsV1().ReplicaSets(h.namespace).Update(h.t.Context(), rs, metav1.UpdateOptions{}); err != nil {
		h.t.Fatal(err)
	}
}

func TestStuckPodPreconditions(t *testing.T) {
	h := startHand(t, tools.WritesConfig{Limits: many})
	const crash = ", kubetest.watchkeeper.io/state: crashloop"
	kinds := map[string]string{
		"well": deployment("well", "replicas: 1", "", ""),
		"set":  strings.Replace(deployment("set", "serviceName: set", crash, ""), "Deployment", "StatefulSet", 1),
		"job": `
apiVersion: batch/v1
kind: Job
metadata: {name: job}
spec:
  template:
    metadata: {labels: {app: job, kubetest.watchkeeper.io/state: crashloop}}
    spec: {restartPolicy: OnFailure, containers: [{name: main, image: "registry.example.com/job:1"}]}
`,
		"each":  strings.Replace(deployment("each", "minReadySeconds: 0", crash, ""), "Deployment", "DaemonSet", 1),
		"alone": "apiVersion: v1\nkind: Pod\nmetadata: {name: alone, labels: {app: alone" + crash + "}}\nspec: {containers: [{name: main, image: \"registry.example.com/x:1\"}]}\n",
		"volume": `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: once}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}, storageClassName: none}
---` + deployment("volume", "replicas: 1", "", "volumes: [{name: v, persistentVolumeClaim: {claimName: once}}]"),
		"redis":   deployment("redis", "replicas: 1", crash, ""),
		"nowhere": deployment("nowhere", "replicas: 1", "", "nodeSelector: {no: such}"),
	}
	for _, yaml := range kinds {
		h.Apply(t, h.namespace, yaml)
	}
	exists := func(*corev1.Pod) bool { return true }
	tests := []struct {
		app  string
		ok   func(*corev1.Pod) bool
		want string
	}{
		{"well", func(p *corev1.Pod) bool { return ready(p) }, "the pod is ready; it is not stuck"},
		{"set", exists, "it belongs to a StatefulSet"},
		{"job", exists, "it belongs to a Job"},
		{"each", exists, "it belongs to a DaemonSet"},
		{"alone", exists, "nothing owns this pod"},
		{"volume", exists, "it has a volume claim"},
		{"redis", exists, "databases, stores and queues are never touched"},
		{"nowhere", func(p *corev1.Pod) bool { return len(p.Status.Conditions) > 0 }, "it waits for a node"},
	}
	for _, tt := range tests {
		t.Run(tt.app, func(t *testing.T) {
			h := h
			h.session = session{t, h.srv}
			h.refuses("delete_stuck_pod", h.args("dev", h.pod(tt.app, tt.ok).Name), "refused, nothing was changed: ", tt.want, "A person could: ")
		})
	}
	if got := h.writes(); len(got) > 0 {
		t.Errorf("the agent sent %q, want nothing", got)
	}
}

func ready(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue })
}

func TestADisruptionBudgetIsNeverCircumvented(t *testing.T) {
	h := startHand(t, tools.WritesConfig{Limits: many})
	h.Apply(t, h.namespace, deployment("cart", "replicas: 1", ", kubetest.watchkeeper.io/state: crashloop", "")+`---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: cart}
spec: {minAvailable: 1, selector: {matchLabels: {app: cart}}}
`)
	p := h.pod("cart", waiting("CrashLoopBackOff"))
	kubetest.Eventually(t, "the budget to be counted", func() bool {
		b, err := h.Kube.PolicyV1().PodDisruptionBudgets(h.namespace).Get(t.Context(), "cart", metav1.GetOptions{})
		return err == nil && b.Status.ObservedGeneration >= b.Generation && b.Status.ExpectedPods == 1
	})
	h.refuses("delete_stuck_pod", h.args("dev", p.Name), "a PodDisruptionBudget does not let it go", "A person could: wait until the other pods are well")
	h.same("API server", h.writes(), []string{"create pods/eviction NS/" + p.Name + " 429 (dry run)"})
}

var (
	workflows    = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "workflows"}
	applications = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
)

// workflowYAML has times that are ages: "-4h".
func workflowYAML(name, spec, status string) string {
	text := fmt.Sprintf("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: %s}\nspec: %s\nstatus: %s\n", name, spec, status)
	return regexp.MustCompile(`"-(\w+)"`).ReplaceAllStringFunc(text, func(s string) string {
		d, err := time.ParseDuration(strings.Trim(s, `"-`))
		if err != nil {
			panic(err)
		}
		return `"` + time.Now().Add(-d).UTC().Format(time.RFC3339) + `"`
	})
}

const pendingStep = `{phase: Running, startedAt: "-5h", nodes: {a: {displayName: embed, type: Pod, phase: Pending, startedAt: "-4h", message: Unschedulable}}}`

// onChange calls act for an object and every change of it, as its controller
// would hear of it, until act returns true.
func (h hand) onChange(resource schema.GroupVersionResource, name string, act func(*unstructured.Unstructured) bool) {
	h.t.Helper()
	w, err := h.Dynamic.Resource(resource).Namespace(h.namespace).Watch(h.t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=" + name})
	if err != nil {
		h.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range w.ResultChan() {
			if o, ok := e.Object.(*unstructured.Unstructured); ok && act(o) {
				return
			}
		}
	}()
	h.t.Cleanup(func() { w.Stop(); <-done })
}

// patch changes an object as its controller would.
func (h hand) patch(resource schema.GroupVersionResource, name, change string) {
	h.t.Helper()
	_, err := h.Dynamic.Resource(resource).Namespace(h.namespace).Patch(h.t.Context(), name, types.MergePatchType, []byte(change), metav1.PatchOptions{})
	if err != nil {
		h.t.Error(err)
	}
}

// controller plays the workflow controller: it ends a workflow that was told
// how.
func (h hand) controller(name, how string) {
	h.t.Helper()
	h.onChange(workflows, name, func(w *unstructured.Unstructured) bool {
		if told, _, _ := unstructured.NestedString(w.Object, "spec", "shutdown"); told != how {
			return false
		}
		h.patch(workflows, name, `{"status":{"phase":"Failed","message":"Stopped with strategy '`+how+`'"}}`)
		return true
	})
}

func TestStuckWorkflowIsStopped(t *testing.T) {
	tests := []struct {
		name, spec, heeds string // what the controller acts on; "" is nothing
		wants             []string
		sent              []string // the values of spec.shutdown
	}{
		{"by Stop", "{}", "Stop", []string{"DONE: clear_stuck_workflow", "before: NS/w: Running", "stuck: step embed is pending since 4 h ago", "after: told to Stop", "after: ended as Failed"}, []string{"Stop"}},
		{"by Terminate, if Stop does not help", "{}", "Terminate", []string{"DONE: clear_stuck_workflow", "after: did not stop within", "told to Terminate", "after: ended as Failed"}, []string{"Stop", "Terminate"}},
		{"by Terminate, if it was told to stop before", "{shutdown: Stop}", "Terminate", []string{"DONE: clear_stuck_workflow", "after: told to Terminate"}, []string{"Terminate"}},
		{"not at all, if nobody listens", "{}", "", []string{"DID NOT WORK: clear_stuck_workflow", "the workflow controller may be down", "A person should look"}, []string{"Stop", "Terminate"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := startHand(t, tools.WritesConfig{Limits: many, Patience: 4 * time.Second})
			h.Apply(t, h.namespace, workflowYAML("w", tt.spec, pendingStep))
			if tt.heeds != "" {
				h.controller("w", tt.heeds)
			}
			got := strings.ReplaceAll(h.ok("clear_stuck_workflow", h.args("dev", "w")), h.namespace, "NS")
			contains(t, got, tt.wants...)
			var sent []string
			for _, r := range h.AgentWrites(t, h.namespace) {
				var body struct {
					Spec map[string]string `json:"spec"`
				}
				if err := json.Unmarshal(r.Body, &body); err != nil || len(body.Spec) != 1 {
					t.Errorf("%s sent %s (%v)", r, r.Body, err)
				}
				if !r.DryRun {
					sent = append(sent, body.Spec["shutdown"])
				}
			}
			h.same("shutdown", sent, tt.sent)
		})
	}
}

func TestWritesThatFailOpenTheBreaker(t *testing.T) {
	h := startHand(t, tools.WritesConfig{Limits: many, Patience: time.Second})
	for _, name := range []string{"a", "b", "c", "d"} {
		h.app(name, "", synced)
	}
	for _, name := range []string{"a", "b", "c"} { // no controller answers
		contains(t, h.ok("refresh_argocd_app", h.args("dev", name)), "DID NOT WORK: refresh_argocd_app", "its application controller may be down", "Do not do it again for this event.")
	}
	h.refuses("refresh_argocd_app", h.args("dev", "d"), "the last 3 writes failed, so all writes are stopped; not before ", "A person could: do it by hand")
	h.Apply(t, h.namespace, deployment("cart", "replicas: 1", "", ""))
	h.rolledOut("cart")
	h.refuses("restart_deployment", h.args("dev", "cart"), "all writes are stopped")
	if got := h.writes(); len(got) != 6 {
		t.Errorf("the agent sent %q, want 3 dry runs and 3 requests", got)
	}
}

func TestARestartThatDoesNotHelpSaysSo(t *testing.T) {
	h := startHand(t, tools.WritesConfig{Limits: many, Patience: 3 * time.Second})
	h.Apply(t, h.namespace, deployment("cart", "replicas: 1", ", kubetest.watchkeeper.io/state: crashloop", ""))
	h.updated("cart")
	h.pod("cart", waiting("CrashLoopBackOff"))
	contains(t, h.ok("restart_deployment", h.args("dev", "cart")), "DID NOT WORK: restart_deployment", "| before: pod cart-", "| after: pod cart-", ": CrashLoopBackOff")
}

// What changes between the last look and the request is not written over: the
// API server itself refuses a resourceVersion that is not the latest.
func TestAChangeAtTheLastMomentIsNotOverwritten(t *testing.T) {
	c := kubetest.Start(t)
	store := openStore(t)
	h := hand{Cluster: c, namespace: c.Namespace(t), store: store, asked: heard(t, store, runbook.EventMessage, time.Now())}
	h.session = session{t: t}
	transport, err := rest.TransportFor(c.Agent)
	if err != nil {
		t.Fatal(err)
	}
	host, err := url.Parse(c.Agent.Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(host)
		if r.In.Method == http.MethodPatch && r.In.URL.Query().Get("dryRun") == "" {
			h.touch("cart")
		}
	}})
	t.Cleanup(proxy.Close)
	clusters := tools.NewClusters(tools.ClusterConfig{Name: "dev", Env: runbook.Dev, Config: &rest.Config{Host: proxy.URL}})
	h.session = startWith(t, tools.Writes(clusters, h.store, tools.WritesConfig{Limits: many})...)
	h.Apply(t, h.namespace, deployment("cart", "replicas: 1", "", ""))
	h.rolledOut("cart")
	contains(t, h.ok("restart_deployment", h.args("dev", "cart")), "DID NOT WORK", "the object changed at the last moment, so nothing was done")
	h.same("API server", h.writes(), []string{"patch deployments.apps NS/cart 200 (dry run)", "patch deployments.apps NS/cart 409"})
}

// touch changes a deployment as somebody else would.
func (h hand) touch(name string) {
	h.t.Helper()
	change := fmt.Appendf(nil, `{"metadata":{"labels":{"touched":"%d"}}}`, time.Now().UnixNano())
	if _, err := h.Kube.AppsV1().Deployments(h.namespace).Patch(h.t.Context(), name, types.MergePatchType, change, metav1.PatchOptions{}); err != nil {
		h.t.Error(err)
	}
}

func TestAWriteHasAnEndEvenIfTheSessionHangsUp(t *testing.T) {
	h := startHand(t, tools.WritesConfig{Limits: many})
	h.app("cart", "", synced)
	ctx, hangUp := context.WithCancel(t.Context())
	h.onChange(applications, "cart", func(a *unstructured.Unstructured) bool {
		if a.GetAnnotations()["argocd.argoproj.io/refresh"] == "" {
			return false
		}
		hangUp()
		return true
	})
	set := tools.Writes(tools.NewClusters(tools.ClusterConfig{Name: "dev", Env: runbook.Dev, Config: h.Agent}), h.store, tools.WritesConfig{Limits: many})
	req := mcp.CallToolRequest{}
	req.Params.Arguments = h.args("dev", "cart")
	if _, err := set[3].Handler(ctx, req); err != nil {
		t.Fatal(err)
	}
	rows, err := h.store.Audits(t.Context(), "refresh_argocd_app", time.Time{})
	if err != nil || len(rows) != 2 || rows[0].Phase != "after" || !strings.Contains(rows[0].Detail, "the session hung up") {
		t.Errorf("audit = %+v, %v, want an end that says so", rows, err)
	}
}

func TestWorkflowPreconditions(t *testing.T) {
	h := startHand(t, tools.WritesConfig{Limits: many})
	tests := []struct{ name, spec, status, want string }{
		{"ended", "{}", `{phase: Succeeded}`, "the workflow has ended already (Succeeded)"},
		{"suspended", "{suspend: true}", pendingStep, "it is not stuck: it is suspended"},
		{"waits", "{}", `{phase: Running, nodes: {a: {displayName: approve, type: Suspend, phase: Running, startedAt: "-4h"}}}`, "its step approve waits to be resumed"},
		{"volumes", "{volumeClaimTemplates: [{metadata: {name: scratch}}]}", pendingStep, "it has volumes of its own (volumeClaimTemplates)"},
		{"onexit", "{onExit: notify}", pendingStep, "it has an exit handler (onExit)"},
		{"template-onexit", "{}", `{phase: Running, storedWorkflowTemplateSpec: {onExit: notify}}`, "it has an exit handler (onExit)"},
		{"hidden", "{}", `{phase: Running, offloadNodeStatusVersion: "fnv:1"}`, "whether it waits on purpose is not visible"},
		{"terminating", "{shutdown: Terminate}", pendingStep, "it was told to Terminate already"},
		{"moving", "{}", `{phase: Running, nodes: {a: {displayName: a, type: Pod, phase: Running, startedAt: "-2m"}}}`, "it is not stuck: something happened in it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h.Apply(t, h.namespace, workflowYAML(tt.name, tt.spec, tt.status))
			session{t, h.srv}.refuses("clear_stuck_workflow", h.args("dev", tt.name), "refused, nothing was changed: ", tt.want, "A person could: ")
		})
	}
	if got := h.writes(); len(got) > 0 {
		t.Errorf("the agent sent %q, want nothing", got)
	}
}

func appYAML(name, spec, status string) string {
	return fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: %s}
spec:
  project: default
  source: {repoURL: "https://gitlab.example.com/shop/deploy.git", path: cart, targetRevision: main}
  destination: {server: "https://kubernetes.default.svc", namespace: NAMESPACE}
  %s
status: %s
`, name, spec, status)
}

const (
	synced    = `{sync: {status: Synced, comparedTo: {source: {repoURL: x}, destination: {}}}, health: {status: Healthy}}`
	outOfSync = `{sync: {status: OutOfSync, comparedTo: {source: {repoURL: x}, destination: {}}}, health: {status: Healthy}}`
	automated = `syncPolicy: {automated: {prune: true, selfHeal: true}}`
)

func (h hand) app(name, spec, status string) {
	h.t.Helper()
	h.Apply(h.t, h.namespace, strings.ReplaceAll(appYAML(name, spec, status), "NAMESPACE", h.namespace))
}

// argocd plays the application controller: it removes the annotation.
func (h hand) argocd(name string) {
	h.t.Helper()
	h.onChange(applications, name, func(a *unstructured.Unstructured) bool {
		if a.GetAnnotations()["argocd.argoproj.io/refresh"] == "" {
			return false
		}
		h.patch(applications, name, `{"metadata":{"annotations":{"argocd.argoproj.io/refresh":null}},"status":{"sync":{"status":"OutOfSync","revision":"9f3c2d1e8b7a6f5e4d3c2b1a0f9e8d7c6b5a4f3e"}}}`)
		return true
	})
}

func TestApplicationIsRefreshed(t *testing.T) {
	h := startHand(t, tools.WritesConfig{Limits: many})
	h.app("cart", automated, synced)
	first := h.ok("refresh_argocd_app", h.args("prod", "cart"))
	contains(t, first, "NOTHING WAS CHANGED YET.", "it syncs by itself, prunes, self-heals, so that a new commit would be deployed")
	h.argocd("cart")
	got := h.ok("refresh_argocd_app", h.args("prod", "cart", "confirm", h.token(first)))
	contains(t, got, "DONE: refresh_argocd_app", "after: "+h.namespace+"/cart: sync OutOfSync, health Healthy", "after: compared revision 9f3c2d1e8b7a")
	writes := h.AgentWrites(t, h.namespace)
	last := writes[len(writes)-1]
	if last.String() != "patch applications.argoproj.io "+h.namespace+"/cart 200" || !strings.Contains(string(last.Body), `"argocd.argoproj.io/refresh":"hard"`) {
		t.Errorf("last request = %s %s", last, last.Body)
	}
}

func TestRefreshPreconditions(t *testing.T) {
	h := startHand(t, tools.WritesConfig{Limits: many, Policy: protecting("database")})
	const pruning = `{sync: {status: OutOfSync, comparedTo: {source: {repoURL: x}, destination: {}}}, resources: [{kind: Service, name: old, requiresPruning: true}]}`
	const parent = `{sync: {status: Synced, comparedTo: {source: {repoURL: x}, destination: {}}}, resources: [{group: argoproj.io, kind: Application, name: child, status: Synced}]}`
	running := strings.Replace(synced, "{sync", `{operationState: {phase: Running, startedAt: "2026-01-01T00:00:00Z", operation: {}}, sync`, 1)
	tests := []struct{ name, cluster, spec, status, want string }{
		{"drift-prod", "prod", automated, outOfSync, "it is OutOfSync, and a sync with pruning would follow by itself on production"},
		{"prunes", "dev", automated, pruning, "a sync would follow by itself and prune 1 resource, the first being Service old"},
		{"parent", "dev", automated, parent, "it manages other applications and prunes by itself"},
		{"running", "dev", "", running, "an operation is running"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h.app(tt.name, tt.spec, tt.status)
			session{t, h.srv}.refuses("refresh_argocd_app", h.args(tt.cluster, tt.name), "refused, nothing was changed: ", tt.want, "A person could: ")
		})
	}
	h.Apply(t, h.namespace, strings.ReplaceAll(appYAML("db", automated, synced), "NAMESPACE", "database"))
	h.refuses("refresh_argocd_app", h.args("dev", "db"), "namespace database is protected")
	elsewhere := strings.ReplaceAll(appYAML("far", automated, outOfSync), "https://kubernetes.default.svc", "https://other.example")
	h.Apply(t, h.namespace, strings.ReplaceAll(elsewhere, "NAMESPACE", "shop"))
	h.refuses("refresh_argocd_app", h.args("dev", "far"), "a sync with pruning would follow by itself on production")
	if got := h.writes(); len(got) > 0 {
		t.Errorf("the agent sent %q, want nothing", got)
	}
	h.app("asked", "", synced)
	h.patch(applications, "asked", `{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"normal"}}}`)
	h.refuses("refresh_argocd_app", h.args("dev", "asked"), "a refresh was asked for already")
}
