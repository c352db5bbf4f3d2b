package tools_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/mcptest"
	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/secret"
	"watchkeeper/test/fakes/signoz"
	"watchkeeper/tools"
)

var trace = strings.Repeat("ab", 16)

// spanOf is a request of cart that took so many milliseconds.
func spanOf(at time.Time, name string, ms float64, more map[string]any) signoz.Record {
	c := map[string]any{
		"service.name": "cart", "k8s.cluster.name": "prod-par1", "name": name, "duration_nano": ms * 1e6, "has_error": false, "kind_string": "Server",
		"response_status_code": "200", "trace_id": trace, "span_id": fmt.Sprintf("%x", at.UnixNano()), "parent_span_id": "",
	}
	maps.Copy(c, more)
	return signoz.Record{At: at, Columns: c}
}

// telemetry is a SigNoz in which cart fails since began.
func telemetry(began time.Time) *signoz.Server {
	s := &signoz.Server{Metrics: map[string][]signoz.Series{}, History: map[string][]map[string]any{}}
	for i := range 240 { // the hour before: 4 a minute, all well
		s.Spans = append(s.Spans, spanOf(began.Add(-70*time.Minute+time.Duration(i)*15*time.Second), "GET /cart", 20, nil))
	}
	for i := range 40 { // since: a quarter fails and is slow
		at := began.Add(time.Duration(i) * 10 * time.Second)
		if i%4 == 0 {
			s.Spans = append(s.Spans, spanOf(at, "POST /pay", 900, map[string]any{"has_error": true, "response_status_code": "503", "status_message": "dial tcp 10.0.0.7:5432: connection refused"}))
			continue
		}
		s.Spans = append(s.Spans, spanOf(at, "GET /cart", 25, nil))
	}
	for i := range 30 {
		s.Logs = append(s.Logs, logOf(began.Add(time.Duration(i)*time.Second), "ERROR", fmt.Sprintf("payment %d failed: dial tcp 10.0.0.7:5432: connection refused", i)),
			logOf(began.Add(time.Duration(i)*time.Second), "INFO", fmt.Sprintf("request %d served in %d ms", i, i)))
	}
	s.Logs = append(s.Logs, logOf(began, "error", hostileText))
	for _, pod := range []string{"cart-1", "cart-2"} {
		m := signoz.Series{Labels: map[string]string{"k8s.pod.name": pod, "k8s.namespace.name": "shop"}}
		for i := range 60 {
			v := 200e6
			if pod == "cart-2" {
				v += float64(i) * 5e6
			}
			m.Points = append(m.Points, signoz.Point{At: began.Add(time.Duration(i-55) * time.Minute), Value: v})
		}
		s.Metrics["k8s.pod.memory.working_set"] = append(s.Metrics["k8s.pod.memory.working_set"], m)
	}
	claim := map[string]string{"k8s.persistentvolumeclaim.name": "data-cart-0", "k8s.namespace.name": "shop", "k8s.cluster.name": "prod-par1"}
	now := []signoz.Point{{At: time.Now().Add(-12 * time.Minute), Value: 8e9}}
	s.Metrics["k8s.volume.available"] = []signoz.Series{{Labels: claim, Points: now}}
	s.Metrics["k8s.volume.capacity"] = []signoz.Series{{Labels: claim, Points: []signoz.Point{{At: now[0].At, Value: 100e9}}}}
	s.Rules = rules(began)
	for i, state := range []string{"firing", "inactive", "firing", "inactive"} {
		s.History["0190-a"] = append(s.History["0190-a"], map[string]any{
			"ruleId": "0190-a", "ruleName": "High error rate", "state": state, "stateChanged": true, "unixMilli": began.Add(time.Duration(i-4) * time.Hour).UnixMilli(),
			"labels": []any{map[string]any{"key": map[string]any{"name": "service.name"}, "value": "cart"}}, "fingerprint": uint64(18446744073709551615), "value": 12.5,
		})
	}
	return s
}

func logOf(at time.Time, severity, body string) signoz.Record {
	return signoz.Record{At: at, Columns: map[string]any{
		"body": body, "severity_text": severity, "severity_number": map[string]float64{"ERROR": 17, "INFO": 9}[severity], "trace_id": trace,
		"service.name": "cart", "k8s.pod.name": "cart-1", "k8s.cluster.name": "prod-par1",
	}}
}

func rules(began time.Time) []map[string]any {
	at := began.Add(-40 * 24 * time.Hour).Format(time.RFC3339Nano)
	return []map[string]any{
		{
			"id": "0190-a", "state": "firing", "alert": "High error rate", "alertType": "TRACES_BASED_ALERT", "ruleType": "threshold_rule",
			"condition": map[string]any{
				"compositeQuery": map[string]any{"queries": []any{map[string]any{"type": "builder_query", "spec": map[string]any{"name": "A", "signal": "traces", "filter": map[string]any{"expression": "has_error = true"}}}}},
				"thresholds":     map[string]any{"kind": "basic", "spec": []any{map[string]any{"name": "critical", "target": 5, "targetUnit": "percent", "op": "1", "matchType": "3", "channels": []any{"watchkeeper"}}}},
				"alertOnAbsent":  true, "absentFor": 10,
			},
			"evaluation": map[string]any{"kind": "rolling", "spec": map[string]any{"evalWindow": "10m0s", "frequency": "1m0s"}},
			"labels":     map[string]any{"team": "shop", "api_key": "hunter2hunter2"}, "annotations": map[string]any{"description": hostileText},
			"createdAt": at, "createdBy": "eve@example.com", "updatedAt": at, "updatedBy": "eve@example.com",
		},
		{"id": "0190-b", "state": "inactive", "alert": "Disk full", "condition": map[string]any{"target": 0.9, "op": "above", "matchType": "at_least_once"}, "labels": map[string]any{"severity": "warning"}, "evalWindow": "5m"},
	}
}

func signozAt(t testing.TB, s *signoz.Server, clusters *tools.Clusters) *tools.SigNozClient {
	t.Helper()
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return tools.NewSigNoz(srv.URL, secret.New(signoz.Key), clusters)
}

func TestSigNozTools(t *testing.T) {
	began := time.Now().UTC().Truncate(time.Second).Add(-10 * time.Minute)
	store := openStore(t)
	id := eventAt(t, store, began)
	fake := telemetry(began)
	child := func(id, parent, service, name string, after, ms float64, more map[string]any) {
		r := spanOf(began.Add(time.Minute+time.Duration(after*float64(time.Millisecond))), name, ms, map[string]any{
			"span_id": id, "parent_span_id": parent, "service.name": service, "kind_string": "Client", "trace_id": strings.Repeat("cd", 16), "response_status_code": "",
		})
		maps.Copy(r.Columns, more)
		fake.Spans = append(fake.Spans, r)
	}
	child("1", "", "gateway", "POST /pay", 0, 905, map[string]any{"has_error": true})
	child("2", "1", "cart", "POST /pay", 2, 900, map[string]any{"has_error": true})
	child("3", "2", "cart", "SELECT carts", 5, 30, map[string]any{"db.statement": "SELECT * FROM carts WHERE token = 'hunter2hunter2'"})
	child("4", "2", "payments", "charge "+hostileText, 40, 850, map[string]any{"has_error": true, "status_message": hostileText})
	child("5", "gone", "cart", "orphan", 50, 1, nil)
	child("6", "7", "cart", "ring", 60, 2, nil)
	child("7", "6", "cart", "ring too", 61, 1, nil)
	s := startWith(t, tools.SigNoz(signozAt(t, fake, sample(t)), store)...)
	tests := []struct {
		name, tool string
		args       map[string]any
	}{
		{"signoz_logs", "signoz_logs", map[string]any{"delivery": id}},
		{"signoz_logs_error", "signoz_logs", map[string]any{"service": "cart", "cluster": "platform-prod", "severity": "error", "contains": "it's %_\\"}},
		{"signoz_logs_limit", "signoz_logs", map[string]any{"service": "cart", "severity": "error", "limit": 10}},
		{"signoz_traces", "signoz_traces", map[string]any{"service": "cart", "cluster": "platform-prod", "since": "9m"}},
		{"signoz_traces_errors", "signoz_traces", map[string]any{"service": "cart", "errors_only": true, "min_ms": 500}},
		{"signoz_traces_none", "signoz_traces", map[string]any{"service": "nope"}},
		{"signoz_trace", "signoz_trace", map[string]any{"trace_id": strings.Repeat("cd", 16)}},
		{"signoz_metrics", "signoz_metrics", map[string]any{"metric": "k8s.pod.memory.working_set", "group_by": []string{"k8s.pod.name"}, "filter": map[string]any{"k8s.namespace.name": "sh*"}}},
		{"signoz_rules", "signoz_alert_rules", map[string]any{}},
		{"signoz_rule", "signoz_alert_rules", map[string]any{"name": "error rate"}},
		{"signoz_history", "signoz_alert_history", map[string]any{"rule_id": "0190-a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := session{t, s.srv}.ok(tt.tool, tt.args)
			golden(t, tt.name+".txt", stable(got))
			checkContained(t, got)
			if strings.Contains(got, "@example.com") {
				t.Errorf("output contains an address:\n%s", got)
			}
			t.Logf("%d tokens", tokens(got))
		})
	}
}

func TestFilterValuesAreQuoted(t *testing.T) {
	fake := telemetry(time.Now())
	s := startWith(t, tools.SigNoz(signozAt(t, fake, nil), nil)...)
	for _, evil := range []string{`x' OR service.name != '`, `\`, `x\' OR has_error = true OR name = '`, "a\nb", `'; DROP TABLE logs; --`} {
		for tool, args := range map[string]map[string]any{
			"signoz_logs": {"service": evil, "contains": evil, "cluster": evil}, "signoz_traces": {"service": evil},
			"signoz_metrics": {"metric": "k8s.pod.memory.working_set", "filter": map[string]any{"k8s.pod.name": evil}},
		} {
			got := s.ok(tool, args)
			if !strings.Contains(got, "0 lines") && !strings.Contains(got, "no spans") && !strings.Contains(got, "0 series") {
				t.Errorf("%s%v found something:\n%s", tool, args, got)
			}
		}
	}
	s.refuses("signoz_metrics", map[string]any{"metric": "x) OR (1=1"}, "is not the name of a label")
	s.refuses("signoz_metrics", map[string]any{"metric": "x", "filter": map[string]any{"a = 'b' OR c": "d"}}, "is not the name of a label")
	s.refuses("signoz_metrics", map[string]any{"metric": "x", "group_by": []string{"a b"}}, "is not the name of a label")
	s.refuses("signoz_trace", map[string]any{"trace_id": "x' OR 1=1"}, "32 hexadecimal digits")
	s.refuses("signoz_alert_rules", map[string]any{"id": "../users"}, "is not the ID of a rule")
	s.refuses("signoz_alert_history", map[string]any{"rule_id": "a/b"}, "is not the ID of a rule")
}

func TestAnOldSigNozHasRulesUnderV1(t *testing.T) {
	fake := telemetry(time.Now())
	fake.Old = true
	s := startWith(t, tools.SigNoz(signozAt(t, fake, nil), nil)...)
	contains(t, s.ok("signoz_alert_rules", map[string]any{}), "2 alert rules", "High error rate")
	contains(t, s.ok("signoz_alert_rules", map[string]any{"id": "0190-b"}), "warning above 0.9, at least once")
	contains(t, s.ok("signoz_alert_history", map[string]any{"rule_id": "0190-a"}), "4 changes of state, fired 2×")
	s.refuses("signoz_alert_rules", map[string]any{"id": "77"}, "there is no rule 77 in SigNoz")
}

func TestSigNozErrorsSayWhatToDo(t *testing.T) {
	fake := telemetry(time.Now())
	s := startWith(t, tools.SigNoz(signozAt(t, fake, nil), nil)...)
	tests := []struct {
		name  string
		fault signoz.Fault
		want  string
	}{
		{"401", signoz.Fault{Status: 401}, "a human must renew it"},
		{"403", signoz.Fault{Status: 403}, "the role Viewer"},
		{"404", signoz.Fault{Status: 404}, "too old"},
		{"429", signoz.Fault{Status: 429}, "throttling"},
		{"500", signoz.Fault{Status: 500}, "broken at the moment (500: Internal Server Error)"},
		{"502 with a page", signoz.Fault{Status: 502, HTML: true}, "broken at the moment (502"},
		{"400", signoz.Fault{Status: 400}, "did not accept the question (400): Bad Request"},
		{"a page", signoz.Fault{HTML: true}, "a web page came back"},
		{"no JSON", signoz.Fault{Body: "<oops>"}, "not JSON"},
		{"other JSON", signoz.Fault{Body: `{"status":"success","data":[1]}`}, "unexpected form"},
		{"an error with 200", signoz.Fault{Body: `{"status":"error","error":{"message":"<b>memory</b> limit"}}`}, "‹b›memory‹/b› limit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fake.Fail(&tt.fault)
			got, failed := session{t, s.srv}.call("signoz_logs", map[string]any{"service": "cart"})
			if !failed || !strings.Contains(got, tt.want) {
				t.Errorf("signoz_logs = %q (error %v), want an error with %q", got, failed, tt.want)
			}
			if strings.Contains(got, signoz.Key) {
				t.Errorf("error leaks the key: %q", got)
			}
		})
	}
}

// The whole list of the package is in tools.json; this is the part about the
// outside world.
func TestOutsideToolList(t *testing.T) {
	var set []server.ServerTool
	set = append(set, tools.GitLab(nil, nil)...)
	set = append(set, tools.SigNoz(nil, nil)...)
	set = append(set, tools.NewFirstLook(tools.FirstLookConfig{}).Tools()...)
	srv, err := mcptest.NewServer(t, set...)
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close()
	res, err := srv.Client().ListTools(t.Context(), mcp.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(res.Tools, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range res.Tools {
		if len(tool.Description) > 1000 || tool.Annotations.ReadOnlyHint == nil {
			t.Errorf("%s: description of %d characters, annotations %+v", tool.Name, len(tool.Description), tool.Annotations)
		}
	}
	golden(t, "tools_outside.json", append(text, '\n'))
}
