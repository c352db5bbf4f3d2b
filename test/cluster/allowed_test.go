package cluster_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"watchkeeper/test/kubetest"
)

// allow sends a request as the agent and fails the test if it is refused.
func (s shop) allow(t *testing.T, method, path, contentType, body string) {
	t.Helper()
	if _, err := do(t.Context(), s.Agent, method, s.fill(path), contentType, s.fill(body)); err != nil {
		t.Fatalf("%s %s: %v", method, s.fill(path), err)
	}
}

// writes lists what the audit log says that the agent asked for.
func (s shop) writes(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, r := range s.AgentWrites(t, s.namespace) {
		all = append(all, r.String())
	}
	return all
}

func TestTheAgentRestartsADeployment(t *testing.T) {
	s := open(t)
	sets := func() (list []appsv1.ReplicaSet) {
		all, err := s.Kube.AppsV1().ReplicaSets(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=web"})
		if err != nil {
			t.Fatal(err)
		}
		return all.Items
	}
	before := sets()
	s.allow(t, "PATCH", apps+"deployments/web?dryRun=All", strategic, restart)
	s.allow(t, "PATCH", apps+"deployments/web", strategic, restart)
	kubetest.Eventually(t, "the rollout", func() bool {
		d, err := s.Kube.AppsV1().Deployments(s.namespace).Get(t.Context(), "web", metav1.GetOptions{})
		return err == nil && d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == 2 && d.Status.Replicas == 2 && d.Status.AvailableReplicas == 2
	})
	if got := len(sets()); len(before) != 1 || got != 2 {
		t.Errorf("there were %d ReplicaSets and are %d, want 1 and 2", len(before), got)
	}
	// kubectl writes a local time with an offset, and restarts again.
	s.allow(t, "PATCH", apps+"deployments/web", merge, `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-11-24T14:30:00+02:00"}}}}}`)
	want := []string{
		"patch deployments.apps " + s.namespace + "/web 200 (dry run)",
		"patch deployments.apps " + s.namespace + "/web 200",
		"patch deployments.apps " + s.namespace + "/web 200",
	}
	if diff := cmp.Diff(want, s.writes(t)); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
}

func TestTheAgentRestartsADeploymentWithoutAnnotations(t *testing.T) {
	s := open(t)
	s.allow(t, "PATCH", apps+"deployments/stuck", strategic, restart)
}

func TestTheAgentEvictsAStuckPod(t *testing.T) {
	s := open(t)
	s.allow(t, "POST", core+"pods/POD(stuck)/eviction?dryRun=All", asJSON, evictUID("stuck"))
	s.allow(t, "POST", core+"pods/POD(stuck)/eviction", asJSON, evictUID("stuck"))
	pods := s.Kube.CoreV1().Pods(s.namespace)
	kubetest.Eventually(t, "the pod to go", func() bool {
		p, err := pods.Get(t.Context(), s.pods["stuck"].Name, metav1.GetOptions{})
		return apierrors.IsNotFound(err) || (err == nil && p.UID != s.pods["stuck"].UID)
	})
	kubetest.Eventually(t, "a new pod", func() bool {
		list, err := pods.List(t.Context(), metav1.ListOptions{LabelSelector: "app=stuck"})
		return err == nil && len(list.Items) == 2
	})
	path := s.namespace + "/" + s.pods["stuck"].Name
	if diff := cmp.Diff([]string{"create pods/eviction " + path + " 201 (dry run)", "create pods/eviction " + path + " 201"}, s.writes(t)); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
}

func TestADisruptionBudgetHoldsTheAgentBack(t *testing.T) {
	s := open(t)
	s.Apply(t, s.namespace, `{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: stuck}, spec: {minAvailable: 2, selector: {matchLabels: {app: stuck}}}}`)
	kubetest.Eventually(t, "the disruption budget", func() bool {
		b, err := s.Kube.PolicyV1().PodDisruptionBudgets(s.namespace).Get(t.Context(), "stuck", metav1.GetOptions{})
		return err == nil && b.Status.ObservedGeneration > 0 && b.Status.ExpectedPods == 2
	})
	_, err := do(t.Context(), s.Agent, "POST", s.fill(core+"pods/POD(stuck)/eviction"), asJSON, s.fill(evictUID("stuck")))
	if !apierrors.IsTooManyRequests(err) {
		t.Errorf("eviction = %v, want it refused by the budget (429)", err)
	}
}

func TestTheAgentStopsAndTerminatesAWorkflow(t *testing.T) {
	s := open(t)
	for _, how := range []string{"Stop", "Stop", "Terminate"} {
		s.allow(t, "PATCH", argo+"workflows/import", merge, `{"spec":{"shutdown":"`+how+`"}}`)
		wf, err := s.Dynamic.Resource(kubetest.Workflows).Namespace(s.namespace).Get(t.Context(), "import", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got, _, _ := unstructured.NestedString(wf.Object, "spec", "shutdown"); got != how {
			t.Errorf("spec.shutdown = %q, want %q", got, how)
		}
	}
	s.refused(t, s.Agent, attempt{method: "PATCH", path: argo + "workflows/import", contentType: merge, body: `{"spec":{"shutdown":null}}`}, "")
	s.refused(t, s.Agent, attempt{method: "PATCH", path: argo + "workflows/import", contentType: merge, body: `{"spec":{"shutdown":"Stop"}}`}, "from Stop to Terminate")
}

func TestTheAgentRefreshesAnApplication(t *testing.T) {
	s := open(t)
	api := s.Dynamic.Resource(kubetest.Applications).Namespace(s.namespace)
	want := map[string]string{"team": "shop"}
	for _, how := range []string{"normal", "hard"} {
		s.allow(t, "PATCH", argo+"applications/shop", merge, `{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"`+how+`"}}}`)
		app, err := api.Get(t.Context(), "shop", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want["argocd.argoproj.io/refresh"] = how
		if diff := cmp.Diff(want, app.GetAnnotations()); diff != "" {
			t.Errorf("annotations after a %s refresh (-want +got):\n%s", how, diff)
		}
	}
	path := s.namespace + "/shop"
	if diff := cmp.Diff([]string{"patch applications.argoproj.io " + path + " 200", "patch applications.argoproj.io " + path + " 200"}, s.writes(t)); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
}

// The agent reads what its tools ask for.
func TestTheAgentReads(t *testing.T) {
	s := open(t)
	for _, path := range []string{
		"/api/v1/pods", core + "pods/POD(web)", "/api/v1/nodes", "/api/v1/events", "/api/v1/namespaces", "/api/v1/services", "/api/v1/persistentvolumes",
		"/api/v1/persistentvolumeclaims", "/api/v1/resourcequotas", "/apis/apps/v1/deployments", "/apis/apps/v1/replicasets", "/apis/apps/v1/statefulsets",
		"/apis/apps/v1/daemonsets", "/apis/batch/v1/jobs", "/apis/batch/v1/cronjobs", "/apis/autoscaling/v2/horizontalpodautoscalers",
		"/apis/policy/v1/poddisruptionbudgets", "/apis/networking.k8s.io/v1/ingresses", "/apis/discovery.k8s.io/v1/endpointslices",
		"/apis/storage.k8s.io/v1/storageclasses", "/apis/argoproj.io/v1alpha1/applications", "/apis/argoproj.io/v1alpha1/workflows", "/version", "/readyz",
	} {
		if _, err := do(t.Context(), s.Agent, "GET", s.fill(path), "", ""); err != nil {
			t.Errorf("GET %s: %v", path, err)
		}
	}
	text, err := do(t.Context(), s.Agent, "GET", s.fill(core+"pods/POD(stuck)/log?previous=true&tailLines=2"), "", "")
	if want := strings.Join(kubetest.LastWords, "\n") + "\n"; err != nil || string(text) != want {
		t.Errorf("the log of the previous container = %q, %v, want %q", text, err, want)
	}
}
