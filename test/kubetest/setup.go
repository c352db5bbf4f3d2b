package kubetest

import (
	"context"
	_ "embed" // for the CRD
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"go.yaml.in/yaml/v3"
)

//go:embed workflow-crd.yaml
var workflowCRD []byte

// Resources of Argo, for the dynamic client.
var (
	Applications = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "applications"}
	Workflows    = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "workflows"}
)

// setUp does what an operator would: Argo's resources, deploy/kubernetes, and
// a token for the agent.
func (c *Cluster) setUp(ctx context.Context, assets string) error {
	var err error
	if c.Kube, err = kubernetes.NewForConfig(c.Admin); err != nil {
		return err
	}
	if c.Dynamic, err = dynamic.NewForConfig(c.Admin); err != nil {
		return err
	}
	if err := c.installArgo(ctx, assets); err != nil {
		return err
	}
	for _, name := range []string{"node-1", "node-2"} {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name}}}
		if _, err := c.Kube.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create node %s: %w", name, err)
		}
	}
	if err := c.install(ctx); err != nil {
		return fmt.Errorf("apply deploy/kubernetes: %w", err)
	}
	if c.Agent, err = c.agentFor(ctx, 90*24*time.Hour); err != nil {
		return err
	}
	return c.waitGuarded(ctx)
}

// agentFor makes a token for the agent, as deploy/kubernetes/README.md does.
func (c *Cluster) agentFor(ctx context.Context, valid time.Duration) (*rest.Config, error) {
	seconds := int64(valid.Seconds())
	token, err := c.Kube.CoreV1().ServiceAccounts("watchkeeper").CreateToken(ctx, "agent",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("create a token for the agent: %w", err)
	}
	return c.stack.config(token.Status.Token), nil
}

// installArgo makes Argo's resources known.
func (c *Cluster) installArgo(ctx context.Context, assets string) error {
	application, err := os.ReadFile(filepath.Join(assets, "application-crd.yaml"))
	if err != nil {
		return err
	}
	for _, text := range [][]byte{application, workflowCRD} {
		if err := c.apply(ctx, "", text); err != nil {
			return err
		}
	}
	for _, r := range []schema.GroupVersionResource{Applications, Workflows} {
		if err := poll(ctx, time.Minute, func() bool {
			_, err := c.Dynamic.Resource(r).List(ctx, metav1.ListOptions{})
			return err == nil
		}); err != nil {
			return fmt.Errorf("wait for %s: %w", r.Resource, err)
		}
	}
	return nil
}

// install applies deploy/kubernetes by its kustomization, which is a plain list
// of files.
func (c *Cluster) install(ctx context.Context) error {
	top, err := root()
	if err != nil {
		return err
	}
	dir := filepath.Join(top, "deploy", "kubernetes")
	text, err := os.ReadFile(filepath.Join(dir, "kustomization.yaml"))
	if err != nil {
		return err
	}
	var list struct {
		APIVersion string   `yaml:"apiVersion"`
		Kind       string   `yaml:"kind"`
		Resources  []string `yaml:"resources"`
	}
	if err := yaml.Unmarshal(text, &list); err != nil {
		return err
	}
	for _, name := range list.Resources {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if err := c.apply(ctx, "", text); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// canary is one object of each kind that the policies bound.
const canary = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: canary}
spec:
  replicas: 0
  selector: {matchLabels: {app: canary}}
  template:
    metadata: {labels: {app: canary}}
    spec: {containers: [{name: main, image: "registry.example.com/canary:1"}]}
---
apiVersion: v1
kind: Pod
metadata: {name: canary}
spec: {containers: [{name: main, image: "registry.example.com/canary:1"}]}
---
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {name: canary}
spec: {}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: canary}
spec: {project: default, destination: {}, source: {repoURL: "https://git.example.com/canary"}}
`

// waitGuarded waits until the API server applies the policies, some moments
// after it accepted them: the agent may try, in a dry run, what each forbids.
func (c *Cluster) waitGuarded(ctx context.Context) error {
	if err := poll(ctx, time.Minute, func() bool {
		_, err := c.Kube.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err == nil
	}); err != nil {
		return fmt.Errorf("wait for the controller manager: %w", err)
	}
	if err := c.apply(ctx, "default", []byte(canary)); err != nil {
		return err
	}
	dyn, err := dynamic.NewForConfig(c.Agent)
	if err != nil {
		return err
	}
	deployments := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	var last error
	err = poll(ctx, time.Minute, func() bool {
		last = errors.Join(
			wantForbidden(tryPatch(ctx, dyn, deployments)),
			wantForbidden(tryPatch(ctx, dyn, Workflows)),
			wantForbidden(tryPatch(ctx, dyn, Applications)),
			wantForbidden(tryEviction(ctx, dyn)),
		)
		return last == nil
	})
	if err != nil {
		return fmt.Errorf("wait for the policies: %w: %w", err, last)
	}
	return nil
}

// tryPatch labels a canary, which no policy lets the agent do.
func tryPatch(ctx context.Context, dyn dynamic.Interface, r schema.GroupVersionResource) error {
	_, err := dyn.Resource(r).Namespace("default").Patch(ctx, "canary", types.MergePatchType,
		[]byte(`{"metadata":{"labels":{"canary":"dead"}}}`), metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
	return err
}

// tryEviction evicts the canary, which belongs to nothing.
func tryEviction(ctx context.Context, dyn dynamic.Interface) error {
	eviction := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "policy/v1", "kind": "Eviction", "metadata": map[string]any{"name": "canary", "namespace": "default"},
	}}
	pods := schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	_, err := dyn.Resource(pods).Namespace("default").Create(ctx, eviction, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}, "eviction")
	return err
}

func wantForbidden(err error) error {
	if apierrors.IsForbidden(err) {
		return nil
	}
	return fmt.Errorf("got %w, want it forbidden", err)
}
