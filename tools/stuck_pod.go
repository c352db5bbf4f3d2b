package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"watchkeeper/runbook"
)

func deleteStuckPod() work {
	return work{
		action: "delete_stuck_pod", kind: "Pod",
		description: "Evict one pod that cannot start or end by itself, so that its ReplicaSet makes a new one, and see what becomes of it. Use it for a crash or pull backoff after the cause is gone, for Failed, Evicted or creating for too long. " +
			"Refuses pods with volumes and those of StatefulSets, DaemonSets, Jobs and databases; never forces. On prod the first call only shows what would happen and returns the confirm token.",
		prepare: preparePod,
	}
}

func preparePod(ctx context.Context, _ *guard, t target) (*deed, error) {
	p, err := t.clients.kube.CoreV1().Pods(t.namespace).Get(ctx, t.name, metav1.GetOptions{})
	if err != nil {
		return nil, t.cluster.explain("look at "+t.words(), err)
	}
	now := time.Now()
	f := examine(p, now)
	if err := podAllows(p); err != nil {
		return nil, err
	}
	hope, err := podIsStuck(p, f, now)
	if err != nil {
		return nil, err
	}
	rs, err := t.replicaSetOf(ctx, p)
	if err != nil {
		return nil, err
	}
	a, err := evictionOf(t, p)
	if err != nil {
		return nil, err
	}
	saw := []string{fmt.Sprintf("pod of %s: %s since %s, %s", f.owner, oneLine(f.reason, 60), ago(now, f.since), plural(int(f.restarts), "restart"))}
	if f.message != "" {
		saw = append(saw, oneLine(f.message, messageLimit))
	}
	if f.last != nil {
		saw = append(saw, fmt.Sprintf("last termination: %s %s", f.last, ago(now, f.last.At)))
	}
	return &deed{
		uid: p.UID, version: p.ResourceVersion, act: a, saw: append(saw, hope),
		would:  fmt.Sprintf("evict it, and %s would make a new one", f.owner),
		follow: func(ctx context.Context) (runbook.Outcome, []string) { return t.seeReplaced(ctx, p, rs) },
	}, nil
}

// podAllows refuses what nothing would replace, and what holds data.
func podAllows(p *corev1.Pod) error {
	ref := metav1.GetControllerOf(p)
	_, mirror := p.Annotations[corev1.MirrorPodAnnotationKey]
	switch {
	case mirror || (ref != nil && ref.Kind == "Node"):
		return refuse("change the file on its node", "it is a static pod of a node: its kubelet makes it, and deleting it only hides it")
	case ref == nil:
		return refuse("find out who made it", "nothing owns this pod, so nothing would make a new one")
	case ref.Kind != "ReplicaSet" || ref.APIVersion != "apps/v1":
		return refuse("look at its owner", "it belongs to a %s; only pods of a ReplicaSet are deleted, others are not replaced alike, or hold data", oneLine(ref.Kind, 60))
	case holdsData(p, p.Spec) != "":
		return refuse("look at the database first", "databases, stores and queues are never touched, and %s", holdsData(p, p.Spec))
	case slices.ContainsFunc(p.Spec.Volumes, func(v corev1.Volume) bool { return v.PersistentVolumeClaim != nil || v.Ephemeral != nil }):
		return refuse("look at its volume first", "it has a volume claim")
	}
	return nil
}

// podIsStuck refuses what a deletion does not cure. For the rest it says how
// much hope there is.
func podIsStuck(p *corev1.Pod, f podFact, now time.Time) (string, error) {
	switch reason := f.reason; {
	case p.DeletionTimestamp != nil:
		return "", refuse("look at its node and its finalizers", "it is being deleted already (%s); deleting it again changes nothing, and it is never forced", oneLine(orElse(f.message, "since "+ago(now, p.DeletionTimestamp.Time)), 200))
	case len(p.Finalizers) > 0:
		return "", refuse("look at who set them", "it has finalizers, so it would only hang in deletion")
	case f.ready:
		return "", refuse("look at what is wrong behind it", "the pod is ready; it is not stuck")
	case p.Status.Phase == corev1.PodSucceeded || reason == "":
		return "", refuse("nothing yet; look again in a few minutes", "the pod is not stuck: it is %s, and nothing is wrong with it now", oneLine(string(p.Status.Phase), 20))
	case reason == "NotReady":
		return "", refuse("look at its readiness probe and its log", "the pod runs and is only not ready; that is no state that a deletion cures")
	case reason == "Unschedulable" || reason == "SchedulingGated":
		return "", refuse("make room or change what it asks for", "it waits for a node (%s); a new one would wait too", oneLine(f.message, 160))
	case reason == "CrashLoopBackOff" || reason == "OOMKilled" || reason == "Error":
		return "a new pod runs the same code: this only ends the backoff, and helps if the cause is gone", nil
	case pullFails(reason):
		return "a new pod pulls the same image: this only ends the backoff, and helps if the registry is back", nil
	case reason == "CreateContainerConfigError" || reason == "CreateContainerError":
		return "a new pod needs the same ConfigMaps and Secrets: it helps only if they are there by now", nil
	case reason == "StuckCreating":
		return "it helps if the new pod comes to another node, or the volume or network is back", nil
	case reason == "NodeLost":
		return "its node does not answer, so that it may stay in deletion until the node is back", nil
	}
	return "the pod has ended and its owner makes a new one", nil
}

// replicaSetOf looks whether the owner would make a new pod.
func (t target) replicaSetOf(ctx context.Context, p *corev1.Pod) (*appsv1.ReplicaSet, error) {
	ref := metav1.GetControllerOf(p)
	rs, err := t.clients.kube.AppsV1().ReplicaSets(t.namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) || (err == nil && rs.UID != ref.UID):
		return nil, refuse("nothing; it will be collected", "its ReplicaSet %s is gone, so nothing would make a new one", oneLine(ref.Name, 120))
	case err != nil:
		return nil, t.cluster.explain("look at its ReplicaSet", err)
	case replicas(rs.Spec.Replicas) == 0:
		return nil, refuse("wait until the rollout ends", "its ReplicaSet %s is scaled to 0, so nothing would make a new one", oneLine(ref.Name, 120))
	}
	return rs, nil
}

// evictionOf is the act that evicts the pod, which a PodDisruptionBudget may
// refuse. It says nothing about grace: the pod has its own.
func evictionOf(t target, p *corev1.Pod) (*act, error) {
	body, err := json.Marshal(map[string]any{
		"apiVersion": "policy/v1", "kind": "Eviction",
		"metadata":      map[string]any{"name": p.Name, "namespace": p.Namespace},
		"deleteOptions": map[string]any{"preconditions": map[string]any{"uid": string(p.UID), "resourceVersion": p.ResourceVersion}},
	})
	if err != nil {
		return nil, fmt.Errorf("write the eviction: %w", err)
	}
	return &act{method: http.MethodPost, path: pathOf("/api/v1/pods", t.namespace, t.name) + "/eviction", contentType: "application/json", body: body}, nil
}

// seeReplaced waits until the pod is gone and as many as should be are ready.
func (t target) seeReplaced(ctx context.Context, p *corev1.Pod, rs *appsv1.ReplicaSet) (runbook.Outcome, []string) {
	gone := false
	ready := int32(0)
	whole := patience(ctx)
	done := watch(ctx, func(ctx context.Context) (bool, error) {
		if !gone {
			now, err := t.clients.kube.CoreV1().Pods(t.namespace).Get(ctx, t.name, metav1.GetOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return false, err
			}
			gone = err != nil || now.UID != p.UID
		}
		now, err := t.clients.kube.AppsV1().ReplicaSets(t.namespace).Get(ctx, rs.Name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		ready = now.Status.ReadyReplicas
		return gone && (now.Status.ReadyReplicas > rs.Status.ReadyReplicas || now.Status.ReadyReplicas >= replicas(now.Spec.Replicas)), nil
	})
	after := []string{fmt.Sprintf("%d of %d pods of its ReplicaSet ready", ready, replicas(rs.Spec.Replicas))}
	if done {
		return runbook.WriteOK, append([]string{"the pod is gone and a new one is ready"}, after...)
	}
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	younger := func(q *corev1.Pod) bool { return q.UID != p.UID && !q.CreationTimestamp.Before(&p.CreationTimestamp) }
	bad := t.troubles(look, rs.Spec.Selector, younger)
	switch {
	case !gone:
		return runbook.WriteFailed, append(after, "the pod is still there after "+runbook.Short(whole))
	case len(bad) > 0:
		return runbook.WriteFailed, append(append(after, "the pod is gone, and its successor is not well"), bad...)
	}
	return runbook.WriteUnknown, append(after, "the pod is gone, and its successor is not ready yet")
}
