package tools

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A query is one question of a query range request. Only the builder's types
// are ever sent: no SQL, no PromQL.
type query struct {
	Name         string         `json:"name"`
	Signal       string         `json:"signal"` // logs, traces or metrics
	StepInterval int64          `json:"stepInterval,omitempty"`
	Aggregations []any          `json:"aggregations,omitempty"`
	Filter       *expression    `json:"filter,omitempty"`
	GroupBy      []telemetryKey `json:"groupBy,omitempty"`
	Order        []orderBy      `json:"order,omitempty"`
	SelectFields []telemetryKey `json:"selectFields,omitempty"`
	Limit        int            `json:"limit,omitempty"`
	Disabled     bool           `json:"disabled"`
}

type expression struct {
	Expression string `json:"expression"`
}

type telemetryKey struct {
	Name         string `json:"name"`
	FieldContext string `json:"fieldContext,omitempty"`
}

type orderBy struct {
	Key       telemetryKey `json:"key"`
	Direction string       `json:"direction"`
}

// metricAggregation is what is computed of a metric.
type metricAggregation struct {
	MetricName       string `json:"metricName"`
	TimeAggregation  string `json:"timeAggregation,omitempty"`
	SpaceAggregation string `json:"spaceAggregation"`
}

// newest orders by time, the latest first.
func newest(name string) []orderBy { return []orderBy{{telemetryKey{Name: name}, "desc"}} }

func fields(names ...string) []telemetryKey {
	var keys []telemetryKey
	for _, n := range names {
		keys = append(keys, telemetryKey{Name: n})
	}
	return keys
}

func computed(expressions ...string) []any {
	var list []any
	for _, e := range expressions {
		list = append(list, expression{e})
	}
	return list
}

// A result is the answer to one query, of any type.
type result struct {
	QueryName    string `json:"queryName"`
	NextCursor   string `json:"nextCursor"`
	Rows         []row  `json:"rows"`
	Aggregations []struct {
		Series []series `json:"series"`
	} `json:"aggregations"`
	Columns []column            `json:"columns"`
	Data    [][]json.RawMessage `json:"data"`
}

type row struct {
	Timestamp time.Time      `json:"timestamp"`
	Data      map[string]any `json:"data"`
}

type series struct {
	Labels []label `json:"labels"`
	Values []point `json:"values"`
}

type label struct {
	Key   telemetryKey `json:"key"`
	Value any          `json:"value"`
}

type point struct {
	Timestamp int64  `json:"timestamp"` // milliseconds
	Value     number `json:"value"`
	Partial   bool   `json:"partial"` // the window cuts the step
}

type column struct {
	Name             string `json:"name"`
	QueryName        string `json:"queryName"`
	AggregationIndex int    `json:"aggregationIndex"`
	ColumnType       string `json:"columnType"` // group or aggregation
}

// A number is one that may come as a string: NaN and Inf have no JSON.
type number float64

// UnmarshalJSON implements [json.Unmarshaler].
func (n *number) UnmarshalJSON(raw []byte) error {
	f, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if err != nil {
		f = math.NaN()
	}
	*n = number(f)
	return nil
}

// ask sends queries about a period and returns their results by name.
func (c *SigNozClient) ask(ctx context.Context, doing, kind string, p period, queries ...query) (map[string]result, error) {
	type envelope struct {
		Type string `json:"type"`
		Spec query  `json:"spec"`
	}
	body := struct {
		SchemaVersion  string `json:"schemaVersion"`
		Start          int64  `json:"start"`
		End            int64  `json:"end"`
		RequestType    string `json:"requestType"`
		CompositeQuery struct {
			Queries []envelope `json:"queries"`
		} `json:"compositeQuery"`
	}{SchemaVersion: "v1", Start: p.from.UnixMilli(), End: p.to.UnixMilli(), RequestType: kind}
	for _, q := range queries {
		body.CompositeQuery.Queries = append(body.CompositeQuery.Queries, envelope{"builder_query", q})
	}
	var answer struct {
		Data struct {
			Results []result `json:"results"`
		} `json:"data"`
	}
	if err := c.do(ctx, doing, http.MethodPost, "/api/v5/query_range", body, &answer); err != nil {
		return nil, err
	}
	return byName(answer.Data.Results, queries), nil
}

// byName sorts results under the names of their queries. A table may name its
// query only in its columns.
func byName(results []result, queries []query) map[string]result {
	out := map[string]result{}
	for i, r := range results {
		name := r.QueryName
		for _, c := range r.Columns {
			name = cmp.Or(name, c.QueryName)
		}
		if name == "" && len(results) == len(queries) {
			name = queries[i].Name
		}
		out[name] = r
	}
	return out
}

// A tableRow is a row of a scalar result: the groups by name, the values in
// the order of the aggregations.
type tableRow struct {
	groups map[string]string
	values []float64
}

// table reads a scalar result.
func (r result) table() []tableRow {
	var out []tableRow
	for _, cells := range r.Data {
		t := tableRow{groups: map[string]string{}}
		for i, cell := range cells[:min(len(cells), len(r.Columns))] {
			if c := r.Columns[i]; c.ColumnType == "group" {
				var v any
				_ = json.Unmarshal(cell, &v) // a group that is no JSON is empty
				t.groups[c.Name] = plainText(v)
				continue
			}
			var n number
			_ = n.UnmarshalJSON(cell) // never fails: what is no number is NaN
			t.values = append(t.values, float64(n))
		}
		out = append(out, t)
	}
	return out
}

// value is the i-th value of a row; 0 if it is missing or no number.
func (t tableRow) value(i int) float64 {
	if i >= len(t.values) || math.IsNaN(t.values[i]) || math.IsInf(t.values[i], 0) {
		return 0
	}
	return t.values[i]
}

// text reads a column of a raw row under the first name that it has.
func (r row) text(names ...string) string {
	for _, n := range names {
		if s := plainText(r.Data[n]); s != "" {
			return s
		}
		for _, group := range []string{"resources_string", "resource", "attributes_string", "attributes"} {
			if m, ok := r.Data[group].(map[string]any); ok {
				if s := plainText(m[n]); s != "" {
					return s
				}
			}
		}
	}
	return ""
}

// duration reads how long a span took, in nanoseconds.
func (r row) duration() float64 {
	switch v := r.Data["duration_nano"].(type) {
	case float64:
		return v
	case string:
		f, err := strconv.ParseFloat(v, 64)
		if err == nil {
			return f
		}
	}
	return 0
}

// plainText writes a value of JSON; null is "".
func plainText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// labelText reads "service.name=cart k8s.pod.name=cart-1".
func labelText(labels []label) string {
	parts := make([]string, 0, len(labels))
	for _, l := range labels {
		parts = append(parts, oneLine(l.Key.Name, 60)+"="+redactValue(l.Key.Name, oneLine(plainText(l.Value), 80)))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// percent reads "3.2 %"; "0 %" of nothing.
func percent(part, whole float64) string {
	if whole == 0 {
		return "0 %"
	}
	p := 100 * part / whole
	if p != 0 && p < 0.1 {
		return "< 0.1 %"
	}
	return strconv.FormatFloat(math.Round(10*p)/10, 'f', -1, 64) + " %"
}

// amount writes a measured value with three digits.
func amount(f float64) string {
	switch a := math.Abs(f); {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return "none"
	case f == math.Trunc(f) && a < 1e6:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case a >= 1e12:
		return fmt.Sprintf("%.3gT", f/1e12)
	case a >= 1e9:
		return fmt.Sprintf("%.3gG", f/1e9)
	case a >= 1e6:
		return fmt.Sprintf("%.3gM", f/1e6)
	case a >= 1000:
		return strconv.FormatFloat(f, 'f', 0, 64)
	}
	return fmt.Sprintf("%.3g", f)
}
