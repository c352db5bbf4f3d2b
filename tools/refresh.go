package tools

import (
	"context"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"watchkeeper/runbook"
)

func refreshArgocdApp() work {
	return work{
		action: "refresh_argocd_app", kind: "Application", hint: idempotent,
		// The annotation changes nothing in the namespace of the Application,
		// which is often protected; a sync that follows changes the destination.
		elsewhere: true,
		description: "Make Argo CD compare one application with Git again, with fresh manifests (hard refresh). Use it when Argo CD shows an old state or a fix is merged and not seen. It starts no sync itself, but automated sync may follow, with pruning; that is reported, " +
			"and refused where it could take something away. namespace is that of the Application object, often argocd. On prod the first call only shows what would happen and returns the confirm token.",
		prepare: prepareRefresh,
	}
}

func prepareRefresh(ctx context.Context, g *guard, t target) (*deed, error) {
	o, a, err := t.application(ctx)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	strict := t.cluster.Env.Strict() || !a.inCluster()
	if err := applicationAllows(a, strict); err != nil {
		return nil, err
	}
	if yes, _, _ := a.automated(); yes && a.inCluster() && a.destination() != "" {
		if err := g.unprotected(ctx, t, a.destination()); err != nil {
			return nil, err
		}
	}
	change := map[string]any{"metadata": map[string]any{"annotations": map[string]any{refreshKey: "hard"}}}
	act, err := patchOf(t, "/apis/argoproj.io/v1alpha1/applications", types.MergePatchType, o, change)
	if err != nil {
		return nil, err
	}
	would := "make Argo CD compare it with Git again; it syncs by hand, so nothing else follows"
	if yes, _, _ := a.automated(); yes {
		would = "make Argo CD compare it with Git again; it " + a.syncs() + ", so that a new commit would be deployed"
	}
	return &deed{
		uid: o.GetUID(), version: o.GetResourceVersion(), act: act, would: would, strict: strict,
		saw:    append([]string{a.headline()}, a.brief(now)...),
		follow: func(ctx context.Context) (runbook.Outcome, []string) { return t.seeRefreshed(ctx, o.GetUID()) },
	}, nil
}

func (t target) application(ctx context.Context) (*unstructured.Unstructured, *application, error) {
	o, err := t.clients.dynamic.Resource(argoCD).Namespace(t.namespace).Get(ctx, t.name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, t.cluster.explainArgo("Argo CD", "look at "+t.words(), err)
	}
	a, err := readApplication(o)
	return o, a, err
}

// inCluster reports whether it deploys to the cluster that it lives in. Where
// else it deploys to is not known to be dev, and counts as production.
func (a *application) inCluster() bool {
	d := a.Spec.Destination
	return d == nil || d.Server == "https://kubernetes.default.svc" || d.Name == "in-cluster"
}

// applicationAllows refuses what is in motion, and what a sync that follows
// could take something away from.
func applicationAllows(a *application, strict bool) error {
	yes, prune, _ := a.automated()
	doomed := slices.DeleteFunc(slices.Clone(a.Status.Resources), func(r appResource) bool { return !r.Prune })
	switch {
	case a.Metadata.DeletionTimestamp != nil:
		return refuse("find out who deletes it, quickly: what it deployed goes too", "the application is being deleted")
	case a.Metadata.Annotations[refreshKey] != "":
		return refuse("look at the application controller if that lasts", "a refresh was asked for already and is not done")
	case a.running():
		return refuse("wait until the operation ends", "an operation is running, and it looks at Git by itself")
	case yes && prune && len(doomed) > 0:
		return refuse("look at what would go, and sync by hand", "a sync would follow by itself and prune %s, the first being %s", plural(len(doomed), "resource"), oneLine(doomed[0].Kind+" "+doomed[0].Name, 120))
	case yes && prune && strict && a.Status.Sync.Status != "Synced":
		return refuse("look at the difference, and sync by hand", "it is %s, and a sync with pruning would follow by itself on production", oneLine(orElse(a.Status.Sync.Status, "of unknown state"), 40))
	case yes && prune && slices.ContainsFunc(a.Status.Resources, func(r appResource) bool { return r.Kind == "Application" && r.Group == "argoproj.io" }):
		return refuse("refresh the application below it", "it manages other applications and prunes by itself: a commit could delete one with all that it deployed")
	}
	return nil
}

// seeRefreshed waits until the controller has removed the annotation.
func (t target) seeRefreshed(ctx context.Context, uid types.UID) (runbook.Outcome, []string) {
	var a *application
	whole := patience(ctx)
	done := watch(ctx, func(ctx context.Context) (bool, error) {
		o, now, err := t.application(ctx)
		if err != nil || o.GetUID() != uid {
			return false, err
		}
		a = now
		return now.Metadata.Annotations[refreshKey] == "", nil
	})
	if a == nil {
		return runbook.WriteUnknown, []string{"it could not be looked at afterwards"}
	}
	after := append([]string{a.headline(), "compared revision " + a.Status.Sync.text()}, a.brief(time.Now())...)
	if !done {
		return runbook.WriteFailed, append(after, fmt.Sprintf("Argo CD has not done it within %s; its application controller may be down", runbook.Short(whole)))
	}
	if a.running() {
		after = append(after, "a sync has begun by itself")
	}
	return runbook.WriteOK, after
}
