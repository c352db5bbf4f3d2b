package cluster_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"watchkeeper/test/kubetest"
)

const manifests = "../../deploy/kubernetes"

// A file that the kustomization forgets is a policy that nobody applies.
func TestKustomizationListsEveryManifest(t *testing.T) {
	list, err := os.ReadFile(filepath.Join(manifests, "kustomization.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(manifests, "*.yaml"))
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d manifests (%v)", len(files), err)
	}
	for _, f := range files {
		name := filepath.Base(f)
		if name != "kustomization.yaml" && !strings.Contains(string(list), "\n  - "+name+"\n") {
			t.Errorf("kustomization.yaml does not list %s", name)
		}
	}
}

// The server checks the expressions against the types of what they bound, and
// notes what it does not understand.
func TestPoliciesAreUnderstood(t *testing.T) {
	c := kubetest.Start(t)
	kubetest.Eventually(t, "the check of the policies", func() bool {
		list, err := c.Kube.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) != 5 {
			return false
		}
		for _, p := range list.Items {
			if p.Status.TypeChecking == nil || p.Status.ObservedGeneration != p.Generation {
				return false
			}
			for _, w := range p.Status.TypeChecking.ExpressionWarnings {
				t.Errorf("%s, %s: %s", p.Name, w.FieldRef, w.Warning)
			}
		}
		return true
	})
	bindings, err := c.Kube.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bound := map[string]bool{}
	for _, b := range bindings.Items {
		bound[b.Spec.PolicyName] = len(b.Spec.ValidationActions) == 1 && b.Spec.ValidationActions[0] == "Deny"
	}
	for _, name := range []string{"restart", "evict", "workflow", "refresh", "nothing-else"} {
		if !bound["watchkeeper-"+name] {
			t.Errorf("policy watchkeeper-%s is not bound with Deny", name)
		}
	}
}
