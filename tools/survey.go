package tools

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Pages bound what one answer of the API server takes in memory; the number of
// pages bounds the work on a cluster gone wild.
const (
	pageSize = 500
	maxPages = 60
)

// A survey is one look at a cluster. The lists are read page by page, and of
// each page only what matters is kept, so that 5,000 pods take little memory.
type survey struct {
	cluster *Cluster
	clients *clients
	query   ProblemsQuery
	now     time.Time
	out     Problems

	facts  []podFact        // of pods with a problem, that recovered, or that match the service
	owners map[string]owner // of every pod, by "namespace/name"
	counts map[owner]*count

	workloads map[owner]workload
	nodes     []nodeFact
	claims    []claimFact
	jobs      map[owner]jobFact
	events    eventGroups

	mu   sync.Mutex
	gaps []string
}

// A count is how many pods an owner has.
type count struct{ ready, total int }

// gather reads everything that judge needs, concurrently. Only the pods are
// indispensable.
func (s *survey) gather(ctx context.Context) error {
	s.owners, s.counts = map[string]owner{}, map[owner]*count{}
	s.events = eventGroups{}
	var g errgroup.Group
	g.SetLimit(gatherConcurrent)
	optional := func(what string, read func(context.Context) error) {
		g.Go(func() error {
			if err := read(ctx); err != nil {
				s.gap(s.cluster.explain("list "+what, err))
			}
			return nil
		})
	}
	var events []corev1.Event
	g.Go(func() error { return s.readPods(ctx) })
	optional("workloads", s.readWorkloads)
	optional("jobs", s.readJobs)
	optional("nodes", s.readNodes)
	if s.query.Service == "" {
		optional("volume claims", s.readClaims)
	}
	optional("events", func(ctx context.Context) (err error) {
		events, err = s.readWarnings(ctx)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	for i := range events {
		s.events.add(&events[i], s.ownerOfEvent(&events[i]))
	}
	return nil
}

// gap notes what could not be read.
func (s *survey) gap(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gaps = append(s.gaps, oneLine(err.Error(), 200))
}

// pages calls fetch for page after page.
func pages(opts metav1.ListOptions, fetch func(metav1.ListOptions) (metav1.ListInterface, error)) error {
	opts.Limit = pageSize
	for range maxPages {
		list, err := fetch(opts)
		if err != nil {
			return err
		}
		if opts.Continue = list.GetContinue(); opts.Continue == "" {
			return nil
		}
	}
	return fmt.Errorf("more than %d objects; the rest was not looked at, narrow it by namespace", maxPages*pageSize)
}

// readPods keeps the facts of pods that somebody may ask about. Pods that
// completed are left to the server in a whole cluster: workflows leave
// thousands.
func (s *survey) readPods(ctx context.Context) error {
	opts := metav1.ListOptions{}
	if s.query.Namespace == "" && s.query.Service == "" {
		opts.FieldSelector = "status.phase!=Succeeded"
	}
	api := s.clients.kube.CoreV1().Pods(s.query.Namespace)
	return pages(opts, func(o metav1.ListOptions) (metav1.ListInterface, error) {
		list, err := api.List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			s.readPod(&list.Items[i])
		}
		return list, nil
	})
}

func (s *survey) readPod(p *corev1.Pod) {
	f := examine(p, s.now)
	f.match = matches(p, f.owner, s.query.Service)
	s.owners[p.Namespace+"/"+p.Name] = f.owner
	switch {
	case p.Status.Phase == corev1.PodSucceeded:
		s.out.Completed++
	case p.Status.Phase == corev1.PodFailed && s.old(f):
		s.out.OldFailures++
		return
	default:
		s.tally(f)
	}
	recovered := f.ready && f.last != nil && f.last.ExitCode != 0 && s.now.Sub(f.last.At) < recoveredWithin
	if f.match > 0 || (s.query.Service == "" && (f.reason != "" || recovered)) {
		s.facts = append(s.facts, f)
	}
}

// old reports whether a failed pod is a leftover.
func (s *survey) old(f podFact) bool {
	at := f.since
	if f.last != nil {
		at = f.last.At
	}
	return s.now.Sub(at) > failedTooOld
}

func (s *survey) tally(f podFact) {
	c := s.counts[f.owner]
	if c == nil {
		c = &count{}
		s.counts[f.owner] = c
	}
	c.total++
	s.out.Pods++
	if f.ready {
		c.ready++
		s.out.Ready++
	}
}
