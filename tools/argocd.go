package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// commit matches a full Git hash.
var commit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// What an answer about Argo CD shows at most.
const (
	argoTokens   = 3000
	appHistory   = 5
	appResources = 25
)

// Argo returns the tools that read Argo CD and Argo Workflows: argocd_apps and
// argo_workflows.
func Argo(clusters *Clusters) []server.ServerTool {
	return []server.ServerTool{argocdApps(clusters), argoWorkflows(clusters)}
}

type appsArgs struct {
	Cluster   string `json:"cluster" jsonschema:"configured name or alias of the cluster that Argo CD runs in"`
	Name      string `json:"name,omitempty" jsonschema:"of one Application; without it those that are not healthy and synced"`
	Namespace string `json:"namespace,omitempty" jsonschema:"where the Application object lives, often argocd; all if not given"`
}

func argocdApps(clusters *Clusters) server.ServerTool {
	return tool("argocd_apps",
		"What Argo CD says: without name the applications that are not healthy and synced, worst first; with name one in full: sync, health, conditions, last operation, "+
			"last revisions with times, drifted resources, whether it syncs and prunes by itself. Use it when a release, a drift or a failed sync may be the cause; for the pods themselves use kube_problems.",
		readOnly,
		func(ctx context.Context, in appsArgs) (string, error) {
			c, err := clusters.Get(in.Cluster)
			if err != nil {
				return "", err
			}
			if err := checkNames(in.Namespace, in.Name); err != nil {
				return "", err
			}
			apps, gaps, err := c.applications(ctx, in.Namespace, in.Name)
			if err != nil {
				return "", err
			}
			out := newPage(argoTokens)
			if in.Name != "" {
				if len(apps)+len(gaps) == 0 {
					return "", fmt.Errorf("%s has no application %s%s; argocd_apps without name lists those that need attention", c.Name, in.Name, within(in.Namespace))
				}
				for _, a := range apps {
					writeApplication(out, c, a, time.Now())
				}
			} else {
				writeApplications(out, c, apps, in.Namespace, time.Now())
			}
			for _, g := range gaps {
				out.quote("not known: " + g)
			}
			return out.String(), nil
		})
}

// within reads " in namespace argocd", or "" for all of them.
func within(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " in namespace " + namespace
}

// explainArgo says what a missing definition means.
func (c *Cluster) explainArgo(what, doing string, err error) error {
	if meta.IsNoMatchError(err) || (apierrors.IsNotFound(err) && !hasName(err)) {
		return unasked{fmt.Errorf("%s is not installed in %s; it may run in another cluster", what, c.Name)}
	}
	return c.explain(doing, err)
}

// hasName reports whether a 404 is about one object, and not about its kind.
func hasName(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	return status.Status().Details.Name != ""
}

// writeApplications lists what needs attention, worst first.
func writeApplications(out *page, c *Cluster, apps []*application, namespace string, now time.Time) {
	bad := slices.DeleteFunc(slices.Clone(apps), func(a *application) bool { return a.rank() == 0 })
	slices.SortStableFunc(bad, func(a, b *application) int {
		return cmp.Or(cmp.Compare(b.rank(), a.rank()), strings.Compare(a.Metadata.Name, b.Metadata.Name))
	})
	out.say("%s (%s) at %s UTC%s: %s, %d healthy and synced.", c.Name, orUnknown(c.Env), now.UTC().Format("2006-01-02 15:04:05"),
		within(namespace), plural(len(apps), "application"), len(apps)-len(bad))
	for i, a := range bad {
		lines := append([]string{a.headline()}, indent(a.brief(now))...)
		if !out.quote(lines...) {
			out.say("[%d more need attention; give namespace, or name one: %s]", len(bad)-i, names(bad[i:], 20))
			return
		}
	}
}

func names(apps []*application, most int) string {
	var all []string
	for _, a := range apps[:min(len(apps), most)] {
		all = append(all, oneLine(a.Metadata.Name, 80))
	}
	return strings.Join(all, ", ")
}

func indent(lines []string) []string {
	for i, l := range lines {
		lines[i] = "  " + l
	}
	return lines
}

// headline reads "argocd/cart: Synced, Degraded; automated with prune, self-heal".
func (a *application) headline() string {
	s := fmt.Sprintf("%s/%s: sync %s, health %s", oneLine(a.Metadata.Namespace, 63), oneLine(a.Metadata.Name, 120),
		oneLine(cmp.Or(a.Status.Sync.Status, "not known"), 40), oneLine(cmp.Or(a.Status.Health.Status, "not known"), 40))
	if a.Metadata.DeletionTimestamp != nil {
		s += ", BEING DELETED with what it deployed"
	}
	return s + "; " + a.syncs()
}

// syncs says what Argo CD does by itself.
func (a *application) syncs() string {
	yes, prune, heal := a.automated()
	switch {
	case !yes:
		return "syncs by hand"
	case prune && heal:
		return "syncs by itself, prunes, self-heals"
	case prune:
		return "syncs by itself, prunes"
	case heal:
		return "syncs by itself, self-heals"
	}
	return "syncs by itself"
}

// brief is what is wrong, in a few lines.
func (a *application) brief(now time.Time) []string {
	var lines []string
	if m := a.Status.Health.Message; m != "" {
		lines = append(lines, "health: "+oneLine(m, messageLimit))
	}
	for _, n := range a.Status.Conditions[:min(len(a.Status.Conditions), 3)] {
		lines = append(lines, noteLine(n, now))
	}
	if op := a.Status.Operation; op != nil && op.Phase != "Succeeded" {
		lines = append(lines, op.line(now))
	}
	if n := len(a.Status.History); n > 0 {
		lines = append(lines, "last deployed "+a.Status.History[n-1].deployed(now))
	}
	drifted := a.drifted()
	for _, r := range drifted[:min(len(drifted), 3)] {
		lines = append(lines, r.line())
	}
	if n := len(drifted) - 3; n > 0 {
		lines = append(lines, fmt.Sprintf("%s more; argocd_apps with name lists them", plural(n, "resource")))
	}
	return lines
}

// writeApplication tells all of one.
func writeApplication(out *page, c *Cluster, a *application, now time.Time) {
	out.say("%s (%s) at %s UTC.", c.Name, orUnknown(c.Env), now.UTC().Format("2006-01-02 15:04:05"))
	out.quote(a.headline())
	out.quote(a.sources()...)
	if m := a.Status.Health.Message; m != "" {
		out.quote("health: " + oneLine(m, messageLimit))
	}
	for _, n := range a.Status.Conditions {
		out.quote(noteLine(n, now))
	}
	if op := a.Status.Operation; op != nil {
		out.quote(op.line(now))
	}
	if len(a.Operation) > 0 {
		out.quote("an operation was asked for and has not started")
	}
	if t := a.Status.ReconciledAt; t != nil {
		out.quote("compared with Git " + ago(now, t.Time))
	}
	if kind := a.Metadata.Annotations[refreshKey]; kind != "" {
		out.quote("a refresh (" + oneLine(kind, 20) + ") was asked for and is not done")
	}
	history := a.Status.History
	for i := range min(len(history), appHistory) {
		out.quote("deployed " + history[len(history)-1-i].deployed(now))
	}
	writeDrifted(out, a)
}

func writeDrifted(out *page, a *application) {
	drifted := a.drifted()
	out.quote(fmt.Sprintf("%s, %d drifted or not well", plural(len(a.Status.Resources), "resource"), len(drifted)))
	for i, r := range drifted {
		if i == appResources || !out.quote(r.line()) {
			out.say("[%d more; kube_get with kind applications.argoproj.io shows them]", len(drifted)-i)
			return
		}
	}
}

// sources says what is deployed from where to where.
func (a *application) sources() []string {
	all := a.Spec.Sources
	if a.Spec.Source != nil {
		all = append([]appSource{*a.Spec.Source}, all...)
	}
	var lines []string
	for _, s := range all {
		lines = append(lines, fmt.Sprintf("source %s %s at %s", oneLine(s.RepoURL, 160), oneLine(cmp.Or(s.Path, s.Chart, "."), 120), oneLine(cmp.Or(s.TargetRevision, "HEAD"), 80)))
	}
	if d := a.Spec.Destination; d != nil {
		lines = append(lines, fmt.Sprintf("destination %s, namespace %s", oneLine(cmp.Or(d.Name, d.Server), 120), oneLine(cmp.Or(d.Namespace, "of each resource"), 63)))
	}
	return append(lines, "compared revision "+a.Status.Sync.text())
}

func noteLine(n appNote, now time.Time) string {
	return fmt.Sprintf("condition %s%s: %s", oneLine(n.Type, 60), since(n.At, now), oneLine(n.Message, messageLimit))
}

// since reads ", 5 min ago", or "" if t is not known.
func since(t *metav1.Time, now time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return ", " + ago(now, t.Time)
}

func (op *appOperation) line(now time.Time) string {
	at := op.FinishedAt
	word := "ended"
	if at == nil || at.IsZero() {
		at, word = op.StartedAt, "began"
	}
	s := fmt.Sprintf("operation %s", oneLine(op.Phase, 40))
	if at != nil {
		s += ", " + word + " " + ago(now, at.Time)
	}
	if op.RetryCount > 0 {
		s += ", retried " + fmt.Sprint(op.RetryCount) + "×"
	}
	return s + ": " + oneLine(op.Message, messageLimit)
}

// deployed reads "9f3c2d1e8b7a 12 min ago".
func (r appRevision) deployed(now time.Time) string {
	s := r.text()
	if r.DeployedAt != nil {
		s += fmt.Sprintf(" %s (%s)", ago(now, r.DeployedAt.Time), stamp(r.DeployedAt.Time))
	}
	return s
}

func (r appResource) line() string {
	s := fmt.Sprintf("%s %s: %s", oneLine(r.Kind, 60), oneLine(strings.TrimPrefix(r.Namespace+"/"+r.Name, "/"), 160), oneLine(cmp.Or(r.Status, "no sync status"), 40))
	if r.Health != nil && r.Health.Status != "" {
		s += ", " + oneLine(r.Health.Status, 40)
	}
	if r.Prune {
		s += ", would be pruned"
	}
	if r.Health != nil && r.Health.Message != "" {
		s += ": " + oneLine(r.Health.Message, messageLimit)
	}
	return s
}
