package signoz

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"
)

// request is the body of a query range request.
type request struct {
	SchemaVersion  string `json:"schemaVersion"`
	Start          int64  `json:"start"`
	End            int64  `json:"end"`
	RequestType    string `json:"requestType"`
	CompositeQuery struct {
		Queries []struct {
			Type string `json:"type"`
			Spec spec   `json:"spec"`
		} `json:"queries"`
	} `json:"compositeQuery"`
}

type spec struct {
	Name         string `json:"name"`
	Signal       string `json:"signal"`
	StepInterval int64  `json:"stepInterval"`
	Aggregations []struct {
		Expression       string `json:"expression"`
		MetricName       string `json:"metricName"`
		TimeAggregation  string `json:"timeAggregation"`
		SpaceAggregation string `json:"spaceAggregation"`
	} `json:"aggregations"`
	Filter *struct {
		Expression string `json:"expression"`
	} `json:"filter"`
	GroupBy []key `json:"groupBy"`
	Order   []struct {
		Key       key    `json:"key"`
		Direction string `json:"direction"`
	} `json:"order"`
	SelectFields []key `json:"selectFields"`
	Limit        int   `json:"limit"`
	Disabled     bool  `json:"disabled"`
}

type key struct {
	Name         string `json:"name"`
	FieldContext string `json:"fieldContext,omitempty"`
}

func (s *Server) queryRange(w http.ResponseWriter, r *http.Request) {
	var in request
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		refuse(w, http.StatusBadRequest, "invalid_input", err.Error())
		return
	}
	results, err := s.run(in)
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid_input", err.Error())
		return
	}
	succeed(w, map[string]any{
		"type": in.RequestType, "data": map[string]any{"results": results},
		"meta": map[string]any{"rowsScanned": 1, "bytesScanned": 1, "durationMs": 1},
	})
}

func (s *Server) run(in request) ([]any, error) {
	if in.Start >= in.End || in.Start < 1e12 || in.Start > 1e14 {
		return nil, fmt.Errorf("start time must be before end time, in milliseconds")
	}
	var results []any
	names := map[string]bool{}
	for _, q := range in.CompositeQuery.Queries {
		if q.Type != "builder_query" {
			return nil, fmt.Errorf("the tests allow no query of type %q", q.Type)
		}
		if names[q.Spec.Name] {
			return nil, fmt.Errorf("duplicate query name '%s'", q.Spec.Name)
		}
		names[q.Spec.Name] = true
		res, err := s.one(in, q.Spec)
		if err != nil {
			return nil, fmt.Errorf("invalid query '%s': %w", q.Spec.Name, err)
		}
		results = append(results, res)
	}
	return results, nil
}

func (s *Server) one(in request, q spec) (any, error) {
	match := func(func(string) (any, bool)) bool { return true }
	if q.Filter != nil {
		s.Note(q.Filter.Expression)
		var err error
		if match, err = parseFilter(q.Filter.Expression); err != nil {
			return nil, err
		}
	}
	if q.Limit > 10000 {
		return nil, fmt.Errorf("limit exceeds maximum allowed value of 10000")
	}
	if in.RequestType != "raw" && len(q.Aggregations) == 0 {
		return nil, fmt.Errorf("at least one aggregation is required")
	}
	if q.Signal == "metrics" {
		if in.RequestType != "time_series" {
			return nil, fmt.Errorf("%s request type is not supported for metric queries", in.RequestType)
		}
		return s.metric(in, q, match)
	}
	records := s.Logs
	if q.Signal == "traces" {
		records = s.Spans
	}
	var found []Record
	for _, r := range records {
		if at := r.At.UnixMilli(); at >= in.Start && at <= in.End && match(r.column) {
			found = append(found, r)
		}
	}
	if in.RequestType == "raw" {
		return raw(q, found), nil
	}
	return scalar(q, found)
}

func (r Record) column(name string) (any, bool) {
	if name == "timestamp" {
		return float64(r.At.UnixNano()), true
	}
	v, ok := r.Columns[name]
	return v, ok
}

func raw(q spec, found []Record) any {
	for _, o := range slices.Backward(q.Order) {
		slices.SortStableFunc(found, func(a, b Record) int {
			x, _ := a.column(o.Key.Name)
			y, _ := b.column(o.Key.Name)
			if o.Direction == "desc" {
				x, y = y, x
			}
			return cmp.Compare(float(x), float(y))
		})
	}
	more := ""
	if q.Limit > 0 && len(found) > q.Limit {
		found, more = found[:q.Limit], "bmV4dA=="
	}
	rows := []any{}
	for _, r := range found {
		rows = append(rows, map[string]any{"timestamp": r.At.UTC().Format(time.RFC3339Nano), "data": shaped(q, r)})
	}
	return map[string]any{"queryName": q.Name, "rows": rows, "nextCursor": more}
}

// shaped gives a log its attributes in groups, as the server does, and a span
// the fields that were selected.
func shaped(q spec, r Record) map[string]any {
	out := map[string]any{}
	if q.Signal == "traces" {
		for _, f := range q.SelectFields {
			if v, ok := r.Columns[f.Name]; ok {
				out[f.Name] = v
			}
		}
		return out
	}
	resources, attributes := map[string]any{}, map[string]any{}
	for k, v := range r.Columns {
		switch {
		case slices.Contains([]string{"body", "severity_text", "severity_number", "trace_id", "span_id", "id"}, k):
			out[k] = v
		case strings.HasPrefix(k, "k8s.") || strings.HasPrefix(k, "service."):
			resources[k] = v
		default:
			attributes[k] = v
		}
	}
	out["resources_string"], out["attributes_string"] = resources, attributes
	return out
}

func scalar(q spec, found []Record) (any, error) {
	groups, order := map[string][]Record{}, []string{}
	for _, r := range found {
		var parts []string
		for _, g := range q.GroupBy {
			v, _ := r.column(g.Name)
			parts = append(parts, text(v))
		}
		id := strings.Join(parts, "\x00")
		if groups[id] == nil {
			order = append(order, id)
		}
		groups[id] = append(groups[id], r)
	}
	if len(q.GroupBy) == 0 && len(found) == 0 {
		groups[""], order = nil, []string{""}
	}
	slices.SortStableFunc(order, func(a, b string) int { return len(groups[b]) - len(groups[a]) })
	if q.Limit > 0 && len(order) > q.Limit {
		order = order[:q.Limit]
	}
	columns := []any{}
	for _, g := range q.GroupBy {
		columns = append(columns, map[string]any{"name": g.Name, "queryName": q.Name, "aggregationIndex": 0, "columnType": "group"})
	}
	for i := range q.Aggregations {
		columns = append(columns, map[string]any{"name": fmt.Sprintf("__result_%d", i), "queryName": q.Name, "aggregationIndex": i, "columnType": "aggregation"})
	}
	data := [][]any{}
	for _, id := range order {
		line := []any{}
		if len(q.GroupBy) > 0 {
			for part := range strings.SplitSeq(id, "\x00") {
				line = append(line, part)
			}
		}
		for _, a := range q.Aggregations {
			v, err := computed(a.Expression, groups[id])
			if err != nil {
				return nil, err
			}
			line = append(line, v)
		}
		data = append(data, line)
	}
	return map[string]any{"queryName": q.Name, "columns": columns, "data": data}, nil
}

// computed knows count() and pNN(column).
func computed(expression string, records []Record) (any, error) {
	if expression == "count()" {
		return float64(len(records)), nil
	}
	var percent float64
	name, column, ok := strings.Cut(strings.TrimSuffix(expression, ")"), "(")
	if _, err := fmt.Sscanf(name, "p%f", &percent); err != nil || !ok {
		return nil, fmt.Errorf("unknown aggregation %q", expression)
	}
	var values []float64
	for _, r := range records {
		v, _ := r.column(column)
		values = append(values, float(v))
	}
	if len(values) == 0 {
		return "NaN", nil // JSON has none
	}
	slices.Sort(values)
	return values[min(int(percent/100*float64(len(values))), len(values)-1)], nil
}

func (s *Server) metric(in request, q spec, match func(func(string) (any, bool)) bool) (any, error) {
	a := q.Aggregations[0]
	if a.MetricName == "" || !slices.Contains([]string{"sum", "avg", "min", "max", "count", "p50", "p75", "p90", "p95", "p99"}, a.SpaceAggregation) {
		return nil, fmt.Errorf("invalid space aggregation %q", a.SpaceAggregation)
	}
	if q.StepInterval <= 0 {
		return nil, fmt.Errorf("step interval is missing")
	}
	out := []any{}
	for _, one := range s.Metrics[a.MetricName] {
		if !match(func(name string) (any, bool) { v, ok := one.Labels[name]; return v, ok }) {
			continue
		}
		labels, values := []any{}, []any{}
		for _, g := range q.GroupBy {
			labels = append(labels, map[string]any{"key": map[string]any{"name": g.Name, "fieldDataType": "string"}, "value": one.Labels[g.Name]})
		}
		for _, p := range one.Points {
			if at := p.At.UnixMilli(); at >= in.Start && at <= in.End {
				var v any = p.Value
				if math.IsNaN(p.Value) {
					v = "NaN"
				}
				values = append(values, map[string]any{"timestamp": at, "value": v, "partial": at+q.StepInterval*1000 > in.End})
			}
		}
		if len(values) > 0 {
			out = append(out, map[string]any{"labels": labels, "values": values})
		}
	}
	return map[string]any{"queryName": q.Name, "aggregations": []any{map[string]any{"index": 0, "alias": "__result_0", "series": out}}}, nil
}

func float(v any) float64 {
	f, _ := v.(float64)
	return f
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprint(v)
}
