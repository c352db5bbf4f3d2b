package tools

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"watchkeeper/runbook"
)

type eventsArgs struct {
	Cluster   string `json:"cluster" jsonschema:"configured name or alias of the cluster"`
	Namespace string `json:"namespace,omitempty" jsonschema:"only this namespace"`
	Object    string `json:"object,omitempty" jsonschema:"only this object or workload: cart, Pod/cart-7d9f-x2k4p, Node/worker-1"`
	Since     string `json:"since,omitempty" jsonschema:"how far to look back: 15m, 2h; 1h if not given (a cluster keeps about 1h)"`
}

func kubeEvents(clusters *Clusters) server.ServerTool {
	return tool("kube_events",
		"List events grouped by owner and message with counts, last seen first. "+
			"kube_problems already shows the warnings that matter; use this for the sequence of what happened, Normal events (scaling, killing, pulling) included.",
		readOnly,
		func(ctx context.Context, in eventsArgs) (string, error) {
			c, err := clusters.Get(in.Cluster)
			if err != nil {
				return "", err
			}
			kind, name, ok := strings.Cut(in.Object, "/")
			if !ok {
				kind, name = "", in.Object
			}
			if err := checkNames(in.Namespace, strings.ToLower(kind), name); err != nil {
				return "", err
			}
			since, err := window(in.Since, time.Hour)
			if err != nil {
				return "", err
			}
			groups, err := c.Events(ctx, EventsQuery{Namespace: in.Namespace, Kind: kind, Name: name, Since: since})
			if err != nil {
				return "", err
			}
			return showEvents(c, in, since, groups), nil
		})
}

// An EventsQuery narrows what [Cluster.Events] returns.
type EventsQuery struct {
	Namespace  string        // "" is all
	Kind, Name string        // of the object or its owner, each "" for any
	Since      time.Duration // 0 is an hour
}

// Events returns the events of the last while, grouped, last seen first.
func (c *Cluster) Events(ctx context.Context, q EventsQuery) ([]EventGroup, error) {
	cl, err := c.clients()
	if err != nil {
		return nil, err
	}
	if q.Since == 0 {
		q.Since = time.Hour
	}
	events, err := listEvents(ctx, cl, q.Namespace, "", time.Now().Add(-q.Since))
	if err != nil {
		return nil, c.explain("list events", err)
	}
	groups := eventGroups{}
	owners := cl.podOwners(ctx, q.Namespace, events)
	for i := range events {
		e := &events[i]
		o, ok := owners[e.InvolvedObject.Namespace+"/"+e.InvolvedObject.Name]
		if !ok || e.InvolvedObject.Kind != "Pod" {
			o = guessOwner(e.InvolvedObject.Kind, e.InvolvedObject.Namespace, e.InvolvedObject.Name)
		}
		if q.wants(e, o) {
			groups.add(e, o)
		}
	}
	return groups.sorted(), nil
}

// wants reports whether the event is about the object asked for, by its own
// name or that of its owner.
func (q EventsQuery) wants(e *corev1.Event, o owner) bool {
	ref := e.InvolvedObject
	return (q.Name == "" || ref.Name == q.Name || o.name == q.Name) &&
		(q.Kind == "" || strings.EqualFold(ref.Kind, q.Kind) || strings.EqualFold(o.kind, q.Kind))
}

// podOwners maps the pods that events are about to what runs them. It asks
// only where the name of a pod does not tell.
func (cl *clients) podOwners(ctx context.Context, namespace string, events []corev1.Event) map[string]owner {
	owners := map[string]owner{}
	ask := false
	for i := range events {
		o := events[i].InvolvedObject
		ask = ask || (o.Kind == "Pod" && guessOwner(o.Kind, o.Namespace, o.Name).kind == "Pod")
	}
	if !ask {
		return owners
	}
	// What cannot be read is guessed from the names.
	_ = pages(metav1.ListOptions{}, func(o metav1.ListOptions) (metav1.ListInterface, error) {
		list, err := cl.kube.CoreV1().Pods(namespace).List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			p := &list.Items[i]
			owners[p.Namespace+"/"+p.Name] = ownerOf(p)
		}
		return list, nil
	})
	return owners
}

func showEvents(c *Cluster, in eventsArgs, since time.Duration, groups []EventGroup) string {
	out := newPage(maxTokens)
	where := "all namespaces"
	if in.Namespace != "" {
		where = "namespace " + in.Namespace
	}
	out.say("%s (%s): %s in %s, last %s, last seen first", c.Name, orUnknown(c.Env), plural(len(groups), "event group"), where, runbook.Short(since))
	for i, g := range groups {
		pods := ""
		if g.Objects > 1 {
			pods = fmt.Sprintf(" on %d objects", g.Objects)
		}
		line := fmt.Sprintf("%s %s %s %s %d×%s, %s–%s: %s", strings.TrimSpace(stampOf(g.Last)), g.Type, g.Owner(), g.Reason, g.Count, pods,
			strings.TrimSpace(stampOf(g.First)), strings.TrimSpace(stampOf(g.Last)), g.Message)
		if !out.quote(line) {
			out.say("[%d older groups are left out; give namespace or object]", len(groups)-i)
			break
		}
	}
	return out.String()
}
