package cluster

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
)

// addWorkload expands w into a controller, its pods and their events.
func (st *store) addWorkload(w workload, nodes []node) error {
	if w.Namespace == "" || w.Name == "" {
		return fmt.Errorf("namespace and name are needed")
	}
	w.Kind, w.Replicas = cmp.Or(w.Kind, "Deployment"), max(w.Replicas, len(w.Pods), 1)
	ready := 0
	for i := range w.Replicas {
		p := pod{}
		if i < len(w.Pods) {
			p = w.Pods[i]
		}
		p.Since = cmp.Or(p.Since, w.Since)
		if p.Node == "" && len(nodes) > 0 {
			p.Node = nodes[(int(hash32(w.Name))+i)%len(nodes)].Name
		}
		obj, err := w.pod(p, i, w.Image, st.now)
		if err != nil {
			return fmt.Errorf("pod %d: %w", i, err)
		}
		if podReady(obj) {
			ready++
		}
		st.addPod(w, obj, p.Events)
	}
	if w.Before != nil {
		for i := range w.Before.Ready {
			obj, err := w.pod(pod{Since: w.Before.Since, Node: nodes[i%len(nodes)].Name}, i, w.Before.Image, st.now)
			if err != nil {
				return err
			}
			st.addTyped(obj) // the logs of the workload are those of the new image
		}
	}
	w.Replicas -= leftovers(w)
	st.addController(w, ready)
	st.addEvents(w.Events, corev1.ObjectReference{Kind: w.Kind, Namespace: w.Namespace, Name: w.Name, APIVersion: "apps/v1"})
	return nil
}

// leftovers are pods that the controller has replaced already.
func leftovers(w workload) int {
	n := 0
	for _, p := range w.Pods {
		if w.Kind != "Job" && (p.State == "evicted" || p.State == "terminating") {
			n++
		}
	}
	return n
}

func (st *store) addPod(w workload, p corev1.Pod, events []event) {
	st.owners[p.Namespace+"/"+p.Name] = w.Name
	st.addTyped(p)
	st.addEvents(events, corev1.ObjectReference{
		Kind: "Pod", Namespace: p.Namespace, Name: p.Name, APIVersion: "v1", UID: p.UID,
		FieldPath: "spec.containers{" + w.Name + "}",
	})
}

// addController stores the object that owns the pods.
func (st *store) addController(w workload, ready int) {
	n, r := int32(w.Replicas), int32(ready)
	meta := w.meta(w.Name, uid(w.Kind, w.Namespace, w.Name), st.now.Add(-time.Duration(w.created())))
	sel := &metav1.LabelSelector{MatchLabels: map[string]string{"app": w.Name}}
	switch w.Kind {
	case "Deployment":
		old := int32(0)
		if w.Before != nil {
			old = int32(w.Before.Ready)
		}
		st.addTyped(appsv1.Deployment{
			TypeMeta: metav1.TypeMeta{Kind: "Deployment", APIVersion: "apps/v1"}, ObjectMeta: meta,
			Spec: appsv1.DeploymentSpec{Replicas: &n, Selector: sel, Template: w.template(w.Image)},
			Status: appsv1.DeploymentStatus{
				ObservedGeneration: 1, Replicas: n + old, UpdatedReplicas: n, ReadyReplicas: r + old,
				AvailableReplicas: r + old, UnavailableReplicas: n - r, Conditions: w.conditions(r+old >= n, st.now),
			},
		})
		st.addReplicaSets(w, n, r)
	case "StatefulSet":
		st.addTyped(appsv1.StatefulSet{
			TypeMeta: metav1.TypeMeta{Kind: w.Kind, APIVersion: "apps/v1"}, ObjectMeta: meta,
			Spec:   appsv1.StatefulSetSpec{Replicas: &n, Selector: sel, Template: w.template(w.Image), ServiceName: w.Name},
			Status: appsv1.StatefulSetStatus{ObservedGeneration: 1, Replicas: n, ReadyReplicas: r, AvailableReplicas: r, CurrentReplicas: n, UpdatedReplicas: n},
		})
	case "DaemonSet":
		st.addTyped(appsv1.DaemonSet{
			TypeMeta: metav1.TypeMeta{Kind: w.Kind, APIVersion: "apps/v1"}, ObjectMeta: meta,
			Spec:   appsv1.DaemonSetSpec{Selector: sel, Template: w.template(w.Image)},
			Status: appsv1.DaemonSetStatus{ObservedGeneration: 1, DesiredNumberScheduled: n, CurrentNumberScheduled: n, NumberReady: r, NumberAvailable: r, NumberUnavailable: n - r},
		})
	case "Job":
		st.addTyped(w.job(meta, st.now))
	}
}

// conditions of a Deployment.
func (w workload) conditions(available bool, now time.Time) []appsv1.DeploymentCondition {
	at := metav1.NewTime(now.Add(-time.Duration(w.Since)))
	avail := appsv1.DeploymentCondition{
		Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue,
		Reason: "MinimumReplicasAvailable", Message: "Deployment has minimum availability.", LastTransitionTime: at, LastUpdateTime: at,
	}
	if !available {
		avail.Status, avail.Reason, avail.Message = corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability."
	}
	prog := appsv1.DeploymentCondition{
		Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue,
		Reason: "NewReplicaSetAvailable", LastTransitionTime: at, LastUpdateTime: at,
	}
	if w.Stalled {
		prog.Status, prog.Reason = corev1.ConditionFalse, "ProgressDeadlineExceeded"
		prog.Message = fmt.Sprintf("ReplicaSet %q has timed out progressing.", w.podOwner(w.Image))
		late := metav1.NewTime(now.Add(-max(time.Duration(w.Since)-10*time.Minute, 0)))
		prog.LastTransitionTime, prog.LastUpdateTime = late, late
	}
	return []appsv1.DeploymentCondition{avail, prog}
}

// addReplicaSets stores the current ReplicaSet and the one before it.
func (st *store) addReplicaSets(w workload, n, ready int32) {
	add := func(image string, revision int, created ago, n, ready int32) {
		name := w.podOwner(image)
		meta := w.meta(name, uid("ReplicaSet", w.Namespace, name), st.now.Add(-time.Duration(created)))
		meta.Labels["pod-template-hash"] = templateHash(w.Name, image)
		meta.Annotations = map[string]string{"deployment.kubernetes.io/revision": fmt.Sprint(revision)}
		meta.OwnerReferences = owner("apps/v1", "Deployment", w.Namespace, w.Name)
		tmpl := w.template(image)
		tmpl.Labels["pod-template-hash"] = meta.Labels["pod-template-hash"]
		st.addTyped(appsv1.ReplicaSet{
			TypeMeta: metav1.TypeMeta{Kind: "ReplicaSet", APIVersion: "apps/v1"}, ObjectMeta: meta,
			Spec:   appsv1.ReplicaSetSpec{Replicas: &n, Selector: &metav1.LabelSelector{MatchLabels: tmpl.Labels}, Template: tmpl},
			Status: appsv1.ReplicaSetStatus{Replicas: n, ReadyReplicas: ready, AvailableReplicas: ready, ObservedGeneration: 1},
		})
	}
	if w.Before != nil {
		add(w.Before.Image, 7, w.Before.Since, int32(w.Before.Ready), int32(w.Before.Ready))
	}
	add(w.Image, 8, w.Since, n, ready)
}

// job is complete, or failed.
func (w workload) job(meta metav1.ObjectMeta, now time.Time) batchv1.Job {
	at := metav1.NewTime(now.Add(-time.Duration(w.Since)))
	j := batchv1.Job{
		TypeMeta: metav1.TypeMeta{Kind: "Job", APIVersion: "batch/v1"}, ObjectMeta: meta,
		Spec:   batchv1.JobSpec{Template: w.template(w.Image)},
		Status: batchv1.JobStatus{StartTime: &at, Succeeded: 1, CompletionTime: &at},
	}
	cond := batchv1.JobCondition{Type: batchv1.JobComplete, Status: corev1.ConditionTrue, LastTransitionTime: at}
	if w.Failed {
		j.Status = batchv1.JobStatus{StartTime: &at, Failed: int32(w.Replicas)}
		cond.Type, cond.Reason, cond.Message = batchv1.JobFailed, "BackoffLimitExceeded", "Job has reached the specified backoff limit"
	}
	j.Status.Conditions = []batchv1.JobCondition{cond}
	return j
}

func (w workload) template(image string) corev1.PodTemplateSpec {
	c := corev1.Container{Name: w.Name, Image: image}
	for _, e := range w.Env {
		c.Env = append(c.Env, corev1.EnvVar{Name: e.Name, Value: e.Value})
	}
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": w.Name, "app.kubernetes.io/name": w.Name}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{c}},
	}
}

func (w workload) meta(name string, id types.UID, created time.Time) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Namespace: w.Namespace, UID: id, ResourceVersion: "1000", Generation: 1,
		CreationTimestamp: metav1.NewTime(created),
		Labels:            map[string]string{"app": w.Name, "app.kubernetes.io/name": w.Name},
	}
}

// created is the age of the workload itself.
func (w workload) created() ago {
	if w.Before != nil {
		return max(w.Since, w.Before.Since)
	}
	return w.Since
}

// podOwner names what directly owns the pods that run image.
func (w workload) podOwner(image string) string {
	if w.Kind == "Deployment" {
		return w.Name + "-" + templateHash(w.Name, image)
	}
	return w.Name
}

func templateHash(name, image string) string {
	return rand.SafeEncodeString(fmt.Sprint(hash32(name + image)))
}

func owner(apiVersion, kind, namespace, name string) []metav1.OwnerReference {
	yes := true
	return []metav1.OwnerReference{{
		APIVersion: apiVersion, Kind: kind, Name: name, UID: uid(kind, namespace, name), Controller: &yes,
	}}
}

func uid(kind, namespace, name string) types.UID {
	h := fnv.New128a()
	fmt.Fprint(h, kind, "/", namespace, "/", name)
	b := h.Sum(nil)
	return types.UID(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

func hash32(s string) uint32 {
	h := fnv.New32a()
	fmt.Fprint(h, s)
	return h.Sum32()
}
