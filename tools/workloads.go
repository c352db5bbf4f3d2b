package tools

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A workload is what is kept of a Deployment, StatefulSet or DaemonSet.
type workload struct {
	selector       *metav1.LabelSelector
	desired, ready int
	reason         string // RolloutStalled, ReplicaFailure, Unavailable; "" if all is well
	message        string
	since          time.Time
}

// A jobFact is the latest finished Job of an owner: a CronJob, or itself.
type jobFact struct {
	job      string
	failed   bool
	message  string
	finished time.Time
}

// A nodeFact is a node that ails.
type nodeFact struct {
	name, reason, message string
	since                 time.Time
}

// A claimFact is a volume claim that is not bound.
type claimFact struct {
	namespace, name, phase string
	since                  time.Time
}

func (s *survey) readWorkloads(ctx context.Context) error {
	s.workloads = map[owner]workload{}
	apps, ns := s.clients.kube.AppsV1(), s.query.Namespace
	err := pages(metav1.ListOptions{}, func(o metav1.ListOptions) (metav1.ListInterface, error) {
		list, err := apps.Deployments(ns).List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			d := &list.Items[i]
			s.workloads[owner{"Deployment", d.Namespace, d.Name}] = deployment(d)
		}
		return list, nil
	})
	if err != nil {
		return err
	}
	err = pages(metav1.ListOptions{}, func(o metav1.ListOptions) (metav1.ListInterface, error) {
		list, err := apps.StatefulSets(ns).List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			d := &list.Items[i]
			s.workloads[owner{"StatefulSet", d.Namespace, d.Name}] = short(d.Spec.Selector, replicas(d.Spec.Replicas), d.Status.ReadyReplicas, d.CreationTimestamp.Time)
		}
		return list, nil
	})
	if err != nil {
		return err
	}
	return pages(metav1.ListOptions{}, func(o metav1.ListOptions) (metav1.ListInterface, error) {
		list, err := apps.DaemonSets(ns).List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			d := &list.Items[i]
			s.workloads[owner{"DaemonSet", d.Namespace, d.Name}] = short(d.Spec.Selector, d.Status.DesiredNumberScheduled, d.Status.NumberReady, d.CreationTimestamp.Time)
		}
		return list, nil
	})
}

func replicas(n *int32) int32 {
	if n == nil {
		return 1
	}
	return *n
}

// short is a workload that is unavailable if fewer are ready than wanted.
func short(sel *metav1.LabelSelector, desired, ready int32, created time.Time) workload {
	w := workload{selector: sel, desired: int(desired), ready: int(ready)}
	if ready < desired {
		w.reason, w.since = "Unavailable", created
		w.message = fmt.Sprintf("%d of %d ready", ready, desired)
	}
	return w
}

// deployment reads the conditions, which know more than the numbers.
func deployment(d *appsv1.Deployment) workload {
	w := workload{selector: d.Spec.Selector, desired: int(replicas(d.Spec.Replicas)), ready: int(d.Status.ReadyReplicas)}
	for _, c := range d.Status.Conditions {
		reason := ""
		switch {
		case c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded":
			reason = "RolloutStalled"
		case c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue:
			reason = "ReplicaFailure"
		case c.Type == appsv1.DeploymentAvailable && c.Status == corev1.ConditionFalse && w.desired > 0:
			reason = "Unavailable"
		}
		if severity(reason) > severity(w.reason) || (reason == "RolloutStalled" && w.reason == "Unavailable") {
			w.reason, w.message, w.since = reason, c.Message, c.LastTransitionTime.Time
		}
	}
	return w
}

// readJobs keeps the latest finished Job of every owner.
func (s *survey) readJobs(ctx context.Context) error {
	s.jobs = map[owner]jobFact{}
	return pages(metav1.ListOptions{}, func(o metav1.ListOptions) (metav1.ListInterface, error) {
		list, err := s.clients.kube.Jobs(s.query.Namespace).List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			s.readJob(&list.Items[i])
		}
		return list, nil
	})
}

func (s *survey) readJob(j *batchv1.Job) {
	o := owner{"Job", j.Namespace, j.Name}
	if ref := metav1.GetControllerOf(j); ref != nil {
		o = owner{ref.Kind, j.Namespace, ref.Name}
	}
	for _, c := range j.Status.Conditions {
		if c.Status != corev1.ConditionTrue || (c.Type != batchv1.JobFailed && c.Type != batchv1.JobComplete) {
			continue
		}
		f := jobFact{j.Name, c.Type == batchv1.JobFailed, orElse(c.Message, c.Reason), c.LastTransitionTime.Time}
		if f.finished.After(s.jobs[o].finished) {
			s.jobs[o] = f
		}
	}
}

func (s *survey) readNodes(ctx context.Context) error {
	return pages(metav1.ListOptions{}, func(o metav1.ListOptions) (metav1.ListInterface, error) {
		list, err := s.clients.kube.CoreV1().Nodes().List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			s.readNode(&list.Items[i])
		}
		return list, nil
	})
}

func (s *survey) readNode(n *corev1.Node) {
	s.out.Nodes++
	for _, c := range n.Status.Conditions {
		switch {
		case c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue:
			s.out.NodesReady++
		case c.Type == corev1.NodeReady:
			s.nodes = append(s.nodes, nodeFact{n.Name, "NodeNotReady", orElse(c.Message, c.Reason), c.LastTransitionTime.Time})
		case c.Status == corev1.ConditionTrue && severity(string(c.Type)) == severity("MemoryPressure"):
			s.nodes = append(s.nodes, nodeFact{n.Name, string(c.Type), c.Message, c.LastTransitionTime.Time})
		}
	}
}

func (s *survey) readClaims(ctx context.Context) error {
	return pages(metav1.ListOptions{}, func(o metav1.ListOptions) (metav1.ListInterface, error) {
		list, err := s.clients.kube.CoreV1().PersistentVolumeClaims(s.query.Namespace).List(ctx, o)
		if err != nil {
			return nil, err
		}
		for _, c := range list.Items {
			if c.Status.Phase != corev1.ClaimBound && s.now.Sub(c.CreationTimestamp.Time) > creatingTooLong {
				s.claims = append(s.claims, claimFact{c.Namespace, c.Name, string(c.Status.Phase), c.CreationTimestamp.Time})
			}
		}
		return list, nil
	})
}
