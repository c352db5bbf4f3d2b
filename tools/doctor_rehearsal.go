package tools

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// A rehearsal is one write, tried as a dry run.
type rehearsal struct {
	what string
	want string
	try  func(context.Context) error
}

// dryRun are the options of every write here.
func dryRun() metav1.PatchOptions {
	return metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: fieldManager}
}

// rehearsals tries what the admission policies decide, on objects that are
// there: the first that fits of each kind.
func (k checkup) rehearsals(ctx context.Context) []DoctorRow {
	free := k.unprotected(ctx)
	var rows []DoctorRow
	add := func(nothing string, all []rehearsal) {
		if len(all) == 0 {
			rows = append(rows, DoctorRow{Cluster: k.cluster.Name, What: "rehearse on " + nothing, Want: "bounded", Got: unknown, OK: true, Detail: "there is none to try it on"})
		}
		for _, r := range all {
			rows = append(rows, k.rehearse(ctx, r))
		}
	}
	add("a deployment", k.onDeployment(ctx, free))
	add("a pod that is ready", k.onPod(ctx, free))
	add("an Argo CD application", k.onApplication(ctx))
	add("an Argo workflow", k.onWorkflow(ctx, free))
	return rows
}

// rehearse makes a row of one dry run.
func (k checkup) rehearse(ctx context.Context, r rehearsal) DoctorRow {
	row := DoctorRow{Cluster: k.cluster.Name, What: r.what + " (dry run)", Want: r.want}
	switch err := r.try(ctx); {
	case err == nil, apierrors.IsTooManyRequests(err): // a disruption budget is asked after the policies
		row.Got = allowed
	case apierrors.IsForbidden(err):
		row.Got = denied
		if r.want == allowed {
			row.Detail = oneLine(err.Error(), 300)
		}
	default:
		row.Got, row.Detail = unknown, oneLine(err.Error(), 300)
	}
	if row.OK = row.Got == row.Want; row.OK {
		return row
	}
	row.Fix = fixOf(r.want, row.Got)
	if row.Got == allowed {
		row.Fix = "the admission policies do not hold for these credentials: kubectl apply -k deploy/kubernetes, and use a token of its account"
	}
	return row
}

// unprotected returns the namespaces in which the policies let the agent act.
func (k checkup) unprotected(ctx context.Context) map[string]bool {
	free := map[string]bool{}
	list, err := k.kube.CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: pageSize})
	if err != nil {
		return free // the row about the right to list them says so
	}
	for _, ns := range list.Items {
		_, labelled := ns.Labels[protectedLabel]
		free[ns.Name] = !labelled && !slices.Contains(alwaysProtected, ns.Name)
	}
	return free
}

func (k checkup) onDeployment(ctx context.Context, free map[string]bool) []rehearsal {
	list, err := k.kube.AppsV1().Deployments("").List(ctx, metav1.ListOptions{Limit: pageSize})
	if err != nil {
		return nil
	}
	i := slices.IndexFunc(list.Items, func(d appsv1.Deployment) bool { return free[d.Namespace] && replicas(d.Spec.Replicas) > 0 })
	if i < 0 {
		return nil
	}
	d := &list.Items[i]
	patch := func(body string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := k.kube.AppsV1().Deployments(d.Namespace).Patch(ctx, d.Name, types.StrategicMergePatchType, []byte(body), dryRun())
			return err
		}
	}
	container := d.Spec.Template.Spec.Containers[0].Name
	return []rehearsal{
		{"restart a deployment", allowed, patch(`{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2000-01-01T00:00:00Z"}}}}}`)},
		{"scale a deployment to zero", denied, patch(`{"spec":{"replicas":0}}`)},
		{"change an image", denied, patch(fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":%q,"image":"watchkeeper.invalid/doctor"}]}}}}`, container))},
		{"label a deployment", denied, patch(`{"metadata":{"labels":{"watchkeeper.io/doctor":"true"}}}`)},
	}
}

func (k checkup) onPod(ctx context.Context, free map[string]bool) []rehearsal {
	list, err := k.kube.CoreV1().Pods("").List(ctx, metav1.ListOptions{Limit: pageSize, FieldSelector: "status.phase=Running"})
	if err != nil {
		return nil
	}
	i := slices.IndexFunc(list.Items, func(p corev1.Pod) bool {
		return free[p.Namespace] && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
	})
	if i < 0 {
		return nil
	}
	p := &list.Items[i]
	return []rehearsal{{"evict a pod that is ready", denied, func(ctx context.Context) error {
		// The typed client has no way to ask for a dry run in the address, which
		// is where our own gate looks for it.
		eviction := &policyv1.Eviction{
			TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "Eviction"},
			ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}, DeleteOptions: &metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(p.UID))},
		}
		return k.kube.CoreV1().RESTClient().Post().Namespace(p.Namespace).Resource("pods").Name(p.Name).SubResource("eviction").
			Param("dryRun", metav1.DryRunAll).Body(eviction).Do(ctx).Error()
	}}}
}

func (k checkup) onApplication(ctx context.Context) []rehearsal {
	patch, _ := k.patchFirst(ctx, "applications", nil)
	if patch == nil {
		return nil
	}
	return []rehearsal{
		{"refresh an Argo CD application", allowed, patch(`{"metadata":{"annotations":{"argocd.argoproj.io/refresh":"normal"}}}`)},
		{"start a sync", denied, patch(`{"operation":{"sync":{"revision":"watchkeeper-doctor"}}}`)},
		{"change the revision of an Argo CD application", denied, patch(`{"spec":{"source":{"targetRevision":"watchkeeper-doctor"}}}`)},
		{"label an Argo CD application", denied, patch(`{"metadata":{"labels":{"watchkeeper.io/doctor":"true"}}}`)},
	}
}

func (k checkup) onWorkflow(ctx context.Context, free map[string]bool) []rehearsal {
	patch, shutdown := k.patchFirst(ctx, "workflows", free)
	if patch == nil {
		return nil
	}
	all := []rehearsal{
		{"change an Argo workflow", denied, patch(`{"spec":{"activeDeadlineSeconds":1}}`)},
		{"label an Argo workflow", denied, patch(`{"metadata":{"labels":{"watchkeeper.io/doctor":"true"}}}`)},
	}
	if shutdown == "" {
		all = append(all, rehearsal{"terminate an Argo workflow that was not told to stop", denied, patch(`{"spec":{"shutdown":"Terminate"}}`)})
	}
	return all
}

// patchFirst finds an object of Argo's and returns what patches it, with its
// spec.shutdown; nil if there is none. A nil free is every namespace.
func (k checkup) patchFirst(ctx context.Context, resource string, free map[string]bool) (patch func(string) func(context.Context) error, shutdown string) {
	api := k.dynamic.Resource(schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: resource})
	list, err := api.List(ctx, metav1.ListOptions{Limit: 50})
	if err != nil {
		return nil, ""
	}
	i := slices.IndexFunc(list.Items, func(o unstructured.Unstructured) bool { return free == nil || free[o.GetNamespace()] })
	if i < 0 {
		return nil, ""
	}
	o := &list.Items[i]
	shutdown, _, _ = unstructured.NestedString(o.Object, "spec", "shutdown")
	return func(body string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := api.Namespace(o.GetNamespace()).Patch(ctx, o.GetName(), types.MergePatchType, []byte(body), dryRun())
			return err
		}
	}, shutdown
}
