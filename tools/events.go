package tools

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// An EventGroup is events of one owner that say the same.
type EventGroup struct {
	Kind, Namespace, Name string // the owner: a Deployment rather than its pods
	Type                  string // Warning or Normal
	Reason, Message       string // cleaned; the latest message
	Count                 int    // with the repetitions that the cluster folded
	Objects               int    // how many pods it happened to
	First, Last           time.Time
}

// Owner reads "Deployment shop/cart".
func (g EventGroup) Owner() string { return owner{g.Kind, g.Namespace, g.Name}.String() }

type eventKey struct {
	owner        owner
	kind, reason string
	template     string
}

// eventGroups counts events by owner, reason and the shape of their message.
type eventGroups map[eventKey]*eventCount

type eventCount struct {
	EventGroup
	objects map[string]bool
}

// add counts e for owner o.
func (g eventGroups) add(e *corev1.Event, o owner) {
	count, first, last := eventTimes(e)
	key := eventKey{o, e.Type, e.Reason, template(head(e.Message, 400))}
	c := g[key]
	if c == nil {
		c = &eventCount{objects: map[string]bool{}}
		c.Kind, c.Namespace, c.Name, c.Type, c.Reason = oneLine(o.kind, 60), o.namespace, o.name, e.Type, oneLine(e.Reason, 60)
		c.First = first
		g[key] = c
	}
	c.Count += count
	c.objects[e.InvolvedObject.Name] = true
	if first.Before(c.First) {
		c.First = first
	}
	if !last.Before(c.Last) {
		c.Last, c.Message = last, oneLine(e.Message, messageLimit)
	}
}

// sorted returns the groups, last seen first.
func (g eventGroups) sorted() []EventGroup {
	var list []EventGroup
	for _, c := range g {
		c.Objects = len(c.objects)
		list = append(list, c.EventGroup)
	}
	slices.SortFunc(list, func(a, b EventGroup) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(b.Count, a.Count), strings.Compare(a.Owner()+a.Message, b.Owner()+b.Message))
	})
	return list
}

// eventTimes reads both generations of the event API.
func eventTimes(e *corev1.Event) (count int, first, last time.Time) {
	count, first, last = max(int(e.Count), 1), e.FirstTimestamp.Time, e.LastTimestamp.Time
	if e.Series != nil {
		count, last = max(int(e.Series.Count), count), e.Series.LastObservedTime.Time
	}
	if first.IsZero() {
		first = e.EventTime.Time
	}
	if first.IsZero() {
		first = e.CreationTimestamp.Time
	}
	if last.Before(first) {
		last = first
	}
	return count, first, last
}

// readWarnings lists the warning events.
func (s *survey) readWarnings(ctx context.Context) ([]corev1.Event, error) {
	return listEvents(ctx, s.clients, s.query.Namespace, "type=Warning", s.now.Add(-failedTooOld))
}

// listEvents lists events since a time. It drops what it does not need of
// each, since there may be tens of thousands.
func listEvents(ctx context.Context, cl *clients, namespace, fields string, since time.Time) ([]corev1.Event, error) {
	var events []corev1.Event
	err := pages(metav1.ListOptions{FieldSelector: fields}, func(o metav1.ListOptions) (metav1.ListInterface, error) {
		list, err := cl.kube.CoreV1().Events(namespace).List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			e := &list.Items[i]
			if _, _, last := eventTimes(e); last.Before(since) {
				continue
			}
			e.ManagedFields, e.Annotations, e.Labels = nil, nil, nil
			e.Message = strings.Clone(head(e.Message, 2000))
			events = append(events, *e)
		}
		return list, nil
	})
	return events, err
}

// ownerOfEvent finds the owner of the object that e is about; of a pod that is
// gone, by the shape of its name.
func (s *survey) ownerOfEvent(e *corev1.Event) owner {
	o := e.InvolvedObject
	if known, ok := s.owners[o.Namespace+"/"+o.Name]; ok && o.Kind == "Pod" {
		return known
	}
	return guessOwner(o.Kind, o.Namespace, o.Name)
}

var (
	podName  = regexp.MustCompile(`^(.+)-[a-f0-9bcdfghjklmnpqrstvwxz2456789]{6,10}-[a-z0-9]{5}$`)
	hashName = regexp.MustCompile(`^(.+)-[a-z0-9]{6,10}$`)
)

// guessOwner folds pods and ReplicaSets into the Deployment of that name.
func guessOwner(kind, namespace, name string) owner {
	var m []string
	switch kind {
	case "Pod":
		m = podName.FindStringSubmatch(name)
	case "ReplicaSet":
		m = hashName.FindStringSubmatch(name)
	}
	if m == nil {
		return owner{kind, namespace, name}
	}
	return owner{"Deployment", namespace, m[1]}
}
