package tools

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// An ImageChange is the latest change of what a workload runs.
type ImageChange struct {
	Container     string
	Before, After string // images
	At            time.Time
	OldReady      int // pods of the old image that are still ready
}

// A revision is one generation of a workload's pod template.
type revision struct {
	number  int64
	created time.Time
	ready   int
	images  map[string]string // by container
}

// imageChange compares the newest revision of o with the one before; nil if
// the images are the same or nothing is known.
func (s *survey) imageChange(ctx context.Context, o owner) *ImageChange {
	w, ok := s.workloads[o]
	if !ok || w.selector == nil {
		return nil
	}
	opts := metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(w.selector), Limit: 50}
	var revs []revision
	var err error
	if o.kind == "Deployment" {
		revs, err = s.replicaSets(ctx, o, opts)
	} else {
		revs, err = s.controllerRevisions(ctx, o, opts)
	}
	if err != nil {
		s.missing("image changes of "+o.String(), err)
		return nil
	}
	return latestChange(revs)
}

// latestChange finds the newest revision whose images differ from the one
// before it.
func latestChange(revs []revision) *ImageChange {
	slices.SortFunc(revs, func(a, b revision) int { return cmp.Compare(b.number, a.number) })
	for i := range len(revs) - 1 {
		now, before := revs[i], revs[i+1]
		for name, image := range now.images {
			if old := before.images[name]; old != "" && old != image {
				return &ImageChange{Container: name, Before: oneLine(old, 160), After: oneLine(image, 160), At: now.created, OldReady: before.ready}
			}
		}
	}
	return nil
}

func (s *survey) replicaSets(ctx context.Context, o owner, opts metav1.ListOptions) ([]revision, error) {
	list, err := s.clients.kube.AppsV1().ReplicaSets(o.namespace).List(ctx, opts)
	if err != nil {
		return nil, err
	}
	var revs []revision
	for _, rs := range list.Items {
		n, err := strconv.ParseInt(rs.Annotations["deployment.kubernetes.io/revision"], 10, 64)
		if !controlledBy(&rs, o.name) || err != nil {
			continue
		}
		revs = append(revs, revision{n, rs.CreationTimestamp.Time, int(rs.Status.ReadyReplicas), images(rs.Spec.Template.Spec)})
	}
	return revs, nil
}

func (s *survey) controllerRevisions(ctx context.Context, o owner, opts metav1.ListOptions) ([]revision, error) {
	list, err := s.clients.kube.AppsV1().ControllerRevisions(o.namespace).List(ctx, opts)
	if err != nil {
		return nil, err
	}
	var revs []revision
	for _, cr := range list.Items {
		var data appsv1.StatefulSet // a DaemonSet has its template in the same place
		if !controlledBy(&cr, o.name) || json.Unmarshal(cr.Data.Raw, &data) != nil {
			continue
		}
		revs = append(revs, revision{cr.Revision, cr.CreationTimestamp.Time, 0, images(data.Spec.Template.Spec)})
	}
	return revs, nil
}

func controlledBy(o metav1.Object, name string) bool {
	ref := metav1.GetControllerOf(o)
	return ref != nil && ref.Name == name
}

func images(spec corev1.PodSpec) map[string]string {
	m := map[string]string{}
	for _, c := range spec.Containers {
		m[c.Name] = c.Image
	}
	return m
}

// decisiveLog reads the log of the pod of p that ended last, of its previous
// container if it crashed, and keeps the lines that explain most.
func (s *survey) decisiveLog(ctx context.Context, p *Problem) {
	src := logSource{namespace: p.Namespace, pod: p.Affected[0], container: p.container, tail: 300, since: 2 * time.Hour}
	crashed := p.Last != nil && p.Restarts > 0 && severity(p.Reason) == severity("CrashLoopBackOff")
	if p.Last != nil {
		src.pod, src.container, src.since = p.Last.Pod, p.Last.Container, failedTooOld
	}
	if src.container == "" {
		src.container = s.mainContainer(src.namespace, src.pod)
	}
	lines := 3
	if s.query.Service != "" {
		lines = 6
	}
	t := templates{}
	from := src.pod + "/" + src.container
	src.previous = crashed
	err := s.clients.readLog(ctx, src, t.add)
	if err != nil && src.previous { // the kubelet may have removed it already
		src.previous, crashed = false, false
		err = s.clients.readLog(ctx, src, t.add)
	}
	if crashed {
		from += ", previous"
	}
	if len(t) == 0 {
		if err != nil {
			s.missing("log of "+from, err)
		}
		return
	}
	p.Log, p.LogFrom = decisive(t, lines), from
}

// mainContainer is the container of a pod that carries the name of its owner,
// or else "" for the only one.
func (s *survey) mainContainer(namespace, pod string) string {
	for _, f := range s.facts {
		if f.namespace == namespace && f.pod == pod {
			return f.main
		}
	}
	return ""
}

// missing notes what a closer look could not read.
func (s *survey) missing(what string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.Gaps = append(s.out.Gaps, "no "+what+": "+oneLine(err.Error(), 160))
}

// inspect looks at a service that runs: what changed last, and what its log
// complains about.
func (s *survey) inspect(ctx context.Context, h *Health) {
	for o := range s.workloads {
		if change := s.imageChange(ctx, o); change != nil && (h.Image == nil || change.At.After(h.Image.At)) {
			h.Image = change
		}
	}
	t := templates{}
	for i, f := range s.facts {
		if i == 3 {
			break
		}
		src := logSource{namespace: f.namespace, pod: f.pod, container: f.main, tail: 500, since: 30 * time.Minute}
		if err := s.clients.readLog(ctx, src, t.add); err == nil && h.LogFrom == "" {
			h.LogFrom = f.pod + "/" + f.main
		}
	}
	worst := t.list(func(c *templateCount) bool { return c.score >= 2 })
	slices.SortFunc(worst, func(a, b *templateCount) int { return cmp.Compare(b.Count*b.score, a.Count*a.score) })
	h.LogErrors = examples(worst[:min(len(worst), 5)])
}
