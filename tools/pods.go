package tools

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// How long a state may last before it counts as a problem.
const (
	creatingTooLong    = 5 * time.Minute
	notReadyTooLong    = time.Minute
	terminatingTooLong = time.Minute
	restartingRecently = 15 * time.Minute // a restart this fresh, and not the first, is a loop
	failedTooOld       = 24 * time.Hour   // leftovers of older failures are only counted
)

// A Termination is one end of a container.
type Termination struct {
	Pod, Container string
	Reason         string // OOMKilled, Error, Completed …
	ExitCode       int32
	At             time.Time
}

// String reads "exit 137 (OOMKilled)".
func (t Termination) String() string { return fmt.Sprintf("exit %d (%s)", t.ExitCode, t.Reason) }

// An owner names what runs a pod: a Deployment rather than its ReplicaSet, the
// pod itself if nothing runs it.
type owner struct{ kind, namespace, name string }

// String reads "Deployment shop/cart".
func (o owner) String() string {
	if o.namespace == "" {
		return o.kind + " " + o.name
	}
	return o.kind + " " + o.namespace + "/" + o.name
}

// ownerOf names what runs p without asking the server again: a ReplicaSet that
// a Deployment made carries the hash that its name ends in.
func ownerOf(p *corev1.Pod) owner {
	ref := metav1.GetControllerOf(p)
	if ref == nil || ref.Kind == "Node" {
		return owner{"Pod", p.Namespace, p.Name}
	}
	hash := p.Labels["pod-template-hash"]
	if name, ok := strings.CutSuffix(ref.Name, "-"+hash); ok && hash != "" && ref.Kind == "ReplicaSet" {
		return owner{"Deployment", p.Namespace, name}
	}
	return owner{ref.Kind, p.Namespace, ref.Name}
}

// A podFact is what is kept of a pod: of most, nothing.
type podFact struct {
	owner
	pod, node  string
	match      int // how well it matches the service asked for; 0 is not at all
	reason     string
	message    string
	container  string // that the reason is about; "" if it is about the pod
	main       string // the container whose log matters: the owner's namesake, or the first
	since      time.Time
	ready      bool
	readySince time.Time
	restarts   int32
	last       *Termination // the latest, of any container
}

// examine reads the state of a pod. Phase alone tells little: a crash-looping
// pod is Running.
func examine(p *corev1.Pod, now time.Time) podFact {
	f := podFact{owner: ownerOf(p), pod: p.Name, node: p.Spec.NodeName, since: p.CreationTimestamp.Time}
	if c := condition(p, corev1.PodReady); c != nil {
		f.ready, f.since = c.Status == corev1.ConditionTrue, c.LastTransitionTime.Time
	}
	f.main = mainContainer(p, f.name)
	if f.ready {
		f.readySince = f.since
	}
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		f.restarts += s.RestartCount
		f.last = later(f.last, termination(p, s))
	}
	f.reason, f.message = podReason(p, now)
	if f.reason == "" && p.Status.Phase != corev1.PodSucceeded {
		f.judgeContainers(p, now)
	}
	return f
}

// mainContainer is the one that is named like what runs the pod, else the
// first that is no sidecar of a mesh.
func mainContainer(p *corev1.Pod, owner string) string {
	first := ""
	for _, c := range p.Spec.Containers {
		if c.Name == owner {
			return c.Name
		}
		if first == "" && !sidecar(c.Name) {
			first = c.Name
		}
	}
	return first
}

// sidecar reports whether a container is the proxy of a mesh, whose log says
// little about its pod.
func sidecar(name string) bool {
	return name == "istio-proxy" || name == "linkerd-proxy" || name == "envoy" || name == "skupper-router"
}

// podReason is what is wrong with the pod as a whole.
func podReason(p *corev1.Pod, now time.Time) (reason, message string) {
	if d := p.DeletionTimestamp; d != nil {
		if late := now.Sub(d.Time); late > terminatingTooLong {
			return "StuckTerminating", stuckMessage(p)
		}
		return "", ""
	}
	if p.Status.Phase == corev1.PodFailed {
		return orElse(p.Status.Reason, "Failed"), p.Status.Message
	}
	if p.Status.Phase == corev1.PodUnknown || p.Status.Reason == "NodeLost" {
		return "NodeLost", p.Status.Message
	}
	if c := condition(p, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse {
		return orElse(c.Reason, "Unschedulable"), c.Message
	}
	return "", ""
}

func stuckMessage(p *corev1.Pod) string {
	if len(p.Finalizers) > 0 {
		return "waits for finalizers: " + strings.Join(p.Finalizers, ", ")
	}
	return "past its grace period; the node may not answer"
}

// judgeContainers finds the worst container, or an unready pod without one.
func (f *podFact) judgeContainers(p *corev1.Pod, now time.Time) {
	for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		reason, message := containerReason(p, s, now)
		if reason != "" && severity(reason) > severity(f.reason) {
			f.reason, f.message, f.container = reason, message, s.Name
		}
	}
	if f.reason != "" || f.ready || p.DeletionTimestamp != nil || now.Sub(f.since) < notReadyTooLong {
		return
	}
	f.reason = "NotReady"
	if c := condition(p, corev1.PodReady); c != nil {
		f.message = c.Message
	}
}

// containerReason is what is wrong with one container, "" if nothing is.
func containerReason(p *corev1.Pod, s corev1.ContainerStatus, now time.Time) (reason, message string) {
	t := s.LastTerminationState.Terminated
	switch {
	case s.State.Waiting != nil:
		w := s.State.Waiting
		switch w.Reason {
		case "ContainerCreating", "PodInitializing", "":
			if now.Sub(p.CreationTimestamp.Time) > creatingTooLong && p.Status.Phase == corev1.PodPending {
				return "StuckCreating", w.Message
			}
			return "", ""
		case "CrashLoopBackOff":
			return crash(t), "" // its message only repeats names
		}
		return w.Reason, w.Message
	case s.State.Terminated != nil:
		if st := s.State.Terminated; st.ExitCode != 0 && p.Status.Phase == corev1.PodRunning && s.RestartCount > 0 {
			return crash(st), st.Message
		}
	case s.State.Running != nil && t != nil && s.RestartCount > 1 && t.ExitCode != 0 && now.Sub(t.FinishedAt.Time) < restartingRecently:
		return crash(t), t.Message // between two crashes it is Running
	}
	return "", ""
}

// crash names a crash loop by its cause where the kernel gave one.
func crash(t *corev1.ContainerStateTerminated) string {
	if t != nil && t.Reason == "OOMKilled" {
		return "OOMKilled"
	}
	return "CrashLoopBackOff"
}

// termination is the latest end of a container, nil if it never ended.
func termination(p *corev1.Pod, s corev1.ContainerStatus) *Termination {
	t := s.State.Terminated
	if t == nil {
		t = s.LastTerminationState.Terminated
	}
	if t == nil {
		return nil
	}
	return &Termination{Pod: p.Name, Container: s.Name, Reason: oneLine(orElse(t.Reason, "Error"), 40), ExitCode: t.ExitCode, At: t.FinishedAt.Time}
}

func later(a, b *Termination) *Termination {
	if a == nil || (b != nil && b.At.After(a.At)) {
		return b
	}
	return a
}

func condition(p *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == kind {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// matches says how well a pod belongs to service: 2 by a label or the name of
// its owner, 1 by a part of that name, 0 not at all.
func matches(p *corev1.Pod, o owner, service string) int {
	if service == "" {
		return 0
	}
	for _, key := range []string{"app.kubernetes.io/name", "app.kubernetes.io/instance", "app", "k8s-app", "service.istio.io/canonical-name", "app.kubernetes.io/component"} {
		if strings.EqualFold(p.Labels[key], service) {
			return 2
		}
	}
	return matchName(o.name, p.Name, service)
}

func matchName(owner, pod, service string) int {
	service = strings.ToLower(service)
	switch {
	case owner == service || pod == service:
		return 2
	case strings.Contains("-"+owner+"-", "-"+service+"-"):
		return 1
	}
	return 0
}
