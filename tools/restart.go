package tools

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"watchkeeper/runbook"
)

// restartedKey is the annotation of the pod template that kubectl rollout
// restart sets too.
const restartedKey = "kubectl.kubernetes.io/restartedAt"

// restartedLately is how soon a second restart makes no sense.
const restartedLately = 10 * time.Minute

func restartDeployment() work {
	return work{
		action: "restart_deployment", kind: "Deployment",
		description: "Restart a Deployment pod by pod, as kubectl rollout restart does, and see it through. Use it when pods are wedged, no release is at fault, and history or playbook says that a restart helps. " +
			"Not for what a bad release broke, nor for databases. On prod the first call only shows what would happen and returns the confirm token.",
		prepare: prepareRestart,
	}
}

func prepareRestart(ctx context.Context, _ *guard, t target) (*deed, error) {
	d, err := t.clients.kube.AppsV1().Deployments(t.namespace).Get(ctx, t.name, metav1.GetOptions{})
	if err != nil {
		return nil, t.cluster.explain("look at "+t.words(), err)
	}
	now := time.Now()
	if err := deploymentAllows(d, now); err != nil {
		return nil, err
	}
	if err := t.volumesAllow(ctx, d); err != nil {
		return nil, err
	}
	pods, err := t.podsOf(ctx, d.Spec.Selector)
	if err != nil {
		return nil, err
	}
	if err := imagesAllow(pods, now); err != nil {
		return nil, err
	}
	change := map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{restartedKey: now.UTC().Format(time.RFC3339)},
	}}}}
	a, err := patchOf(t, "/apis/apps/v1/deployments", types.StrategicMergePatchType, d, change)
	if err != nil {
		return nil, err
	}
	return &deed{
		uid: d.UID, version: d.ResourceVersion, act: a, saw: seenDeployment(d, pods, now),
		would:  fmt.Sprintf("replace its %s one after the other (%s)", plural(int(replicas(d.Spec.Replicas)), "pod"), pace(d)),
		follow: func(ctx context.Context) (runbook.Outcome, []string) { return t.seeRollout(ctx, d) },
	}, nil
}

// deploymentAllows checks what the object says about itself.
func deploymentAllows(d *appsv1.Deployment, now time.Time) error {
	n := replicas(d.Spec.Replicas)
	s := d.Status
	restarted, err := time.Parse(time.RFC3339, d.Spec.Template.Annotations[restartedKey])
	switch {
	case d.DeletionTimestamp != nil:
		return refuse("find out who deletes it", "the deployment is being deleted")
	case holdsData(d, d.Spec.Template.Spec) != "":
		return refuse("restart it by hand, knowing its state", "databases, stores and queues are never touched, and %s", holdsData(d, d.Spec.Template.Spec))
	case d.Spec.Paused:
		return refuse("find out why somebody paused it, and resume it", "the deployment is paused")
	case n == 0:
		return refuse("find out why it is scaled to zero", "the deployment has 0 replicas, so there is nothing to restart")
	case err == nil && now.Sub(restarted) < restartedLately:
		return refuse("look why the restart did not help", "it was restarted %s, and a second restart so soon helps nobody", ago(now, restarted))
	case stalled(d):
		return refuse("roll the release back", "its rollout is stalled (ProgressDeadlineExceeded); a restart would run the same release again")
	case s.ObservedGeneration < d.Generation || s.UpdatedReplicas < n || s.Replicas > s.UpdatedReplicas:
		return refuse("wait until the rollout ends, or roll it back", "a rollout is running (%d of %d updated, %d old)", s.UpdatedReplicas, n, s.Replicas-s.UpdatedReplicas)
	}
	return nil
}

// stalled reports whether old pods wait for a new release that does not come
// up. A rollout that had ended and whose pods became unready later is not.
func stalled(d *appsv1.Deployment) bool {
	return slices.ContainsFunc(d.Status.Conditions, func(c appsv1.DeploymentCondition) bool {
		return c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded"
	})
}

// volumesAllow refuses where new pods could wait for a volume that old ones
// still hold, and on production also where all pods go before new ones come.
func (t target) volumesAllow(ctx context.Context, d *appsv1.Deployment) error {
	recreate := d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType
	if recreate && t.cluster.Env.Strict() {
		return refuse("restart it in a quiet hour", "its strategy is Recreate: all pods would end before new ones begin")
	}
	if !recreate && replicas(d.Spec.Replicas) > 1 {
		return nil
	}
	for _, v := range d.Spec.Template.Spec.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		c, err := t.clients.kube.CoreV1().PersistentVolumeClaims(t.namespace).Get(ctx, v.PersistentVolumeClaim.ClaimName, metav1.GetOptions{})
		if err != nil {
			return t.cluster.explain("look at its volume claim", err)
		}
		if !slices.Contains(c.Spec.AccessModes, corev1.ReadWriteMany) && !slices.Contains(c.Spec.AccessModes, corev1.ReadOnlyMany) {
			return refuse("restart it by hand and watch the volume attach", "its volume %s can be attached once only: the new pod would wait for the old one", c.Name)
		}
	}
	return nil
}

// podsOf lists the pods that a selector finds.
func (t target) podsOf(ctx context.Context, selector *metav1.LabelSelector) ([]corev1.Pod, error) {
	list, err := t.clients.kube.CoreV1().Pods(t.namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(selector), Limit: pageSize})
	if err != nil {
		return nil, t.cluster.explain("look at its pods", err)
	}
	return list.Items, nil
}

// imagesAllow refuses when an image cannot be pulled: pods that run would be
// traded for pods that do not.
func imagesAllow(pods []corev1.Pod, now time.Time) error {
	for i := range pods {
		if f := examine(&pods[i], now); pullFails(f.reason) {
			return refuse("mend the image or the registry", "pod %s cannot pull its image (%s), and the new ones could not either", pods[i].Name, oneLine(f.reason, 40))
		}
	}
	return nil
}

func pullFails(reason string) bool {
	return slices.Contains([]string{"ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError", "RegistryUnavailable"}, reason)
}

// pace says how many pods are replaced at a time.
func pace(d *appsv1.Deployment) string {
	if d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType {
		return "all at once: its strategy is Recreate"
	}
	r := d.Spec.Strategy.RollingUpdate
	if r == nil || r.MaxUnavailable == nil || r.MaxSurge == nil {
		return "rolling update"
	}
	return fmt.Sprintf("at most %s unavailable, %s more than usual", r.MaxUnavailable, r.MaxSurge)
}

// seenDeployment is what the session should weigh.
func seenDeployment(d *appsv1.Deployment, pods []corev1.Pod, now time.Time) []string {
	lines := []string{fmt.Sprintf("%d replicas, %d ready, %d available", replicas(d.Spec.Replicas), d.Status.ReadyReplicas, d.Status.AvailableReplicas)}
	for _, c := range d.Spec.Template.Spec.Containers {
		lines = append(lines, "container "+oneLine(c.Name, 80)+" runs "+oneLine(c.Image, 160))
	}
	for i := range pods {
		f := examine(&pods[i], now)
		if f.reason != "" && len(lines) < 8 {
			lines = append(lines, fmt.Sprintf("pod %s: %s, %s", pods[i].Name, oneLine(f.reason, 60), plural(int(f.restarts), "restart")))
		}
	}
	if at, err := time.Parse(time.RFC3339, d.Spec.Template.Annotations[restartedKey]); err == nil {
		lines = append(lines, "restarted before, "+ago(now, at))
	}
	return lines
}

// seeRollout waits until the new pods are available, or says what keeps them.
func (t target) seeRollout(ctx context.Context, before *appsv1.Deployment) (runbook.Outcome, []string) {
	var d *appsv1.Deployment
	whole := patience(ctx)
	done := watch(ctx, func(ctx context.Context) (bool, error) {
		now, err := t.clients.kube.AppsV1().Deployments(t.namespace).Get(ctx, t.name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		d = now
		n, s := replicas(d.Spec.Replicas), d.Status
		return d.Generation > before.Generation && s.ObservedGeneration >= d.Generation &&
			s.UpdatedReplicas == n && s.Replicas == n && s.AvailableReplicas == n, nil
	})
	if d == nil {
		return runbook.WriteUnknown, []string{"it could not be looked at afterwards"}
	}
	after := []string{fmt.Sprintf("%d of %d pods new, %d available", d.Status.UpdatedReplicas, replicas(d.Spec.Replicas), d.Status.AvailableReplicas)}
	if done {
		return runbook.WriteOK, after
	}
	// The time to see it through is used up; a last look has its own.
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	bad := t.troubles(look, d.Spec.Selector, nil)
	after = append(after, bad...)
	if len(bad) > 0 || stalled(d) {
		return runbook.WriteFailed, after
	}
	return runbook.WriteUnknown, append(after, "it is still going on after "+runbook.Short(whole))
}

// troubles names the pods of a selector that are not well, and of which keep
// says that they matter (nil: all do).
func (t target) troubles(ctx context.Context, selector *metav1.LabelSelector, keep func(*corev1.Pod) bool) []string {
	pods, err := t.podsOf(ctx, selector)
	if err != nil {
		return []string{strings.ReplaceAll(oneLine(err.Error(), messageLimit), "\n", " ")}
	}
	var lines []string
	for i := range pods {
		if keep != nil && !keep(&pods[i]) {
			continue
		}
		if f := examine(&pods[i], time.Now()); f.reason != "" && f.reason != "StuckTerminating" && len(lines) < 5 {
			lines = append(lines, fmt.Sprintf("pod %s: %s %s", pods[i].Name, oneLine(f.reason, 60), oneLine(f.message, messageLimit)))
		}
	}
	return lines
}
