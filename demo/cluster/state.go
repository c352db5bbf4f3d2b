package cluster

import (
	"cmp"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
)

// pod builds pod number i of w, running image, in the state that p names.
func (w workload) pod(p pod, i int, image string, now time.Time) (corev1.Pod, error) {
	name := w.podOwner(image) + "-" + rand.SafeEncodeString(fmt.Sprint(hash32(fmt.Sprint(w.Namespace, w.Name, image, i))))[:5]
	if w.Kind == "StatefulSet" {
		name = fmt.Sprintf("%s-%d", w.Name, i)
	}
	tmpl := w.template(image)
	obj := corev1.Pod{
		TypeMeta:   metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"},
		ObjectMeta: w.meta(name, uid("Pod", w.Namespace, name), now.Add(-time.Duration(p.Since))),
		Spec:       tmpl.Spec,
	}
	obj.Spec.NodeName = p.Node
	switch w.Kind {
	case "Deployment":
		obj.Labels["pod-template-hash"] = templateHash(w.Name, image)
		obj.OwnerReferences = owner("apps/v1", "ReplicaSet", w.Namespace, w.podOwner(image))
	case "Job":
		obj.OwnerReferences = owner("batch/v1", "Job", w.Namespace, w.Name)
	default:
		obj.OwnerReferences = owner("apps/v1", w.Kind, w.Namespace, w.Name)
	}
	return obj, p.apply(&obj, now)
}

// apply sets the status for the state of p: ready (""), crashloop, restarting,
// waiting (Reason says why: ImagePullBackOff, CreateContainerConfigError …),
// pending, notready, evicted, terminating, completed or failed.
func (p pod) apply(obj *corev1.Pod, now time.Time) error {
	created := obj.CreationTimestamp
	started := metav1.NewTime(created.Add(3 * time.Second))
	c := corev1.ContainerStatus{
		Name: obj.Spec.Containers[0].Name, Image: obj.Spec.Containers[0].Image, RestartCount: int32(p.Restarts),
		Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}},
	}
	changed := started
	if p.Changed > 0 {
		changed = metav1.NewTime(now.Add(-time.Duration(p.Changed)))
	}
	if p.Last > 0 {
		end := metav1.NewTime(now.Add(-time.Duration(p.Last)))
		t := &corev1.ContainerStateTerminated{
			ExitCode: int32(p.Exit), Reason: cmp.Or(p.Reason, "Error"),
			StartedAt: metav1.NewTime(end.Add(-4 * time.Second)), FinishedAt: end,
		}
		c.LastTerminationState = corev1.ContainerState{Terminated: t}
		changed = metav1.NewTime(end.Add(2 * time.Second))
		c.State.Running.StartedAt = changed
	}
	obj.Status.Phase = corev1.PodRunning
	waiting := func(reason, message string) {
		c.Ready, c.State = false, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	scheduled, ready := corev1.ConditionTrue, corev1.ConditionTrue
	switch p.State {
	case "":
	case "crashloop":
		waiting("CrashLoopBackOff", fmt.Sprintf("back-off 5m0s restarting failed container=%s pod=%s_%s(%s)", c.Name, obj.Name, obj.Namespace, obj.UID))
	case "restarting":
		c.Ready = false
	case "waiting":
		obj.Status.Phase = corev1.PodPending
		waiting(p.Reason, p.Message)
	case "pending":
		obj.Status.Phase, obj.Spec.NodeName, scheduled = corev1.PodPending, "", corev1.ConditionFalse
		c.Ready = false
	case "notready":
		c.Ready = false
	case "evicted":
		obj.Status.Phase, obj.Status.Reason, obj.Status.Message = corev1.PodFailed, "Evicted", p.Message
		c.Ready = false
	case "terminating":
		gone, grace := metav1.NewTime(now.Add(-time.Duration(p.Last))), int64(30)
		obj.DeletionTimestamp, obj.DeletionGracePeriodSeconds = &gone, &grace
		c.Ready = false
	case "completed", "failed":
		obj.Status.Phase = corev1.PodSucceeded
		if p.State == "failed" {
			obj.Status.Phase = corev1.PodFailed
		}
		c.Ready, c.State, c.LastTerminationState = false, c.LastTerminationState, corev1.ContainerState{}
	default:
		return fmt.Errorf("unknown state %q", p.State)
	}
	if !c.Ready {
		ready = corev1.ConditionFalse
	}
	if scheduled == corev1.ConditionTrue && p.State != "evicted" {
		obj.Status.ContainerStatuses = []corev1.ContainerStatus{c}
	}
	obj.Status.StartTime = &created
	obj.Status.Conditions = p.conditions(scheduled, ready, created, changed, c.Name)
	return nil
}

// conditions of a pod.
func (p pod) conditions(scheduled, ready corev1.ConditionStatus, created, changed metav1.Time, container string) []corev1.PodCondition {
	s := corev1.PodCondition{Type: corev1.PodScheduled, Status: scheduled, LastTransitionTime: created}
	r := corev1.PodCondition{Type: corev1.PodReady, Status: ready, LastTransitionTime: changed}
	if scheduled == corev1.ConditionFalse {
		s.Reason, s.Message = "Unschedulable", p.Message
	} else if ready == corev1.ConditionFalse {
		r.Reason, r.Message = "ContainersNotReady", fmt.Sprintf("containers with unready status: [%s]", container)
	}
	return []corev1.PodCondition{s, r}
}

func podReady(p corev1.Pod) bool {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// addEvents stores what happened to one object.
func (st *store) addEvents(events []event, ref corev1.ObjectReference) {
	for i, e := range events {
		st.addTyped(corev1.Event{
			TypeMeta: metav1.TypeMeta{Kind: "Event", APIVersion: "v1"},
			ObjectMeta: metav1.ObjectMeta{
				Namespace: ref.Namespace, Name: fmt.Sprintf("%s.%x%d", ref.Name, hash32(e.Reason), i),
				CreationTimestamp: metav1.NewTime(st.now.Add(-time.Duration(e.First))),
			},
			InvolvedObject: ref, Reason: e.Reason, Message: e.Message, Type: cmp.Or(e.Type, "Warning"),
			Count: int32(max(e.Count, 1)), Source: corev1.EventSource{Component: "kubelet"},
			FirstTimestamp: metav1.NewTime(st.now.Add(-time.Duration(e.First))),
			LastTimestamp:  metav1.NewTime(st.now.Add(-time.Duration(e.Last))),
		})
	}
}

func namespace(name string, now time.Time) corev1.Namespace {
	return corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid("Namespace", "", name), CreationTimestamp: metav1.NewTime(now.AddDate(0, -6, 0))},
		Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
	}
}

// object builds a node.
func (n node) object(now time.Time) corev1.Node {
	at := metav1.NewTime(now.Add(-time.Duration(n.Since)))
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastTransitionTime: at}
	if n.Reason != "" {
		ready.Status, ready.Reason, ready.Message = corev1.ConditionFalse, n.Reason, n.Message
	}
	return corev1.Node{
		TypeMeta:   metav1.TypeMeta{Kind: "Node", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Name: n.Name, UID: uid("Node", "", n.Name), CreationTimestamp: metav1.NewTime(now.AddDate(0, -3, 0))},
		Status: corev1.NodeStatus{
			Conditions: []corev1.NodeCondition{ready},
			NodeInfo:   corev1.NodeSystemInfo{KubeletVersion: "v1.37.2"},
		},
	}
}
