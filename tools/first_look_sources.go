package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"watchkeeper/runbook"
)

// Windows of a first look.
const (
	changesLead   = runbook.Day // before the start
	aroundBefore  = 5 * time.Minute
	aroundAfter   = 30 * time.Minute
	comparedWith  = time.Hour
	volumesWindow = 30 * time.Minute
	fullVolume    = 0.8 // from here a volume is told
	failingSpans  = 3
	appAils       = 3 // rank of an application from which it is told in a hint
)

// A source is asked about a look. It returns what it found as a function that
// writes it down, and why it found less.
type source struct {
	name string
	run  func(ctx context.Context, l Look) (keep func(*Look), gaps []error)
}

// sources are asked concurrently.
func (f *FirstLook) sources() []source {
	return []source{
		{"the history", f.history},
		{"the cluster", f.pods},
		{"the nodes", f.nodes},
		{"Argo CD", f.argo},
		{"GitLab (merges)", f.merges},
		{"GitLab (deployments)", f.deployments},
		{"SigNoz", f.traffic},
		{"SigNoz (volumes)", f.volumes},
	}
}

// unasked is why a source has nothing to be asked: that is no failure, and not
// told to a person who is woken.
type unasked struct{ error }

func gaps(err error) []error {
	if err == nil {
		return nil
	}
	return []error{err}
}

func (f *FirstLook) history(ctx context.Context, l Look) (func(*Look), []error) {
	switch {
	case f.cfg.Store == nil:
		return nil, gaps(unasked{errors.New("no memory")})
	case l.Alert == "":
		return nil, gaps(unasked{errors.New("no alert is named; incident_history with its name knows more")})
	}
	h, err := f.cfg.Store.History(ctx, l.Alert, l.Service, l.Cluster, l.At, l.Delivery)
	if err != nil {
		return nil, gaps(err)
	}
	return func(l *Look) { l.History = &h }, nil
}

// cluster returns the cluster of the look. The error tells the configured ones.
func (f *FirstLook) cluster(l Look) (*Cluster, error) {
	switch {
	case l.where() != "":
		return f.cfg.Clusters.Get(l.where())
	case l.place.why != "":
		return nil, errors.New("the alert names no cluster: " + l.place.why)
	}
	return nil, errors.New("the alert names no single cluster")
}

func (f *FirstLook) pods(ctx context.Context, l Look) (func(*Look), []error) {
	c, err := f.cluster(l)
	if err != nil {
		return nil, gaps(err)
	}
	namespace := l.Namespace
	if checkNames(namespace) != nil { // a label may hold anything
		namespace = ""
	}
	p, err := c.Problems(ctx, ProblemsQuery{Namespace: namespace, Service: l.Service})
	if err == nil && l.Service != "" && namespace != "" && !p.Health.Found() {
		// The namespace of a label may be that of the scraper.
		if wide, wideErr := c.Problems(ctx, ProblemsQuery{Service: l.Service}); wideErr == nil && wide.Health.Found() {
			p = wide
		}
	}
	if err != nil {
		return nil, gaps(err)
	}
	return func(l *Look) { l.Problems = &p }, nil
}

func (f *FirstLook) nodes(ctx context.Context, l Look) (func(*Look), []error) {
	c, err := f.cluster(l)
	if err != nil {
		return nil, nil // the pods tell it
	}
	cl, err := c.clients()
	if err != nil {
		return nil, nil
	}
	s := &survey{cluster: c, clients: cl, now: l.At}
	if err := s.readNodes(ctx); err != nil {
		return nil, gaps(c.explain("list nodes", err))
	}
	return func(l *Look) {
		for _, n := range s.nodes {
			l.Nodes = append(l.Nodes, fmt.Sprintf("%s %s since %s: %s", oneLine(n.name, 120), oneLine(n.reason, 40), ago(l.At, n.since), oneLine(n.message, messageLimit)))
		}
	}, nil
}

// argo finds the applications of the service, and what they deployed.
func (f *FirstLook) argo(ctx context.Context, l Look) (func(*Look), []error) {
	c, err := f.cluster(l)
	if err != nil {
		return nil, nil
	}
	apps, _, err := c.applications(ctx, "", "")
	if err != nil {
		return nil, gaps(err)
	}
	var lines, ailing []string
	var changes []Change
	for _, a := range apps {
		if !a.deploys(l.Service, l.Namespace) {
			continue
		}
		if a.rank() >= appAils {
			ailing = append(ailing, oneLine(a.Metadata.Name, 120)+" is "+a.condition())
		}
		lines = append(lines, a.headline())
		lines = append(lines, indent(a.brief(l.At))...)
		for _, r := range a.Status.History {
			if r.DeployedAt == nil || !recent(r.DeployedAt.Time, l) {
				continue
			}
			name := oneLine(a.Metadata.Name, 120)
			changes = append(changes, Change{
				r.DeployedAt.UTC(), "argocd", name, name + " deployed " + r.text(),
				fmt.Sprintf("argocd_apps(cluster: %s, name: %s)", c.Name, name),
			})
		}
	}
	return func(l *Look) {
		l.apps, l.ailingApps = lines, ailing
		l.add("Argo CD", changes...)
	}, nil
}

// deploys reports whether an application is named like a service or has a
// workload of that name; without a service, whether it is for the namespace.
func (a *application) deploys(service, namespace string) bool {
	if service == "" {
		return namespace != "" && a.destination() == namespace
	}
	service = strings.ToLower(service)
	name := a.Metadata.Name
	if name == service || strings.HasPrefix(name, service+"-") || strings.HasSuffix(name, "-"+service) {
		return true
	}
	return slices.ContainsFunc(a.Status.Resources, func(r appResource) bool {
		workload := r.Kind == "Deployment" || r.Kind == "StatefulSet" || r.Kind == "DaemonSet" || r.Kind == "Rollout"
		return workload && r.Name == service
	})
}

// recent reports whether a change may explain the start of a look.
func recent(t time.Time, l Look) bool {
	return t.After(l.Began.Add(-changesLead)) && !t.After(l.At)
}

// add notes changes of a source that answered.
func (l *Look) add(source string, changes ...Change) {
	l.changesKnown = append(l.changesKnown, source)
	l.Changes = append(l.Changes, changes...)
}

// project is the GitLab project of the look.
func (f *FirstLook) project(l Look) (string, error) {
	if f.cfg.GitLab == nil {
		return "", unasked{errors.New("not configured")}
	}
	if l.Service == "" {
		return "", unasked{errors.New("no one service is named, so no project is known")}
	}
	p := f.cfg.GitLab.projectOf(l.Service)
	if p == "" {
		p = f.cfg.GitLab.projectOf(strings.TrimSuffix(runbook.Family(l.Service), "-*"))
	}
	if p == "" {
		return "", unasked{fmt.Errorf("%s has no project under gitlab.projects", oneLine(l.Service, 80))}
	}
	return p, nil
}

func (f *FirstLook) merges(ctx context.Context, l Look) (func(*Look), []error) {
	project, err := f.project(l)
	if err != nil {
		return nil, gaps(err)
	}
	list, _, err := f.cfg.GitLab.merges(ctx, project, period{l.Began.Add(-changesLead), l.At})
	if err != nil {
		return nil, gaps(err)
	}
	var changes []Change
	for _, m := range list {
		changes = append(changes, Change{
			at(m.MergedAt), "merge", fmt.Sprintf("!%d", m.IID),
			fmt.Sprintf("%s !%d merged into %s by %s: %s", project, m.IID, oneLine(m.TargetBranch, 60), who(merger(m)), withoutPeople(m.Title, 140)),
			fmt.Sprintf("gitlab_merge_diff(project: %s, iid: %d)", project, m.IID),
		})
	}
	return func(l *Look) { l.add("merges", changes...) }, nil
}

func (f *FirstLook) deployments(ctx context.Context, l Look) (func(*Look), []error) {
	project, err := f.project(l)
	if err != nil {
		return nil, nil // the merges tell it
	}
	list, _, err := f.cfg.GitLab.deployments(ctx, project, period{l.Began.Add(-changesLead), l.At}, "")
	if err != nil {
		return nil, gaps(err)
	}
	var changes []Change
	for _, d := range list {
		changes = append(changes, Change{
			deployedAt(d), "deployment", fmt.Sprintf("#%d", d.IID), project + " " + deploymentLine(d, time.Time{}),
			fmt.Sprintf("gitlab_deployments(project: %s)", project),
		})
	}
	return func(l *Look) { l.add("deployments", changes...) }, nil
}

// around is the time around the start, at least five minutes.
func (l Look) around() period {
	p := period{l.Began.Add(-aroundBefore), l.Began.Add(aroundAfter)}
	if !l.Ended.IsZero() && l.Ended.Add(aroundBefore).Before(p.to) {
		p.to = l.Ended.Add(aroundBefore)
	}
	if p.to.After(l.At) {
		p.to = l.At
	}
	if p.to.Sub(p.from) < aroundBefore {
		p.from = p.to.Add(-aroundBefore)
	}
	return p
}

// traffic compares the requests around the start with the hour before. If
// SigNoz does not know the cluster, it is asked about all of them.
func (f *FirstLook) traffic(ctx context.Context, l Look) (func(*Look), []error) {
	switch {
	case f.cfg.SigNoz == nil:
		return nil, gaps(unasked{errors.New("not configured")})
	case l.Service == "":
		return nil, gaps(unasked{errors.New("no one service is named; signoz_traces and signoz_logs take one")})
	}
	c := f.cfg.SigNoz
	window := l.around()
	keep, err := c.compare(ctx, c.about(l.Service, l.Cluster), window)
	if err == nil && keep.now.spans+keep.hour.spans == 0 && l.Cluster != "" {
		keep, err = c.compare(ctx, c.about(l.Service, ""), window)
		keep.everywhere = true
	}
	if err != nil {
		return nil, gaps(err)
	}
	return func(l *Look) {
		l.now, l.hour, l.failing, l.windowsOfSpan = &keep.now, &keep.hour, keep.failing, window
		l.allClusters = keep.everywhere && keep.now.spans+keep.hour.spans > 0
	}, nil
}

// compared is the traffic of two windows, and failing spans of the later one.
type compared struct {
	now, hour  traffic
	failing    []row
	everywhere bool
}

func (c *SigNozClient) compare(ctx context.Context, where filter, p period) (compared, error) {
	var out compared
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { out.now, err = c.traffic(ctx, where, p); return err })
	g.Go(func() (err error) { out.hour, err = c.traffic(ctx, where, p.before(comparedWith)); return err })
	g.Go(func() error {
		res, err := c.ask(ctx, "read traces", "raw", p, query{
			Name: "failing", Signal: "traces", Limit: failingSpans, SelectFields: spanFields,
			Filter: append(slices.Clone(where), failing).expression(), Order: newest("timestamp"),
		})
		out.failing = res["failing"].Rows
		return err
	})
	return out, g.Wait()
}

// A volume is how full a claim is.
type volume struct {
	claim string
	used  float64 // 0 to 1
	free  float64 // bytes
}

// volumes reads how full the volumes of the namespace are.
func (f *FirstLook) volumes(ctx context.Context, l Look) (func(*Look), []error) {
	if f.cfg.SigNoz == nil || l.Namespace == "" {
		return nil, nil
	}
	c := f.cfg.SigNoz
	where := filter{}.is("k8s.namespace.name", l.Namespace).is("k8s.cluster.name", c.clusterNames(l.Cluster)...)
	p := period{l.At.Add(-volumesWindow), l.At}
	ask := func(name, metric, space string) query {
		return query{
			Name: name, Signal: "metrics", StepInterval: 60 * 5, Filter: where.expression(), Limit: seriesAsked,
			Aggregations: []any{metricAggregation{metric, "latest", space}}, GroupBy: fields("k8s.persistentvolumeclaim.name"),
		}
	}
	res, err := c.ask(ctx, "read volumes", "time_series", p, ask("A", "k8s.volume.available", "min"), ask("B", "k8s.volume.capacity", "max"))
	if err != nil {
		return nil, gaps(err)
	}
	list := fullness(res["A"], res["B"])
	return func(l *Look) { l.volumes = list }, nil
}

// fullness joins free and total bytes of claims, the fullest first.
func fullness(free, total result) []volume {
	capacity := latest(total)
	var list []volume
	for claim, f := range latest(free) {
		if all := capacity[claim]; claim != "" && all > 0 {
			list = append(list, volume{claim, 1 - f/all, f})
		}
	}
	slices.SortFunc(list, func(a, b volume) int { return cmp.Or(cmp.Compare(b.used, a.used), strings.Compare(a.claim, b.claim)) })
	return list
}

// latest is the last value of every series by its only label.
func latest(r result) map[string]float64 {
	out := map[string]float64{}
	for _, a := range r.Aggregations {
		for _, s := range a.Series {
			h, ok := shapeOf(s)
			if !ok || len(s.Labels) == 0 || math.IsNaN(h.last) {
				continue
			}
			out[oneLine(plainText(s.Labels[0].Value), 120)] = h.points[len(h.points)-1]
		}
	}
	return out
}
