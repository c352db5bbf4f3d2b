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
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"watchkeeper/runbook"
)

// Bounds of kube_logs.
const (
	maxLogPods  = 12
	maxLogTail  = 2000
	grepTail    = 20000 // lines that a grep looks through in each container
	logLineShow = 500   // characters of a line that are shown
)

type logsArgs struct {
	Cluster   string `json:"cluster" jsonschema:"configured name or alias of the cluster"`
	Namespace string `json:"namespace" jsonschema:"namespace of the pods"`
	Name      string `json:"name" jsonschema:"name of a pod, or of a workload (Deployment, StatefulSet, Job …) for all its pods"`
	Container string `json:"container,omitempty" jsonschema:"only this container; without it all but the proxies of a mesh"`
	Tail      int64  `json:"tail,omitempty" jsonschema:"lines from the end of each container, 200 if not given, at most 2000"`
	Since     string `json:"since,omitempty" jsonschema:"how far to look back: 15m, 2h, 1d; 1h if not given, 1d for the previous container"`
	Grep      string `json:"grep,omitempty" jsonschema:"regular expression (RE2) that lines must match; (?i) ignores case"`
	Previous  bool   `json:"previous,omitempty" jsonschema:"the container before the last restart, which tells why it crashed"`
	View      string `json:"view,omitempty" jsonschema:"enum=lines,enum=templates" jsonschema_description:"templates (default) groups lines that differ only in numbers, with counts; lines shows them one by one"`
}

func kubeLogs(clusters *Clusters) server.ServerTool {
	return tool("kube_logs",
		"Read the logs of a pod or of all pods of a workload, as templates with counts (most alarming first) or line by line. "+
			"kube_problems already shows the decisive lines; use this to see more of them, to search with grep, or to look at the time before a crash (previous).",
		readOnly,
		func(ctx context.Context, in logsArgs) (string, error) {
			c, err := clusters.Get(in.Cluster)
			if err != nil {
				return "", err
			}
			in.Name = withoutKind(in.Name)
			q, err := in.query()
			if err != nil {
				return "", err
			}
			logs, err := c.readLogs(ctx, in, q)
			if err != nil {
				return "", err
			}
			if in.View == "lines" {
				return logs.showLines(), nil
			}
			return logs.showTemplates(), nil
		})
}

// query checks the arguments and returns what to read of each container.
func (in logsArgs) query() (logSource, error) {
	src := logSource{namespace: in.Namespace, previous: in.Previous, tail: min(max(cmp.Or(in.Tail, 200), 1), maxLogTail)}
	errs := []error{checkNames(in.Namespace, in.Name, in.Container)}
	otherwise := time.Hour
	if in.Previous {
		otherwise = 24 * time.Hour
	}
	var err error
	src.since, err = window(in.Since, otherwise)
	errs = append(errs, err)
	if in.Grep != "" {
		src.tail = grepTail
		if src.grep, err = regexp.Compile(head(in.Grep, 500)); err != nil {
			errs = append(errs, fmt.Errorf("grep is not a regular expression: %w", err))
		}
	}
	return src, errors.Join(errs...)
}

// A logView is what was read, ready to be shown.
type logView struct {
	heading   string
	lines     []logLine // the latest, up to tail of each container, by time
	templates templates
	total     int
	gaps      []string
}

// readLogs reads the containers concurrently.
func (c *Cluster) readLogs(ctx context.Context, in logsArgs, q logSource) (*logView, error) {
	cl, err := c.clients()
	if err != nil {
		return nil, err
	}
	pods, err := cl.podsOf(ctx, in.Namespace, in.Name)
	if err != nil {
		return nil, c.explain("find pods of "+in.Name, err)
	}
	if len(pods) == 0 {
		return nil, fmt.Errorf("no pod or workload %s in namespace %s of %s; kube_get lists the pods", in.Name, in.Namespace, c.Name)
	}
	sources, skipped := logSources(pods, in.Container, q)
	if len(sources) == 0 {
		return nil, fmt.Errorf("no container %q; %s has %s", in.Container, pods[0].Name, strings.Join(containerNames(&pods[0]), ", "))
	}
	v := &logView{heading: fmt.Sprintf("%s (%s): log of %s/%s, %s, last %s", c.Name, orUnknown(c.Env), in.Namespace, in.Name,
		plural(len(sources), "container"), runbook.Short(q.since)), templates: templates{}, gaps: skipped}
	keep := int(min(max(cmp.Or(in.Tail, 200), 1), maxLogTail))
	v.read(ctx, cl, sources, keep)
	if in.Previous {
		v.heading += ", before the last restart"
	}
	if in.Grep != "" {
		v.heading += fmt.Sprintf(", lines matching %q", clean(in.Grep, 200))
	}
	return v, nil
}

// read fills v from all sources.
func (v *logView) read(ctx context.Context, cl *clients, sources []logSource, keep int) {
	results := make([][]logLine, len(sources))
	errs := make([]error, len(sources))
	var g errgroup.Group
	g.SetLimit(gatherConcurrent)
	for i, src := range sources {
		g.Go(func() error {
			errs[i] = cl.readLog(ctx, src, func(l logLine) {
				if results[i] = append(results[i], l); len(results[i]) > 2*keep {
					results[i] = append(results[i][:0], results[i][len(results[i])-keep:]...)
				}
			})
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs
	for i, lines := range results {
		v.lines = append(v.lines, lines[max(0, len(lines)-keep):]...)
		if errs[i] != nil {
			v.gaps = append(v.gaps, fmt.Sprintf("%s/%s: %s", sources[i].pod, sources[i].container, oneLine(errs[i].Error(), 160)))
		}
	}
	slices.SortStableFunc(v.lines, func(a, b logLine) int { return a.at.Compare(b.at) })
	for i := range v.lines {
		v.lines[i].order = i
		v.templates.add(v.lines[i])
	}
	v.total = len(v.lines)
}

// podsOf returns the pod of that name, or the pods that a workload of that
// name owns, newest first.
func (cl *clients) podsOf(ctx context.Context, namespace, name string) ([]corev1.Pod, error) {
	api := cl.kube.CoreV1().Pods(namespace)
	pod, err := api.Get(ctx, name, metav1.GetOptions{})
	if err == nil {
		return []corev1.Pod{*pod}, nil
	}
	if !apierrors.IsNotFound(err) {
		return nil, err
	}
	var pods []corev1.Pod
	err = pages(metav1.ListOptions{}, func(o metav1.ListOptions) (metav1.ListInterface, error) {
		list, err := api.List(ctx, o)
		if err != nil {
			return nil, err
		}
		for i := range list.Items {
			if p := &list.Items[i]; matches(p, ownerOf(p), name) == 2 {
				pods = append(pods, *p)
			}
		}
		return list, nil
	})
	slices.SortFunc(pods, func(a, b corev1.Pod) int { return b.CreationTimestamp.Compare(a.CreationTimestamp.Time) })
	return pods, err
}

// logSources lists the containers to read, and says what it left out.
func logSources(pods []corev1.Pod, container string, q logSource) (sources []logSource, skipped []string) {
	for i, p := range pods {
		if i == maxLogPods {
			skipped = append(skipped, fmt.Sprintf("%d more pods, older ones; name one to read it", len(pods)-i))
			break
		}
		for _, name := range containerNames(&p) {
			if name == container || (container == "" && !sidecar(name)) {
				src := q
				src.pod, src.container = p.Name, name
				sources = append(sources, src)
			}
		}
	}
	return sources, skipped
}

func containerNames(p *corev1.Pod) []string {
	var names []string
	for _, s := range p.Status.InitContainerStatuses {
		if t := s.State.Terminated; t == nil || t.ExitCode != 0 { // the finished ones are history
			names = append(names, s.Name)
		}
	}
	for _, c := range p.Spec.Containers {
		names = append(names, c.Name)
	}
	return names
}

// showLines writes the latest lines that fit, oldest of them first.
func (v *logView) showLines() string {
	out := v.page()
	var shown []string
	size, from := 0, len(v.lines)
	for from > 0 {
		l := v.lines[from-1]
		text := stampOf(l.at) + v.where(l) + clean(l.text, logLineShow)
		if l.cut > 0 {
			text += fmt.Sprintf("…(+%d bytes)", l.cut)
		}
		if size += len(text) + 3; size > out.left {
			break
		}
		from--
		shown = append(shown, text)
	}
	slices.Reverse(shown)
	if from > 0 {
		out.say("[%s before these left out; use grep, view=templates or a smaller tail]", plural(from, "line"))
	}
	out.quote(shown...)
	return out.String()
}

// showTemplates writes the most alarming shapes first, then the most frequent.
func (v *logView) showTemplates() string {
	out := v.page()
	list := v.templates.list(func(*templateCount) bool { return true })
	slices.SortStableFunc(list, func(a, b *templateCount) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.Count, a.Count))
	})
	for i, c := range list {
		line := fmt.Sprintf("%d× %s–%s", c.Count, strings.TrimSpace(stampOf(c.First)), stampOf(c.Last))
		if c.Pods > 1 {
			line += fmt.Sprintf("(%d pods) ", c.Pods)
		}
		if !out.quote(line + clean(c.Example, logLineShow)) {
			out.say("[%s left out; use grep]", plural(len(list)-i, "more template"))
			break
		}
	}
	return out.String()
}

// page begins the output.
func (v *logView) page() *page {
	out := newPage(maxTokens)
	out.say("%s: %s", v.heading, plural(v.total, "line"))
	if len(v.gaps) > 0 {
		out.quote("not read: " + strings.Join(v.gaps, "; "))
	}
	return out
}

// where names the pod of a line if there are several.
func (v *logView) where(l logLine) string {
	for _, other := range v.lines {
		if other.pod != l.pod {
			return "[" + l.pod + "] "
		}
	}
	return ""
}

func stampOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("15:04:05") + " "
}
