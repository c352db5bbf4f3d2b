package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

type getArgs struct {
	Cluster   string `json:"cluster" jsonschema:"configured name or alias of the cluster"`
	Kind      string `json:"kind" jsonschema:"any kind, as kubectl takes it: pods, Deployment, pvc, applications.argoproj.io"`
	Namespace string `json:"namespace,omitempty" jsonschema:"needed with name for what lives in a namespace; a list without it is over all"`
	Name      string `json:"name,omitempty" jsonschema:"one object in full; without it a list, one line each"`
	Selector  string `json:"selector,omitempty" jsonschema:"label selector of the list: app=cart,tier!=cache"`
	Limit     int64  `json:"limit,omitempty" jsonschema:"objects in the list, 50 if not given, at most 200"`
	Continue  string `json:"continue,omitempty" jsonschema:"where the list before stopped, from its last line"`
}

func kubeGet(clusters *Clusters) server.ServerTool {
	return tool("kube_get",
		"Read one object of any kind in full, or list objects one line each. "+
			"Secrets show key names and sizes only; environment variables and ConfigMaps are redacted. "+
			"To find out what is broken use kube_problems; this is for details that it leaves open.",
		readOnly,
		func(ctx context.Context, in getArgs) (string, error) {
			c, err := clusters.Get(in.Cluster)
			if err != nil {
				return "", err
			}
			if err := errors.Join(checkNames(in.Namespace, in.Name), checkSelector(in.Selector)); err != nil {
				return "", err
			}
			r, err := c.resource(ctx, in.Kind)
			if err != nil {
				return "", err
			}
			if in.Name != "" {
				return r.get(ctx, in)
			}
			return r.list(ctx, in)
		})
}

// A resource is one kind of object in one cluster.
type resource struct {
	cluster *Cluster
	mapping *meta.RESTMapping
	api     dynamic.NamespaceableResourceInterface
}

// resource finds a kind by its singular, plural or short name, with or without
// a group.
func (c *Cluster) resource(ctx context.Context, kind string) (*resource, error) {
	cl, err := c.clients()
	if err != nil {
		return nil, err
	}
	arg := schema.ParseGroupResource(strings.ToLower(strings.TrimSpace(kind)))
	m, err := cl.kinds.find(ctx, arg)
	if err == nil {
		return &resource{c, m, cl.dynamic.Resource(m.Resource)}, nil
	}
	if meta.IsNoMatchError(err) {
		return nil, fmt.Errorf("%s has no kind %q; write it like pods, deployments, pvc or applications.argoproj.io", c.Name, oneLine(kind, 80))
	}
	return nil, c.explain("find the kind "+oneLine(kind, 80), err)
}

// in returns the API for a namespace; "" is all of them.
func (r *resource) in(namespace string) dynamic.ResourceInterface {
	if namespace == "" || r.mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return r.api
	}
	return r.api.Namespace(namespace)
}

func (r *resource) namespaced() bool { return r.mapping.Scope.Name() == meta.RESTScopeNameNamespace }

// get renders one object.
func (r *resource) get(ctx context.Context, in getArgs) (string, error) {
	if r.namespaced() && in.Namespace == "" {
		return "", fmt.Errorf("a %s lives in a namespace: give namespace too", r.mapping.GroupVersionKind.Kind)
	}
	obj, err := r.in(in.Namespace).Get(ctx, in.Name, metav1.GetOptions{})
	if err != nil {
		return "", r.cluster.explain(fmt.Sprintf("get %s %s", r.mapping.GroupVersionKind.Kind, in.Name), err)
	}
	lines, err := document(obj)
	if err != nil {
		return "", err
	}
	out := newPage(maxTokens)
	out.say("%s (%s): %s", r.cluster.Name, orUnknown(r.cluster.Env), owner{r.mapping.GroupVersionKind.Kind, in.Namespace, in.Name})
	shown := 0
	for shown < len(lines) && out.quote(lines[shown]) {
		shown++
	}
	if rest := len(lines) - shown; rest > 0 {
		out.say("[%d more lines are left out]", rest)
	}
	return out.String(), nil
}

// list renders one line for each object of a page.
func (r *resource) list(ctx context.Context, in getArgs) (string, error) {
	opts := metav1.ListOptions{LabelSelector: in.Selector, Limit: min(max(cmp.Or(in.Limit, 50), 1), 200), Continue: in.Continue}
	list, err := r.in(in.Namespace).List(ctx, opts)
	if err != nil {
		return "", r.cluster.explain("list "+r.mapping.Resource.Resource, err)
	}
	out := newPage(maxTokens)
	scope := "all namespaces"
	if in.Namespace != "" {
		scope = "namespace " + in.Namespace
	}
	if !r.namespaced() {
		scope = "the cluster"
	}
	out.say("%s (%s): %d %s in %s", r.cluster.Name, orUnknown(r.cluster.Env), len(list.Items), r.mapping.Resource.Resource, scope)
	for i := range list.Items {
		if !out.quote(listLine(&list.Items[i], time.Now())) {
			out.say("[%d more of this page are left out; give a smaller limit, a namespace or a selector]", len(list.Items)-i)
			break
		}
	}
	if next := list.GetContinue(); next != "" {
		rest := "more"
		if n := list.GetRemainingItemCount(); n != nil {
			rest = fmt.Sprintf("%d more", *n)
		}
		out.say("[%s; the next page: the same call with continue=%s]", rest, clean(next, 2000))
	}
	return out.String(), nil
}

// listLine is what an object says about itself in one line.
func listLine(o *unstructured.Unstructured, now time.Time) string {
	name := o.GetName()
	if ns := o.GetNamespace(); ns != "" {
		name = ns + "/" + name
	}
	parts := []string{oneLine(name, 200), "created " + ago(now, o.GetCreationTimestamp().Time)}
	for _, f := range statusFields() {
		v, found, err := unstructured.NestedFieldNoCopy(o.Object, strings.Split(f, ".")...)
		if found && err == nil && fmt.Sprint(v) != "" {
			parts = append(parts, f[strings.IndexByte(f, '.')+1:]+"="+oneLine(fmt.Sprint(v), 80))
		}
	}
	parts = append(parts, podState(o, now)...)
	return strings.Join(append(parts, badConditions(o)...), "  ")
}

// podState says of a pod what its phase does not.
func podState(o *unstructured.Unstructured, now time.Time) []string {
	var p corev1.Pod
	if o.GetKind() != "Pod" || runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &p) != nil {
		return nil
	}
	f := examine(&p, now)
	state := []string{fmt.Sprintf("restarts=%d", f.restarts)}
	if f.reason != "" {
		state = append(state, oneLine(f.reason, 60))
	}
	return state
}

// statusFields are the fields that say how something is, for whichever kinds
// have them.
func statusFields() []string {
	return []string{
		"status.phase", "status.sync.status", "status.health.status", "spec.replicas", "status.readyReplicas",
		"status.updatedReplicas", "status.desiredNumberScheduled", "status.numberReady", "status.succeeded", "status.failed",
		"spec.suspend", "status.progress", "spec.type", "spec.nodeName", "status.capacity.storage", "involvedObject.name", "reason", "count", "type",
	}
}

// badConditions names the conditions that are not as one wishes.
func badConditions(o *unstructured.Unstructured) []string {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	var bad []string
	for _, item := range list {
		c, _ := item.(map[string]any)
		kind, _ := c["type"].(string)
		status, _ := c["status"].(string)
		trouble := strings.Contains(kind, "Pressure") || strings.Contains(kind, "Unavailable") || strings.Contains(kind, "Fail") ||
			strings.Contains(kind, "Error") || kind == "Suspended"
		if (status == "False" && !trouble) || (status != "False" && trouble) {
			reason, _ := c["reason"].(string)
			bad = append(bad, oneLine(fmt.Sprintf("%s=%s(%s)", kind, status, reason), 120))
		}
	}
	return bad
}
