package tools

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"
)

// Bounds of signoz_logs.
const (
	signozTokens  = 3500
	logsRead      = 500
	logsReadMost  = 2000
	logSeverities = 8 // of the counts
)

type signozLogsArgs struct {
	Service  string `json:"service,omitempty" jsonschema:"service.name, or namespace/service"`
	Severity string `json:"severity,omitempty" jsonschema:"enum=debug,enum=info,enum=warn,enum=error,enum=fatal" jsonschema_description:"this severity and worse; all if not given"`
	Contains string `json:"contains,omitempty" jsonschema:"a text that the line must contain, ignoring case"`
	Cluster  string `json:"cluster,omitempty" jsonschema:"configured name or alias, or k8s.cluster.name; all if not given"`
	Limit    int    `json:"limit,omitempty" jsonschema:"how many of the latest lines are read, 500 if not given, at most 2000"`
	PeriodArgs
}

func signozLogs(c *SigNozClient, d Deliveries) server.ServerTool {
	return tool("signoz_logs",
		"What services logged, from SigNoz: how many lines by severity, then the latest lines as templates with counts, most alarming first, each with an example and a trace. "+
			"Use it for pods that are gone, for several services or clusters at once, and for a time that is over; for a pod that exists kube_logs is fresher. The last hour if nothing else is asked.",
		readOnly,
		func(ctx context.Context, in signozLogsArgs) (string, error) {
			if c == nil {
				return "", errNoSigNoz
			}
			s, err := in.scope(ctx, d, time.Hour, 30*time.Minute)
			if err != nil {
				return "", err
			}
			in.Service, in.Cluster = s.subjectOf(in.Service, in.Cluster)
			in.Limit = limited(in.Limit, logsRead, logsReadMost)
			found, err := c.logs(ctx, in, s.period)
			if err != nil {
				return "", err
			}
			return found.show(in, s), nil
		})
}

// foundLogs are the lines of a period and how many there are.
type foundLogs struct {
	lines  []logLine
	traces map[string]string // by template: the trace of its latest line
	counts []tableRow        // by severity
}

// severities are the conditions for "this severity and worse". What sends no
// number sends a word, in one case or another.
var severities = map[string]struct {
	number int
	words  []string
}{
	"debug": {5, []string{"debug", "info", "information", "notice", "warn", "warning", "error", "err", "fatal", "critical", "panic"}},
	"info":  {9, []string{"info", "information", "notice", "warn", "warning", "error", "err", "fatal", "critical", "panic"}},
	"warn":  {13, []string{"warn", "warning", "error", "err", "fatal", "critical", "panic"}},
	"error": {17, []string{"error", "err", "fatal", "critical", "panic"}},
	"fatal": {21, []string{"fatal", "critical", "panic"}},
}

// atLeast adds the condition for a severity; "" is every one.
func (f filter) atLeast(severity string) filter {
	s, ok := severities[severity]
	if !ok {
		return f
	}
	var words []string
	for _, w := range s.words {
		words = append(words, w, strings.ToUpper(w), strings.ToUpper(w[:1])+w[1:])
	}
	return append(f, fmt.Sprintf("(severity_number >= %d OR %s)", s.number, filter{}.is("severity_text", words...)[0]))
}

func (c *SigNozClient) logs(ctx context.Context, in signozLogsArgs, p period) (foundLogs, error) {
	where := c.about(in.Service, in.Cluster).atLeast(in.Severity).contains("body", in.Contains).expression()
	lines, err := c.ask(ctx, "read logs", "raw", p, query{Name: "A", Signal: "logs", Filter: where, Limit: in.Limit, Order: newest("timestamp")})
	if err != nil {
		return foundLogs{}, err
	}
	found := foundLogs{traces: map[string]string{}}
	rows := lines["A"].Rows
	slices.SortStableFunc(rows, func(a, b row) int { return a.Timestamp.Compare(b.Timestamp) })
	for i, r := range rows {
		l := logLine{pod: oneLine(r.text("k8s.pod.name", "host.name"), 120), at: r.Timestamp.UTC(), text: printable(head(r.text("body"), maxLineBytes)), order: i}
		found.lines = append(found.lines, l)
		if id := r.text("trace_id"); traceID.MatchString(id) {
			found.traces[template(l.text)] = id
		}
	}
	if len(rows) < in.Limit { // all were read
		found.counts = countSeverities(rows)
		return found, nil
	}
	counts, err := c.ask(ctx, "count logs", "scalar", p, query{
		Name: "A", Signal: "logs", Filter: where, Aggregations: computed("count()"),
		GroupBy: fields("severity_text"), Order: newest("count()"), Limit: logSeverities,
	})
	if err != nil {
		return foundLogs{}, err
	}
	found.counts = counts["A"].table()
	return found, nil
}

func countSeverities(rows []row) []tableRow {
	n := map[string]float64{}
	for _, r := range rows {
		n[r.text("severity_text")]++
	}
	var out []tableRow
	for word, count := range n {
		out = append(out, tableRow{map[string]string{"severity_text": word}, []float64{count}})
	}
	slices.SortFunc(out, func(a, b tableRow) int {
		return cmp.Or(cmp.Compare(b.value(0), a.value(0)), strings.Compare(a.groups["severity_text"], b.groups["severity_text"]))
	})
	return out[:min(len(out), logSeverities)]
}

// show writes the counts, then the templates.
func (found foundLogs) show(in signozLogsArgs, s scope) string {
	out := newPage(signozTokens)
	total := 0.0
	var parts []string
	for _, t := range found.counts {
		total += t.value(0)
		parts = append(parts, amount(t.value(0))+" "+oneLine(orElse(t.groups["severity_text"], "without severity"), 30))
	}
	out.say("SigNoz logs%s, %s: %s lines.", naming(in.Service, in.Cluster), s.period, amount(total))
	if len(found.lines) == 0 {
		out.say("Nothing matches. Is the service name the one in SigNoz? signoz_logs with contains and without service, or kube_logs, may know more.")
		return out.String()
	}
	out.quote("by severity: " + strings.Join(parts, ", "))
	if len(found.lines) >= in.Limit {
		out.say("Templates of the latest %d lines, since %s; for older ones set until to that.", len(found.lines), stamp(found.lines[0].at))
	}
	found.writeTemplates(out)
	return out.String()
}

func (found foundLogs) writeTemplates(out *page) {
	t := templates{}
	for _, l := range found.lines {
		t.add(l)
	}
	list := t.list(func(*templateCount) bool { return true })
	slices.SortStableFunc(list, func(a, b *templateCount) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.Count, a.Count))
	})
	for i, c := range list {
		line := fmt.Sprintf("%d× %s–%s", c.Count, strings.TrimSpace(stampOf(c.First)), stampOf(c.Last))
		if c.Pods > 1 {
			line += fmt.Sprintf("(%d pods) ", c.Pods)
		}
		line += withoutPeople(c.Example, 300)
		if id := found.traces[c.Template]; id != "" {
			line += " [trace " + id + "]"
		}
		if !out.quote(line) {
			out.say("[%s left out; use contains, severity or a shorter window]", plural(len(list)-i, "more template"))
			return
		}
	}
}

// naming reads " of cart in platform-prod".
func naming(service, cluster string) string {
	s := ""
	if service != "" {
		s = " of " + oneLine(service, 120)
	}
	if cluster != "" {
		s += " in " + oneLine(cluster, 120)
	}
	return s
}
