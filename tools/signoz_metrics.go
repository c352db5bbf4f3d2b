package tools

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"
)

// Bounds of signoz_metrics.
const (
	seriesShown = 40
	seriesAsked = 200
	seriesSteps = 60 // points of one series
	sparkSteps  = 12
)

type signozMetricsArgs struct {
	Metric      string            `json:"metric" jsonschema:"name of the metric, as k8s.pod.memory.working_set"`
	Aggregation string            `json:"aggregation,omitempty" jsonschema:"enum=avg,enum=sum,enum=min,enum=max,enum=latest,enum=rate,enum=increase,enum=p50,enum=p95,enum=p99" jsonschema_description:"avg to latest for gauges, rate and increase for counters, p50 to p99 for histograms; guessed by the name if not given"`
	GroupBy     []string          `json:"group_by,omitempty" jsonschema:"labels to split by, as k8s.pod.name"`
	Filter      map[string]string `json:"filter,omitempty" jsonschema:"labels that must have these values, as {\"k8s.namespace.name\": \"shop\"}; a value may end in * for a beginning"`
	PeriodArgs
}

func signozMetrics(c *SigNozClient, d Deliveries) server.ServerTool {
	return tool("signoz_metrics",
		"One metric over time from SigNoz, as a table: for each group minimum, maximum, last value, the trend and a small curve, what changed most first. "+
			"Use it to see a slow climb (memory, disk, lag) or a step at the moment of an alert; for requests, errors and latency signoz_traces needs no metric name. The last 2 hours if nothing else is asked.",
		readOnly,
		func(ctx context.Context, in signozMetricsArgs) (string, error) {
			if c == nil {
				return "", errNoSigNoz
			}
			s, err := in.scope(ctx, d, 2*time.Hour, time.Hour)
			if err != nil {
				return "", err
			}
			in.Aggregation = cmp.Or(in.Aggregation, guessAggregation(in.Metric))
			table, err := c.metric(ctx, in, s.period)
			if err != nil {
				return "", err
			}
			return showMetric(in, s, table), nil
		})
}

// guessAggregation knows counters and histograms by their names.
func guessAggregation(metric string) string {
	m := strings.ToLower(metric)
	switch {
	case strings.HasSuffix(m, ".bucket"), strings.HasSuffix(m, "_bucket"):
		return "p99"
	case strings.HasSuffix(m, "_total"), strings.HasSuffix(m, ".total"), strings.HasSuffix(m, "_count"), strings.HasSuffix(m, ".count"):
		return "rate"
	}
	return "avg"
}

// aggregationOf is an aggregation in time and in space.
func aggregationOf(metric, name string) metricAggregation {
	a := metricAggregation{MetricName: metric, TimeAggregation: name, SpaceAggregation: name}
	switch name {
	case "rate", "increase":
		a.SpaceAggregation = "sum"
	case "latest":
		a.SpaceAggregation = "sum"
	case "p50", "p95", "p99":
		a.TimeAggregation = "" // the server sees to it
	case "sum":
		a.TimeAggregation = "avg" // over time a gauge has no sum
	}
	return a
}

// step is a round number of seconds that gives about seriesSteps points.
func (p period) step() int64 {
	want := p.to.Sub(p.from) / seriesSteps
	for _, s := range []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour} {
		if want <= s {
			return int64(s.Seconds())
		}
	}
	return int64((12 * time.Hour).Seconds())
}

// metric reads the series of a metric.
func (c *SigNozClient) metric(ctx context.Context, in signozMetricsArgs, p period) ([]series, error) {
	if err := checkFields(append([]string{in.Metric}, in.GroupBy...)...); err != nil {
		return nil, err
	}
	var where filter
	for _, k := range slices.Sorted(maps.Keys(in.Filter)) {
		if err := checkFields(k); err != nil {
			return nil, err
		}
		if start, ok := strings.CutSuffix(in.Filter[k], "*"); ok {
			where = append(where, k+" LIKE "+quoted(start+"%"))
			continue
		}
		where = where.is(k, in.Filter[k])
	}
	res, err := c.ask(ctx, "read metric "+in.Metric, "time_series", p, query{
		Name: "A", Signal: "metrics", StepInterval: p.step(), Aggregations: []any{aggregationOf(in.Metric, in.Aggregation)},
		Filter: where.expression(), GroupBy: fields(in.GroupBy...), Limit: seriesAsked,
	})
	if err != nil {
		return nil, err
	}
	var list []series
	for _, a := range res["A"].Aggregations {
		list = append(list, a.Series...)
	}
	return list, nil
}

// A shape is what the course of a series amounts to.
type shape struct {
	labels           string
	first, last      float64 // means of the first and the last sixth
	low, high        float64
	lowAt, highAt    time.Time
	points           []float64
	change, relative float64 // from first to last; relative to the larger
}

// shapeOf reads a series; false if it has no values. A step that the window
// cuts counts only if there is nothing else.
func shapeOf(s series) (shape, bool) {
	points := slices.DeleteFunc(slices.Clone(s.Values), func(p point) bool { return math.IsNaN(float64(p.Value)) || math.IsInf(float64(p.Value), 0) })
	if whole := slices.DeleteFunc(slices.Clone(points), func(p point) bool { return p.Partial }); len(whole) > 0 {
		points = whole
	}
	if len(points) == 0 {
		return shape{}, false
	}
	slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	h := shape{labels: labelText(s.Labels), low: math.Inf(1), high: math.Inf(-1)}
	for _, p := range points {
		v := float64(p.Value)
		h.points = append(h.points, v)
		if v < h.low {
			h.low, h.lowAt = v, time.UnixMilli(p.Timestamp).UTC()
		}
		if v > h.high {
			h.high, h.highAt = v, time.UnixMilli(p.Timestamp).UTC()
		}
	}
	n := max(len(h.points)/6, 1)
	h.first, h.last = mean(h.points[:n]), mean(h.points[len(h.points)-n:])
	h.change = h.last - h.first
	if most := max(math.Abs(h.first), math.Abs(h.last)); most > 0 {
		h.relative = h.change / most
	}
	return h, true
}

func mean(list []float64) float64 {
	sum := 0.0
	for _, v := range list {
		sum += v
	}
	return sum / float64(len(list))
}

// trend says in a word where a series goes. What swings more than it moved
// has no trend.
func (h shape) trend() string {
	switch {
	case len(h.points) < 3:
		return "too few points"
	case math.Abs(h.relative) < 0.1:
		return "flat"
	case math.Abs(h.change) < 0.3*(h.high-h.low):
		return "swings"
	case h.change > 0:
		return "rises"
	}
	return "falls"
}

// line reads "k8s.pod.name=cart-1: last 420M, min 380M at 03:00:00, max 512M at
// 03:20:00, rises ▁▃▅▇".
func (h shape) line() string {
	return fmt.Sprintf("%s: last %s, min %s at %s, max %s at %s, %s %s", orElse(h.labels, "all"), amount(h.points[len(h.points)-1]),
		amount(h.low), strings.TrimSpace(stampOf(h.lowAt)), amount(h.high), strings.TrimSpace(stampOf(h.highAt)), h.trend(), h.curve())
}

// curve draws the series in a few characters.
func (h shape) curve() string {
	bars := []rune("▁▂▃▄▅▆▇█")
	n := min(len(h.points), sparkSteps)
	var b strings.Builder
	for i := range n {
		part := h.points[i*len(h.points)/n : max((i+1)*len(h.points)/n, i*len(h.points)/n+1)]
		level := 0
		if h.high > h.low {
			level = int((mean(part) - h.low) / (h.high - h.low) * float64(len(bars)-1))
		}
		b.WriteRune(bars[min(max(level, 0), len(bars)-1)])
	}
	return b.String()
}

func showMetric(in signozMetricsArgs, s scope, list []series) string {
	var shapes []shape
	for _, one := range list {
		if h, ok := shapeOf(one); ok {
			shapes = append(shapes, h)
		}
	}
	slices.SortStableFunc(shapes, func(a, b shape) int {
		return cmp.Or(cmp.Compare(math.Abs(b.relative), math.Abs(a.relative)), cmp.Compare(b.high, a.high), strings.Compare(a.labels, b.labels))
	})
	out := newPage(signozTokens)
	out.say("SigNoz metric %s, %s of each %s step, %s: %s.", in.Metric, in.Aggregation, time.Duration(s.step())*time.Second, s.period, serieses(len(shapes)))
	if len(shapes) == 0 {
		out.say("No values. The name must be the one in SigNoz (case and dots matter), the filter may be too narrow, or it was not sent in this time.")
		return out.String()
	}
	for i, h := range shapes {
		if i == seriesShown || !out.quote(h.line()) {
			out.say("[%d more series; give filter or fewer group_by]", len(shapes)-i)
			break
		}
	}
	if len(list) >= seriesAsked {
		out.say("[SigNoz has more than %d series; narrow it by filter]", seriesAsked)
	}
	return out.String()
}

func serieses(n int) string { return fmt.Sprintf("%d series", n) }
