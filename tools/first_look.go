package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/runbook"
)

// sourceTimeout is how long a source of a first look may take, if the
// configuration does not say.
const sourceTimeout = 5 * time.Second

// A lookStore is what a first look needs of the memory.
type lookStore interface {
	Deliveries
	History(ctx context.Context, alert, service, cluster string, now time.Time, except runbook.DeliveryID) (runbook.History, error)
}

// FirstLookConfig says where a first look may look. Whatever is nil is a gap
// in every look.
type FirstLookConfig struct {
	Clusters *Clusters
	Store    lookStore
	GitLab   *GitLabClient
	SigNoz   *SigNozClient
	Timeout  time.Duration // of each source; 0 is 5 seconds
}

// A FirstLook does what everybody does in the first five minutes: it asks all
// sources at once and puts what they say in order. It is safe for concurrent
// use.
type FirstLook struct{ cfg FirstLookConfig }

// NewFirstLook returns a FirstLook. It asks nothing yet.
func NewFirstLook(cfg FirstLookConfig) *FirstLook {
	if cfg.Clusters == nil {
		cfg.Clusters = NewClusters()
	}
	cfg.Timeout = cmp.Or(cfg.Timeout, sourceTimeout)
	return &FirstLook{cfg}
}

// A LookQuery says what to look at: a delivery, or a cluster with a service, a
// namespace or neither.
type LookQuery struct {
	Delivery                    runbook.DeliveryID // 0 is none; naming one claims it
	Alert                       string             // for the history, without a delivery
	Cluster, Service, Namespace string             // go before those of the delivery
	At                          time.Time          // when it began; zero is the start of the delivery, else now
}

type firstLookArgs struct {
	Delivery  string `json:"delivery,omitempty" jsonschema:"the event, as d42; this claims it"`
	Cluster   string `json:"cluster,omitempty" jsonschema:"without delivery: configured name or alias"`
	Service   string `json:"service,omitempty" jsonschema:"without delivery, or to look at another one"`
	Namespace string `json:"namespace,omitempty" jsonschema:"without delivery"`
	At        string `json:"at,omitempty" jsonschema:"when it began: RFC 3339 or 30m (ago); the start of the alert if not given"`
}

// Tools returns the tool first_look.
func (f *FirstLook) Tools() []server.ServerTool {
	return []server.ServerTool{tool("first_look",
		"The first five minutes of an investigation in one call: what history says, pods, events, logs, nodes, volumes, Argo CD, merges and deployments before the start, error rate and latency against the hour before. "+
			"Hints first (recovered? one pod or all? after which change?), then evidence, then what could not be asked. Use it once for each event, after incident_history; then ask the other tools only for what it leaves open.",
		idempotent|alwaysLoad,
		func(ctx context.Context, in firstLookArgs) (string, error) {
			q, err := in.query(time.Now().UTC())
			if err != nil {
				return "", err
			}
			look, err := f.Look(ctx, q)
			if err != nil {
				return "", err
			}
			return look.String(), nil
		})}
}

// query reads the arguments.
func (in firstLookArgs) query(now time.Time) (q LookQuery, err error) {
	q = LookQuery{Cluster: in.Cluster, Service: in.Service, Namespace: in.Namespace}
	if in.Delivery == "" && in.Cluster == "" {
		return q, errors.New("give delivery (d42), or cluster with service or namespace")
	}
	if in.Delivery != "" {
		if q.Delivery, err = runbook.ParseDelivery(in.Delivery); err != nil {
			return q, err
		}
	}
	if in.At != "" {
		if q.At, err = moment(in.At, now); err != nil {
			return q, fmt.Errorf("at: %w", err)
		}
	}
	return q, nil
}

// A Look is what the sources said. Its texts are cleaned and redacted.
type Look struct {
	Delivery                           runbook.DeliveryID // 0 if none was named
	Alert, Service, Cluster, Namespace string             // as the alert has them; Alert is "" without a delivery
	Env                                runbook.Env
	Severity                           runbook.Severity
	Status                             runbook.Status // "" without a delivery
	Began, Ended                       time.Time      // UTC; Ended is zero while an alert fires
	At                                 time.Time      // UTC; when it was looked

	History  *runbook.History // nil if it was not asked or failed
	Problems *Problems        // nil if the cluster was not asked or failed
	Nodes    []string         // ailing nodes, as "n1 NodeNotReady since 6 min ago"
	Changes  []Change         // newest first
	Answered []string         // the sources that did, such as "GitLab (merges)"; sorted
	Gaps     []string         // sources that failed, and why
	Unasked  []string         // sources that could not be asked: not configured, or nothing to ask about

	volumes       []volume
	apps          []string // lines about Argo CD applications
	ailingApps    []string // as "cart is OutOfSync and Degraded"
	now, hour     *traffic // around the start, and the hour before
	failing       []row
	allClusters   bool     // SigNoz knows no such cluster, so all were asked
	changesKnown  []string // the sources of changes that answered
	windowsOfSpan period
	place         place // of an alert that names no cluster
}

// A Change is something that was changed before or while it began.
type Change struct {
	At   time.Time // UTC
	Kind string    // image, argocd, deployment or merge
	Name string    // safe to show anywhere: the image's tag, the application, #12, !412
	Text string    // foreign, cleaned
	See  string    // the call that shows more
}

// Look asks every source at once and waits for all of them; each has its own
// deadline. It fails only if the delivery cannot be claimed; a source that fails
// is a gap.
func (f *FirstLook) Look(ctx context.Context, q LookQuery) (Look, error) {
	look := newLook()
	look.Alert, look.Service, look.Cluster, look.Namespace = q.Alert, q.Service, q.Cluster, q.Namespace
	if q.Delivery != 0 {
		if err := f.read(ctx, q.Delivery, &look); err != nil {
			return look, err
		}
	}
	if !q.At.IsZero() {
		look.Began, look.Ended = q.At.UTC(), time.Time{}
	}
	return f.gather(ctx, look), nil
}

// LookAt is Look for who has read the delivery already, with its alerts, the
// worst first. It needs no Store.
func (f *FirstLook) LookAt(ctx context.Context, d runbook.Delivery, alerts []runbook.Occurrence) Look {
	look := newLook()
	look.about(d, alerts)
	return f.gather(ctx, look)
}

func newLook() Look {
	now := time.Now().UTC()
	return Look{At: now, Began: now}
}

// gather asks the sources.
func (f *FirstLook) gather(ctx context.Context, look Look) Look {
	several := look.Cluster == runbook.Several
	f.tidy(&look)
	if !several {
		look.place = f.search(ctx, look)
	}
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	seen := look.view()
	for _, src := range f.sources() {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
			defer cancel()
			keep, gap := src.run(ctx, seen)
			mu.Lock()
			defer mu.Unlock()
			if keep != nil {
				keep(&look)
				look.Answered = append(look.Answered, src.name)
			}
			for _, g := range gap {
				f.miss(ctx, &look, src.name, g)
			}
		})
	}
	wg.Wait()
	look.settle()
	return look
}

// miss notes why a source told nothing.
func (f *FirstLook) miss(ctx context.Context, look *Look, source string, err error) {
	if _, ok := errors.AsType[unasked](err); ok {
		look.Unasked = append(look.Unasked, f.gap(ctx, source, err))
		return
	}
	look.Gaps = append(look.Gaps, f.gap(ctx, source, err))
}

// gap is the sentence about a source that failed.
func (f *FirstLook) gap(ctx context.Context, source string, err error) string {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return source + " did not answer in " + f.cfg.Timeout.String()
	}
	return source + ": " + oneLine(err.Error(), 240)
}

// tidy makes what is looked at one cluster and one service, or none.
func (f *FirstLook) tidy(look *Look) {
	if look.Began.After(look.At) {
		look.Began = look.At
	}
	if ns, name, ok := strings.Cut(look.Service, "/"); ok {
		look.Namespace, look.Service = ns, name
	}
	for _, name := range []*string{&look.Cluster, &look.Namespace, &look.Service} {
		if *name == runbook.Several {
			*name = ""
		}
	}
	if c, err := f.cfg.Clusters.Get(look.Cluster); err == nil {
		look.Env = orUnknown(c.Env)
	}
}

// read claims a delivery and fills in what it says.
func (f *FirstLook) read(ctx context.Context, id runbook.DeliveryID, look *Look) error {
	if f.cfg.Store == nil {
		return errors.New("there is no memory to look the delivery up in; give cluster and service")
	}
	d, err := claim(ctx, f.cfg.Store, id.String())
	if err != nil {
		return err
	}
	if d.Channel == "slack" {
		return fmt.Errorf("%s is a message of a person, there is nothing to look at; give cluster and service", id)
	}
	alerts, err := f.cfg.Store.Alerts(ctx, id, historyAlerts)
	if err != nil {
		return err
	}
	look.about(d, alerts)
	return nil
}

// about fills in what a delivery says and the query leaves open.
func (l *Look) about(d runbook.Delivery, alerts []runbook.Occurrence) {
	l.Delivery, l.Alert, l.Status, l.Severity, l.Env = d.ID, d.Alert, d.Status, d.Severity, d.Env
	l.Cluster, l.Namespace = orElse(l.Cluster, d.Cluster), orElse(l.Namespace, d.Namespace)
	if l.Service == "" {
		l.Service = orElse(d.Service, subjectOfLabels(alerts))
	}
	l.Began, l.Ended = lifetime(d, alerts)
}

// subjectOfLabels names the workload that all alerts are about, if no label
// names the service.
func subjectOfLabels(alerts []runbook.Occurrence) string {
	name := ""
	for _, a := range alerts {
		one := ""
		for _, key := range []string{"deployment", "statefulset", "daemonset", "k8s.deployment.name", "k8s.statefulset.name"} {
			one = cmp.Or(one, a.Labels[key])
		}
		if pod := cmp.Or(a.Labels["pod"], a.Labels["k8s.pod.name"]); one == "" && pod != "" {
			one = guessOwner("Pod", "", pod).name
		}
		if name != "" && one != name {
			return ""
		}
		name = one
	}
	return name
}

// view is a copy that a source may read while others write.
func (l Look) view() Look {
	return Look{
		Delivery: l.Delivery, Alert: l.Alert, Service: l.Service, Cluster: l.Cluster, Namespace: l.Namespace,
		Env: l.Env, Began: l.Began, Ended: l.Ended, At: l.At, Status: l.Status, place: l.place,
	}
}
