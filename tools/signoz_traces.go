package tools

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"
	"golang.org/x/sync/errgroup"
)

// Bounds of signoz_traces.
const (
	operationsAsked = 50
	operationsShown = 12
	spansShown      = 8 // of each kind: failing, slow
)

type signozTracesArgs struct {
	Service    string `json:"service,omitempty" jsonschema:"service.name, or namespace/service"`
	Cluster    string `json:"cluster,omitempty" jsonschema:"configured name or alias, or k8s.cluster.name; all if not given"`
	ErrorsOnly bool   `json:"errors_only,omitempty" jsonschema:"only spans with an error"`
	MinMS      int64  `json:"min_ms,omitempty" jsonschema:"only spans that took at least so many milliseconds"`
	PeriodArgs
}

func signozTraces(c *SigNozClient, d Deliveries) server.ServerTool {
	return tool("signoz_traces",
		"How a service answers, from its spans: requests, errors and p50/p99 in all and by operation, status codes, then failing and slow spans with their trace IDs. "+
			"Use it for latency and error alerts; then signoz_trace with an ID shows where the time goes. The last hour if nothing else is asked.",
		readOnly,
		func(ctx context.Context, in signozTracesArgs) (string, error) {
			if c == nil {
				return "", errNoSigNoz
			}
			s, err := in.scope(ctx, d, time.Hour, 30*time.Minute)
			if err != nil {
				return "", err
			}
			in.Service, in.Cluster = s.subjectOf(in.Service, in.Cluster)
			return c.traces(ctx, in, s)
		})
}

func (c *SigNozClient) traces(ctx context.Context, in signozTracesArgs, s scope) (string, error) {
	where := c.about(in.Service, in.Cluster)
	if in.ErrorsOnly {
		where = append(where, "has_error = true")
	}
	if in.MinMS > 0 {
		where = append(where, fmt.Sprintf("duration_nano >= %d", in.MinMS*int64(time.Millisecond)))
	}
	var sum traffic
	var spans map[string]result
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) { sum, err = c.traffic(gctx, where, s.period); return err })
	g.Go(func() (err error) { spans, err = c.spans(gctx, where, s.period); return err })
	if err := g.Wait(); err != nil {
		return "", err
	}
	out := newPage(signozTokens)
	out.say("SigNoz traces%s, %s: %s.", naming(in.Service, in.Cluster), s.period, sum.line())
	if sum.spans == 0 {
		out.say("Nothing matches. Is the service name the one in SigNoz, and does it send traces? Without cluster, more may match.")
		return out.String(), nil
	}
	sum.write(out)
	for _, k := range []struct{ name, words string }{{"failing", "Latest failing spans"}, {"slow", "Slowest spans"}} {
		writeSpans(out, k.words, spans[k.name].Rows)
	}
	out.say("signoz_trace with a trace ID shows a request from end to end.")
	return out.String(), nil
}

// traffic sums up the spans of a period. Requests are what entered the
// service; if no span says that it entered, all spans are counted.
type traffic struct {
	spans, requests, errors float64
	p50, p99                float64 // nanoseconds
	entered                 bool    // requests are entering spans
	operations              []operation
	codes                   []tableRow
	more                    bool // operations that were not asked for
}

// An operation is the spans of one name.
type operation struct {
	name                    string
	count, errors, p50, p99 float64
}

const (
	failing = "has_error = true"
	enters  = "kind_string IN ('Server', 'Consumer')"
)

// traffic asks for all sums at once.
func (c *SigNozClient) traffic(ctx context.Context, where filter, p period) (traffic, error) {
	stats := computed("count()", "p50(duration_nano)", "p99(duration_nano)")
	table := func(name, group string, extra ...string) query {
		q := query{
			Name: name, Signal: "traces", Filter: append(slices.Clone(where), extra...).expression(),
			Aggregations: stats, Order: newest("count()"), Limit: operationsAsked,
		}
		if group != "" {
			q.GroupBy = fields(group)
		}
		return q
	}
	res, err := c.ask(ctx, "sum up traces", "scalar", p,
		table("all", ""), table("all_bad", "", failing), table("in", "", enters), table("in_bad", "", enters, failing),
		table("ops", "name"), table("ops_bad", "name", failing), table("codes", "response_status_code", enters))
	if err != nil {
		return traffic{}, err
	}
	return sumUp(res), nil
}

func sumUp(res map[string]result) traffic {
	first := func(name string) tableRow {
		if rows := res[name].table(); len(rows) > 0 {
			return rows[0]
		}
		return tableRow{}
	}
	all, in := first("all"), first("in")
	t := traffic{
		spans: all.value(0), requests: all.value(0), errors: first("all_bad").value(0), p50: all.value(1), p99: all.value(2),
		codes: res["codes"].table(), more: len(res["ops"].table()) >= operationsAsked,
	}
	if in.value(0) > 0 {
		t.entered = true
		t.requests, t.errors, t.p50, t.p99 = in.value(0), first("in_bad").value(0), in.value(1), in.value(2)
	}
	t.operations = operations(res["ops"].table(), res["ops_bad"].table())
	return t
}

// operations joins the counts of all and of failing spans, most errors first.
func operations(all, bad []tableRow) []operation {
	byName := map[string]*operation{}
	for _, r := range all {
		byName[r.groups["name"]] = &operation{r.groups["name"], r.value(0), 0, r.value(1), r.value(2)}
	}
	for _, r := range bad {
		o := byName[r.groups["name"]]
		if o == nil {
			o = &operation{name: r.groups["name"], count: r.value(0), p50: r.value(1), p99: r.value(2)}
			byName[o.name] = o
		}
		o.errors = r.value(0)
	}
	var list []operation
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		list = append(list, *byName[name])
	}
	slices.SortStableFunc(list, func(a, b operation) int {
		return cmp.Or(cmp.Compare(b.errors, a.errors), cmp.Compare(b.p99*b.count, a.p99*a.count))
	})
	return list
}

// line reads "1200 requests, 36 failed (3 %), p50 20 ms, p99 900 ms".
func (t traffic) line() string {
	if t.spans == 0 {
		return "no spans"
	}
	what := "spans (none says that it entered the service)"
	if t.entered {
		what = "requests"
	}
	return fmt.Sprintf("%s %s, %s failed (%s), p50 %s, p99 %s", amount(t.requests), what, amount(t.errors), percent(t.errors, t.requests), nanos(t.p50), nanos(t.p99))
}

// write shows the operations and the status codes.
func (t traffic) write(out *page) {
	if codes := t.codeText(); codes != "" {
		out.quote("status codes: " + codes)
	}
	for i, o := range t.operations {
		if i == operationsShown || !out.quote(o.line()) {
			out.say("[%d more operations%s; use errors_only or min_ms]", len(t.operations)-i, map[bool]string{true: " and more"}[t.more])
			return
		}
	}
}

// codeText reads "200 1164×, 500 36×".
func (t traffic) codeText() string {
	var parts []string
	for _, r := range t.codes[:min(len(t.codes), 8)] {
		if code := r.groups["response_status_code"]; code != "" && r.value(0) > 0 {
			parts = append(parts, oneLine(code, 20)+" "+amount(r.value(0))+"×")
		}
	}
	return strings.Join(parts, ", ")
}

func (o operation) line() string {
	return fmt.Sprintf("%s: %s×, %s failed (%s), p50 %s, p99 %s", withoutPeople(o.name, 120), amount(o.count), amount(o.errors), percent(o.errors, o.count), nanos(o.p50), nanos(o.p99))
}

// spanFields are the columns that are read of a span.
var spanFields = fields("service.name", "name", "duration_nano", "has_error", "trace_id", "span_id", "parent_span_id", "kind_string",
	"status_message", "response_status_code", "http_method", "db_name", "external_http_url", "k8s.pod.name", "exception.message", "db.statement")

// spans asks for single spans, failing and slow ones.
func (c *SigNozClient) spans(ctx context.Context, where filter, p period) (map[string]result, error) {
	q := query{Signal: "traces", Limit: spansShown, SelectFields: spanFields}
	bad, slow := q, q
	bad.Name, bad.Filter, bad.Order = "failing", append(slices.Clone(where), failing).expression(), newest("timestamp")
	slow.Name, slow.Filter, slow.Order = "slow", where.expression(), newest("duration_nano")
	return c.ask(ctx, "read traces", "raw", p, bad, slow)
}

func writeSpans(out *page, words string, rows []row) {
	if len(rows) == 0 {
		return
	}
	lines := []string{words + ":"}
	for _, r := range rows {
		lines = append(lines, "  "+stampOf(r.Timestamp.UTC())+spanLine(r)+" [trace "+oneLine(r.text("trace_id"), 32)+"]")
	}
	for len(lines) > 1 && !out.quote(lines...) {
		lines = lines[:len(lines)/2]
	}
}

// spanLine reads "cart GET /items 900 ms, error 500: connection refused".
func spanLine(r row) string {
	s := fmt.Sprintf("%s %s %s", oneLine(r.text("service.name"), 60), withoutPeople(r.text("name"), 120), nanos(r.duration()))
	if r.text("has_error") == "true" {
		s += ", error"
	}
	if code := r.text("response_status_code"); code != "" && code != "0" {
		s += " " + oneLine(code, 10)
	}
	if m := orElse(r.text("status_message"), r.text("exception.message")); m != "" {
		s += ": " + withoutPeople(m, 160)
	}
	return s
}

// traceID matches a W3C trace ID.
var traceID = regexp.MustCompile(`^[0-9a-f]{32}$`)

type signozTraceArgs struct {
	TraceID string `json:"trace_id" jsonschema:"32 hexadecimal digits, from signoz_traces, signoz_logs or first_look"`
	PeriodArgs
}

// Bounds of signoz_trace.
const (
	traceSpans      = 1000
	traceSpansShown = 80
)

func signozTrace(c *SigNozClient, d Deliveries) server.ServerTool {
	return tool("signoz_trace",
		"One request from end to end, as a tree of spans with their own time, errors first: which service, call or statement took the time or failed. "+
			"Needs a trace ID. Looks through the last day; give since or delivery for an older one.",
		readOnly,
		func(ctx context.Context, in signozTraceArgs) (string, error) {
			if c == nil {
				return "", errNoSigNoz
			}
			id := strings.ToLower(strings.TrimSpace(in.TraceID))
			if !traceID.MatchString(id) {
				return "", fmt.Errorf("trace_id %q is not one; it has 32 hexadecimal digits", oneLine(in.TraceID, 60))
			}
			s, err := in.scope(ctx, d, 24*time.Hour, 2*time.Hour)
			if err != nil {
				return "", err
			}
			res, err := c.ask(ctx, "read trace", "raw", s.period, query{
				Name: "A", Signal: "traces", Filter: filter{}.is("trace_id", id).expression(), Limit: traceSpans,
				Order: []orderBy{{telemetryKey{Name: "timestamp"}, "asc"}}, SelectFields: spanFields,
			})
			if err != nil {
				return "", err
			}
			return showTrace(id, s.period, res["A"].Rows), nil
		})
}

// A span is a node of the tree.
type span struct {
	row
	children []*span
	parent   *span
	own      float64 // nanoseconds that no child accounts for
}

func showTrace(id string, p period, rows []row) string {
	out := newPage(signozTokens)
	if len(rows) == 0 {
		out.say("No span of trace %s from %s; it may be older (give since), sampled away or not sent yet.", id, p)
		return out.String()
	}
	roots, services, bad := tree(rows)
	out.say("Trace %s: %s, %s, %d with an error, from %s.", id, plural(len(rows), "span"), plural(services, "service"), bad, stamp(rows[0].Timestamp))
	var lines []string
	for _, r := range roots {
		lines = r.lines(lines, 0, rows[0].Timestamp, keptSpans(rows))
	}
	for i, l := range lines {
		if !out.quote(l) {
			out.say("[%d more spans]", len(lines)-i)
			break
		}
	}
	if hidden := len(rows) - len(lines); hidden > 0 {
		out.say("[%d short spans without an error are left out]", hidden)
	}
	if len(rows) >= traceSpans {
		out.say("[only the first %d spans were read]", traceSpans)
	}
	return out.String()
}

// tree links spans to their parents. One whose parent is missing is a root, so
// that a broken trace is shown too; a cycle is cut.
func tree(rows []row) (roots []*span, services, bad int) {
	byID, names := map[string]*span{}, map[string]bool{}
	all := make([]*span, 0, len(rows))
	for _, r := range rows {
		n := &span{row: r, own: r.duration()}
		all = append(all, n)
		byID[r.text("span_id", "spanID")] = n
		names[r.text("service.name")] = true
		if r.text("has_error") == "true" {
			bad++
		}
	}
	for _, n := range all {
		n.parent = byID[n.text("parent_span_id", "parentSpanID")]
	}
	for _, n := range all {
		if n.parent == nil || n.below(n) {
			n.parent = nil
			roots = append(roots, n)
			continue
		}
		n.parent.children = append(n.parent.children, n)
		n.parent.own -= n.duration()
	}
	return roots, len(names), bad
}

// below reports whether n hangs below another span, or below itself.
func (n *span) below(other *span) bool {
	up := n.parent
	for range traceSpans {
		if up == nil || up == other {
			return up == other
		}
		up = up.parent
	}
	return true
}

// keptSpans returns the least duration that is shown of spans without an
// error, so that at most traceSpansShown remain.
func keptSpans(rows []row) float64 {
	var all []float64
	for _, r := range rows {
		all = append(all, r.duration())
	}
	if len(all) <= traceSpansShown {
		return 0
	}
	slices.Sort(all)
	return all[len(all)-traceSpansShown]
}

// lines appends the tree below n. Spans shorter than least are left out unless
// they failed.
func (n *span) lines(lines []string, depth int, start time.Time, least float64) []string {
	if n.duration() >= least || n.text("has_error") == "true" {
		l := strings.Repeat("  ", min(depth, 12)) + "+" + strconv.FormatInt(n.Timestamp.Sub(start).Milliseconds(), 10) + " ms " + spanLine(n.row)
		if len(n.children) > 0 {
			l += ", own " + nanos(max(n.own, 0))
		}
		if s := orElse(n.text("db.statement"), n.text("external_http_url")); s != "" {
			l += " [" + withoutPeople(s, 120) + "]"
		}
		lines = append(lines, l)
	}
	if depth > 200 {
		return lines
	}
	for _, c := range n.children {
		lines = c.lines(lines, depth+1, start, least)
	}
	return lines
}
