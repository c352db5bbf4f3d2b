package tools

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/runbook"
)

// Token bounds of an explanation.
const (
	serviceTokens = 1500
	clusterTokens = 2000
)

type problemsArgs struct {
	Cluster   string `json:"cluster" jsonschema:"configured name or alias of the cluster"`
	Namespace string `json:"namespace,omitempty" jsonschema:"only this namespace"`
	Service   string `json:"service,omitempty" jsonschema:"only this workload or app label; says whether it recovered"`
}

func kubeProblems(clusters *Clusters) server.ServerTool {
	return tool("kube_problems",
		"What is wrong in a cluster, a namespace or one service, worst first, in one call: crash loops, image pulls, "+
			"scheduling, OOM kills, stalled rollouts, nodes, failed jobs, with exit codes, image changes, events and the decisive log lines. "+
			"With service: also whether it recovered and since when. Use it first; use kube_logs, kube_events or kube_get only for what it leaves open.",
		readOnly|alwaysLoad,
		func(ctx context.Context, in problemsArgs) (string, error) {
			c, err := clusters.Get(in.Cluster)
			if err != nil {
				return "", err
			}
			p, err := c.Problems(ctx, ProblemsQuery{Namespace: in.Namespace, Service: in.Service})
			if err != nil {
				return "", err
			}
			return p.String(), nil
		})
}

// String renders the problems for the session: at most 1,500 tokens for a
// service, 2,000 for more.
func (p Problems) String() string {
	tokens := clusterTokens
	if p.Service != "" {
		tokens = serviceTokens
	}
	out := newPage(tokens)
	out.say("%s", p.headline())
	p.writeHealth(out)
	shown := p.writeProblems(out)
	p.writeRest(out, shown)
	p.writeWarnings(out)
	if len(p.Gaps) > 0 {
		out.quote("not known: " + strings.Join(p.Gaps, "; "))
	}
	if rest := len(p.Problems) - shown; rest > 0 {
		out.say("%s only listed; kube_problems with namespace or service explains more.", plural(rest, "problem"))
	}
	return out.String()
}

// headline is what a reader in a hurry needs.
func (p Problems) headline() string {
	scope := fmt.Sprintf("%s (%s)", p.Cluster, p.Env)
	if p.Namespace != "" {
		scope += ", namespace " + p.Namespace
	}
	what := plural(len(p.Problems), "problem")
	switch {
	case p.Service != "" && !p.Health.Found():
		what = "no workload has this name"
	case p.Healthy():
		what = "healthy now"
	case len(p.Problems) == 0:
		what = "nothing is wrong"
	}
	if p.Health.Found() && !p.Health.Exact {
		what += "; no workload has exactly this name, these have it as a part"
	}
	if p.Service != "" {
		scope += ", service " + oneLine(p.Service, 80)
	} else {
		what += fmt.Sprintf("; %d of %d pods ready, %d of %d nodes ready", p.Ready, p.Pods, p.NodesReady, p.Nodes)
	}
	if p.OldFailures > 0 {
		what += fmt.Sprintf(", %s left over from failures more than a day ago", plural(p.OldFailures, "pod"))
	}
	return fmt.Sprintf("%s at %s UTC: %s.", scope, p.At.Format("2006-01-02 15:04:05"), what)
}

// writeHealth says how the service is, first of all whether it recovered.
func (p Problems) writeHealth(out *page) {
	h := p.Health
	if h == nil {
		return
	}
	if !h.Found() {
		if len(h.Nearest) > 0 {
			out.quote("similar names: " + strings.Join(h.Nearest, ", "))
		}
		return
	}
	lines := []string{fmt.Sprintf("%s: %d of %d pods ready, %s", strings.Join(h.Workloads, ", "), h.Ready, h.Pods, plural(h.Restarts, "restart"))}
	switch {
	case p.Healthy() && h.Last != nil && h.Last.ExitCode != 0 && p.At.Sub(h.Last.At) < runbook.Day:
		lines = append(lines, fmt.Sprintf("recovered: all pods ready since %s; last termination %s, %s, in %s/%s",
			ago(p.At, h.Since), ago(p.At, h.Last.At), *h.Last, h.Last.Pod, h.Last.Container))
	case p.Healthy():
		lines = append(lines, "healthy since "+ago(p.At, h.Since))
	}
	if h.Image != nil && len(p.Problems) == 0 {
		lines = append(lines, h.Image.line(p.At))
	}
	if len(h.LogErrors) > 0 {
		lines = append(lines, "errors in the log of the last 30 min, "+h.LogFrom+" and its siblings:")
		for _, l := range h.LogErrors {
			lines = append(lines, "  "+l)
		}
	}
	out.quote(lines...)
}

// writeProblems explains as many as fit beside a list of the rest, and returns
// how many.
func (p Problems) writeProblems(out *page) int {
	spare := 0
	if len(p.Problems) > closerOwners {
		spare = out.left / 3
	}
	out.left -= spare
	defer func() { out.left += spare }()
	for i, problem := range p.Problems {
		// What was not looked at more closely has little to explain.
		if i >= closerOwners || !out.quote(problem.lines(i+1, p.At)...) {
			return i
		}
	}
	return len(p.Problems)
}

// lines explains one problem.
func (p Problem) lines(n int, now time.Time) []string {
	lines := []string{fmt.Sprintf("%d. %s: %s", n, p.Owner(), p.summary(now))}
	add := func(format string, args ...any) { lines = append(lines, "   "+fmt.Sprintf(format, args...)) }
	if p.Message != "" {
		add("%s", p.Message)
	}
	if p.Image != nil {
		add("%s", p.Image.line(now))
	}
	for _, note := range p.Notes {
		add("%s", note)
	}
	for _, e := range p.Events[:min(len(p.Events), 2)] {
		if e.Reason != "BackOff" && !strings.Contains(p.Message, e.Message) {
			add("event %s", e.line(now))
		}
	}
	if len(p.Log) > 0 {
		add("log of %s:", p.LogFrom)
		for _, l := range p.Log {
			add("  %s", l)
		}
	}
	return lines
}

// summary is reason, numbers and times on one line.
func (p Problem) summary(now time.Time) string {
	parts := []string{p.Reason}
	if p.Total > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d pods ready", p.Ready, p.Total))
	}
	if p.Last != nil && severity(p.Reason) != severity("Unschedulable") {
		parts = append(parts, p.Last.String()+" "+ago(now, p.Last.At))
	}
	if p.Restarts > 0 {
		parts = append(parts, plural(p.Restarts, "restart"))
	}
	if !p.Since.IsZero() {
		parts = append(parts, "since "+ago(now, p.Since))
	}
	if n := len(p.Affected); n > 0 {
		which := p.Affected[0]
		if n > 1 {
			which += fmt.Sprintf(" and %d more", n-1)
		}
		parts = append(parts, "pod "+which)
	}
	return strings.Join(parts, ", ")
}

// writeRest lists what was not explained, grouped by reason.
func (p Problems) writeRest(out *page, shown int) {
	byReason := map[string][]Problem{}
	for _, r := range p.Problems[shown:] {
		byReason[r.Reason] = append(byReason[r.Reason], r)
	}
	reasons := slices.SortedFunc(maps.Keys(byReason), func(a, b string) int {
		return cmp.Or(cmp.Compare(severity(b), severity(a)), strings.Compare(a, b))
	})
	for _, reason := range reasons {
		list := byReason[reason]
		pods := 0
		var names []string
		for _, r := range list {
			pods += len(r.Affected)
			if len(names) < 12 {
				names = append(names, strings.TrimPrefix(r.Namespace+"/"+r.Name, "/"))
			}
		}
		line := fmt.Sprintf("%s: %d more with %s: %s", reason, len(list), plural(pods, "pod"), strings.Join(names, ", "))
		if len(list) > len(names) {
			line += fmt.Sprintf(" and %d more", len(list)-len(names))
		}
		if list[0].Message != "" {
			line += "; the first: " + list[0].Message
		}
		out.quote(line)
	}
}

// writeWarnings shows what recovered and the warnings that no problem has.
func (p Problems) writeWarnings(out *page) {
	if p.Health == nil {
		for _, t := range p.Recovered[:min(len(p.Recovered), 3)] {
			out.quote(fmt.Sprintf("recovered: %s/%s ended with %s %s and is ready", t.Pod, t.Container, t, ago(p.At, t.At)))
		}
		if n := len(p.Recovered) - 3; n > 0 {
			out.quote(fmt.Sprintf("recovered: %d more", n))
		}
	}
	for i, w := range p.Warnings {
		if i == 4 {
			out.quote(fmt.Sprintf("%d more groups of warnings; kube_events lists them", len(p.Warnings)-i))
			return
		}
		out.quote("warning " + w.Owner() + ": " + w.line(p.At))
	}
}

// line reads `BackOff 42×, last 40 s ago: Back-off restarting…`.
func (g EventGroup) line(now time.Time) string {
	return fmt.Sprintf("%s %d×, last %s: %s", g.Reason, g.Count, ago(now, g.Last), g.Message)
}

// line reads "image cart:1 → cart:2, 12 min ago".
func (c ImageChange) line(now time.Time) string {
	after := c.After
	if i := strings.LastIndexByte(c.Before, ':'); i > 0 && strings.HasPrefix(after, c.Before[:i+1]) {
		after = after[i:]
	}
	line := fmt.Sprintf("image changed %s: %s → %s", ago(now, c.At), c.Before, after)
	if c.OldReady > 0 {
		line += fmt.Sprintf("; %s of the old image still ready", plural(c.OldReady, "pod"))
	}
	return line
}

// plural reads "1 pod" or "3 pods".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// ago reads "12 min ago"; the zero time is "unknown".
func ago(now, t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	d := max(now.Sub(t), 0)
	switch {
	case d < time.Minute:
		d = d.Truncate(10 * time.Second)
	case d < 2*time.Hour:
		d = d.Truncate(time.Minute)
	case d < 2*runbook.Day:
		d = d.Truncate(time.Hour)
	default:
		d = d.Truncate(runbook.Day)
	}
	return runbook.Short(d) + " ago"
}
