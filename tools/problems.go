package tools

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"watchkeeper/runbook"
)

// A ProblemsQuery narrows what [Cluster.Problems] looks at; the zero value is
// the whole cluster.
type ProblemsQuery struct {
	Namespace string
	Service   string // name of a workload or value of its app label; "shop/cart" names the namespace too
}

// Problems is what is wrong in a cluster, a namespace or a service. All text
// in it is cleaned and redacted.
type Problems struct {
	Cluster            string
	Env                runbook.Env
	Namespace, Service string
	At                 time.Time // UTC

	Pods, Ready, Completed, OldFailures int // OldFailures are pods that failed more than a day ago
	Nodes, NodesReady                   int

	Problems  []Problem     // worst first
	Recovered []Termination // containers that ended badly in the last hour and are ready again; newest first
	Warnings  []EventGroup  // of objects that no problem is about; newest first
	Health    *Health       // of the service asked for, else nil
	Gaps      []string      // what could not be read, and why
}

// A Problem is one thing that is wrong with one owner.
type Problem struct {
	Kind, Namespace, Name string // "Deployment", "shop", "cart"; Namespace is "" for a node
	Reason                string // CrashLoopBackOff, OOMKilled, Unschedulable, NotReady, JobFailed …
	Message               string
	Affected              []string // pods, sorted
	Ready, Total          int      // pods of the owner
	Restarts              int      // of the affected pods
	Last                  *Termination
	Since                 time.Time // zero if unknown
	Notes                 []string  // what else is wrong with the owner
	Image                 *ImageChange
	Events                []EventGroup
	Log                   []string // decisive lines, oldest first, "12× " before repeated ones
	LogFrom               string   // "pod/container" or "pod/container, previous"

	container string
	rank      int
}

// Owner reads "Deployment shop/cart".
func (p Problem) Owner() string { return owner{p.Kind, p.Namespace, p.Name}.String() }

// Health sums up one service.
type Health struct {
	Workloads   []string // "Deployment shop/cart"; empty if nothing has that name
	Exact       bool     // by its name or label; false if only a part of a name matched
	Pods, Ready int
	Since       time.Time    // ready since, when every pod is; else zero
	Last        *Termination // the latest of any of its containers
	Restarts    int
	Image       *ImageChange // the last change of an image, if known
	LogErrors   []string     // error lines of the last half hour, when no problem shows a log
	LogFrom     string
	Nearest     []string // names to try, when nothing has that name
}

// Found reports whether the service exists.
func (h *Health) Found() bool { return h != nil && len(h.Workloads) > 0 }

// Healthy reports whether the service asked for exists by exactly this name,
// all its pods are ready and nothing is wrong with it now. Error lines in its
// log do not count.
func (p Problems) Healthy() bool {
	return p.Health.Found() && p.Health.Exact && len(p.Problems) == 0 && p.Health.Pods > 0 && p.Health.Ready == p.Health.Pods
}

// Depths of the answer: what is looked at more closely costs requests.
const (
	closerOwners     = 5
	recoveredWithin  = time.Hour
	warningsWithin   = time.Hour
	closerTimeout    = 6 * time.Second
	gatherConcurrent = 8
)

// Problems finds what is wrong, worst first. It fails only if the pods cannot
// be listed; everything else that fails is a gap.
func (c *Cluster) Problems(ctx context.Context, q ProblemsQuery) (Problems, error) {
	if ns, name, ok := strings.Cut(q.Service, "/"); ok {
		q.Namespace, q.Service = ns, name
	}
	if err := checkNames(q.Namespace); err != nil {
		return Problems{}, err
	}
	cl, err := c.clients()
	if err != nil {
		return Problems{}, err
	}
	s := &survey{cluster: c, clients: cl, query: q, now: time.Now().UTC()}
	if err := s.gather(ctx); err != nil {
		return Problems{}, c.explain("list pods", err)
	}
	s.judge()
	s.lookCloser(ctx)
	return s.out, nil
}

// lookCloser fetches logs and image changes of the worst problems.
func (s *survey) lookCloser(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closerTimeout)
	defer cancel()
	var g errgroup.Group
	g.SetLimit(gatherConcurrent)
	for i := range s.out.Problems[:min(len(s.out.Problems), closerOwners)] {
		p := &s.out.Problems[i]
		g.Go(func() error { p.Image = s.imageChange(ctx, owner{p.Kind, p.Namespace, p.Name}); return nil })
		if len(p.Affected) > 0 && logsHelp(p.Reason) {
			g.Go(func() error { s.decisiveLog(ctx, p); return nil })
		}
	}
	if h := s.out.Health; h.Found() {
		g.Go(func() error { s.inspect(ctx, h); return nil })
	}
	_ = g.Wait() // nothing above returns an error: what is missing is left out
	if h := s.out.Health; h != nil && slices.ContainsFunc(s.out.Problems, func(p Problem) bool { return len(p.Log) > 0 }) {
		h.LogErrors, h.LogFrom = nil, ""
	}
}

// logsHelp reports whether a container has run that could have logged why.
func logsHelp(reason string) bool {
	switch reason {
	case "CrashLoopBackOff", "OOMKilled", "NotReady", "Unavailable", "Failed", "Error", "JobFailed", "RunContainerError":
		return true
	}
	return false
}

// worstFirst orders problems by rank, then by how many pods they hit, then by
// how new they are.
func worstFirst(a, b Problem) int {
	return cmp.Or(
		cmp.Compare(b.rank, a.rank),
		cmp.Compare(len(b.Affected), len(a.Affected)),
		b.Since.Compare(a.Since),
		strings.Compare(a.Owner(), b.Owner()),
	)
}
