package tools

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Workflows that failed longer ago are only counted.
const workflowTooOld = 24 * time.Hour

type workflowsArgs struct {
	Cluster   string `json:"cluster" jsonschema:"configured name or alias of the cluster"`
	Namespace string `json:"namespace,omitempty" jsonschema:"only this namespace"`
	Name      string `json:"name,omitempty" jsonschema:"one workflow with all its steps; without it the failed and the stuck ones"`
}

func argoWorkflows(clusters *Clusters) server.ServerTool {
	return tool("argo_workflows",
		"Argo Workflows that failed in the last day or are stuck, each with the failing or waiting step and its message; with name one in full. "+
			"Says what is suspended on purpose, and when steps are not visible. Use it for ingestion, pipelines and cron workflows; for plain Jobs use kube_problems.",
		readOnly,
		func(ctx context.Context, in workflowsArgs) (string, error) {
			c, err := clusters.Get(in.Cluster)
			if err != nil {
				return "", err
			}
			if err := checkNames(in.Namespace, in.Name); err != nil {
				return "", err
			}
			all, gaps, err := c.workflows(ctx, in.Namespace, in.Name)
			if err != nil {
				return "", err
			}
			out := newPage(argoTokens)
			if in.Name != "" {
				if len(all)+len(gaps) == 0 {
					return "", fmt.Errorf("%s has no workflow %s%s; it may have been cleaned up, and argo_workflows without name lists what is failed or stuck", c.Name, in.Name, within(in.Namespace))
				}
				for _, w := range all {
					writeWorkflow(out, c, w, time.Now())
				}
			} else {
				writeWorkflows(out, c, all, in.Namespace, time.Now())
			}
			for _, g := range gaps {
				out.quote("not known: " + g)
			}
			return out.String(), nil
		})
}

// workflows lists those of a namespace, or of all for "": the one of that
// name, or else all that have not succeeded.
func (c *Cluster) workflows(ctx context.Context, namespace, name string) (all []*workflow, gaps []string, err error) {
	cl, err := c.clients()
	if err != nil {
		return nil, nil, err
	}
	// The label is the controller's; those that it has not seen have none and
	// are listed too.
	opts := metav1.ListOptions{LabelSelector: "workflows.argoproj.io/phase!=Succeeded"}
	if name != "" {
		opts = metav1.ListOptions{FieldSelector: "metadata.name=" + name}
	}
	err = pages(opts, func(o metav1.ListOptions) (metav1.ListInterface, error) {
		o.Limit = argoPage
		list, err := cl.dynamic.Resource(argoWorkflow).Namespace(namespace).List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			w, err := readWorkflow(&list.Items[i])
			if err != nil {
				gaps = append(gaps, oneLine(err.Error(), 200))
				continue
			}
			all = append(all, w)
		}
		return list, nil
	})
	if err != nil {
		return nil, nil, c.explainArgo("Argo Workflows", "list workflows", err)
	}
	return all, gaps, nil
}

// A workflowSummary sorts workflows by what they need.
type workflowSummary struct {
	bad                              []*workflow // stuck, then failed; newest first within each
	running, waiting, succeeded, old int
}

func summarise(all []*workflow, now time.Time) workflowSummary {
	var s workflowSummary
	for _, w := range all {
		switch {
		case w.Status.Phase == "Succeeded":
			s.succeeded++
		case w.finished() && w.Status.FinishedAt != nil && now.Sub(w.Status.FinishedAt.Time) > workflowTooOld:
			s.old++
		case w.finished() || w.stuck(now) != "":
			s.bad = append(s.bad, w)
		case w.suspended() != "":
			s.waiting++
		default:
			s.running++
		}
	}
	slices.SortStableFunc(s.bad, func(a, b *workflow) int {
		return cmp.Or(compareBool(a.finished(), b.finished()), b.changed().Compare(a.changed()))
	})
	return s
}

// compareBool puts false first.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

func writeWorkflows(out *page, c *Cluster, all []*workflow, namespace string, now time.Time) {
	s := summarise(all, now)
	out.say("%s (%s) at %s UTC%s: %s failed or stuck; %d running, %d suspended on purpose, %d failed more than a day ago.",
		c.Name, orUnknown(c.Env), now.UTC().Format("2006-01-02 15:04:05"), within(namespace), plural(len(s.bad), "workflow"), s.running, s.waiting, s.old)
	for i, w := range s.bad {
		lines := append([]string{w.headline(now)}, indent(w.why(now, 2))...)
		if !out.quote(lines...) {
			out.say("[%d more; give a namespace or a name]", len(s.bad)-i)
			return
		}
	}
}

// headline reads "data/ingest-x: Running for 5 h, 3/4, of template ingest: STUCK, …".
func (w *workflow) headline(now time.Time) string {
	s := fmt.Sprintf("%s/%s: %s", oneLine(w.Metadata.Namespace, 63), oneLine(w.Metadata.Name, 120), oneLine(cmp.Or(w.Status.Phase, "not begun"), 20))
	switch {
	case w.finished() && w.Status.FinishedAt != nil:
		s += " " + ago(now, w.Status.FinishedAt.Time)
	case w.Status.StartedAt != nil:
		s += " since " + ago(now, w.Status.StartedAt.Time)
	default:
		s += ", created " + ago(now, w.Metadata.CreationTimestamp.Time)
	}
	if w.Status.Progress != "" {
		s += ", steps " + oneLine(w.Status.Progress, 20)
	}
	if ref := w.Spec.TemplateRef; ref != nil {
		s += ", template " + oneLine(ref.Name, 80)
	}
	if cron := w.Metadata.Labels["workflows.argoproj.io/cron-workflow"]; cron != "" {
		s += ", cron " + oneLine(cron, 80)
	}
	if why := w.stuck(now); why != "" {
		s += "; stuck: " + why
	}
	if why := w.suspended(); why != "" && !w.finished() {
		s += "; not stuck: " + why
	}
	return s
}

// why is the failing or waiting steps, at most n of each.
func (w *workflow) why(now time.Time, n int) []string {
	var lines []string
	if w.Status.Message != "" {
		lines = append(lines, "message: "+oneLine(w.Status.Message, messageLimit))
	}
	bad := w.failed()
	if !w.finished() {
		bad = append(bad, w.nodes(func(n *workflowNode) bool { return n.Type == "Pod" && n.Phase == "Pending" })...)
	}
	for _, node := range bad[:min(len(bad), n)] {
		lines = append(lines, node.line(now))
	}
	if more := len(bad) - n; more > 0 {
		lines = append(lines, fmt.Sprintf("%s more like this", plural(more, "step")))
	}
	if w.Hidden != "" {
		lines = append(lines, w.Hidden)
	}
	return lines
}

func (n *workflowNode) line(now time.Time) string {
	s := fmt.Sprintf("step %s (%s) %s", oneLine(n.Name, 100), oneLine(n.Type, 20), oneLine(n.Phase, 20))
	switch {
	case n.FinishedAt != nil && !n.FinishedAt.IsZero():
		s += " " + ago(now, n.FinishedAt.Time)
	case n.StartedAt != nil:
		s += " since " + ago(now, n.StartedAt.Time)
	}
	if n.Message != "" {
		s += ": " + oneLine(n.Message, messageLimit)
	}
	return s
}

// writeWorkflow tells all of one: what failed first, then every step.
func writeWorkflow(out *page, c *Cluster, w *workflow, now time.Time) {
	out.say("%s (%s) at %s UTC.", c.Name, orUnknown(c.Env), now.UTC().Format("2006-01-02 15:04:05"))
	out.quote(w.headline(now))
	out.quote(w.why(now, 5)...)
	if notes := w.obstacles(); len(notes) > 0 {
		out.quote("clear_stuck_workflow would refuse it: " + strings.Join(notes, "; "))
	}
	all := w.nodes(func(n *workflowNode) bool { return n.Type == "Pod" || n.Type == "Suspend" })
	for i, n := range all {
		if !out.quote(n.line(now)) {
			out.say("[%d more steps, the latest, are left out; kube_get with kind workflows.argoproj.io shows them]", len(all)-i)
			return
		}
	}
}

// obstacles are what keeps a machine from ending the workflow: something else
// would happen than its end.
func (w *workflow) obstacles() []string {
	var notes []string
	stored := w.Status.Stored
	if len(w.Spec.Claims) > 0 || (stored != nil && len(stored.Claims) > 0) {
		notes = append(notes, "it has volumes of its own (volumeClaimTemplates), which go when it ends")
	}
	if w.Spec.OnExit != "" || (stored != nil && stored.OnExit != "") {
		notes = append(notes, "it has an exit handler (onExit), which would run")
	}
	if len(w.Spec.Hooks) > 0 || (stored != nil && len(stored.Hooks) > 0) {
		notes = append(notes, "it has hooks, which would run")
	}
	return notes
}
