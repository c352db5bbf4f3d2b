package webhook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/channels/webhook"
	"watchkeeper/runbook"
)

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	envelope := func(alerts string) string { return `{"version":"4","receiver":"x","alerts":` + alerts + `}` }
	tests := []struct {
		name, body, wantErr string
	}{
		{"an empty body", "", "the body is empty"},
		{"only space", " \n\t", "the body is empty"},
		{"not JSON", "alert!", "line 1, column 1 (offset 0)"},
		{"a form", "payload=%7B%7D", "line 1, column 1"},
		{"cut off", `{"version":"4","alerts":[{`, "ends too early, at line 1, column 27 (offset 26)"},
		{"a missing comma on line 3", "{\n\"a\":1,\n\"b\":2 \"c\":3}", "line 3, column 7"},
		{"garbage after the value", `{"alerts":[]} x`, "line 1, column 15"},
		{"a second value", `{"alerts":[]} {"alerts":[]}`, "more data after the JSON value at line 1, column 15"},
		{"nested beyond reason", strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), "not JSON"},
		{"alerts is a string", envelope(`"none"`), "alerts: want an array, got a string at line 1, column 40"},
		{"an alert is a number", envelope(`[{},7]`), "alerts[1]: want an object, got a number"},
		{"labels is an array", envelope(`[{},{},{},{"labels":[]}]`), "alerts[3].labels: want an object, got an array"},
		{"annotations is a boolean", envelope(`[{"annotations":true}]`), "alerts[0].annotations: want an object, got a boolean"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := webhook.Decode([]byte(tt.body), "", "", received, plain())
			checkError(t, err, tt.wantErr)
		})
	}
}

func TestTooManyAlertsAreTooLarge(t *testing.T) {
	body := func(n int) []byte {
		return []byte(`{"version":"4","alerts":[` + strings.TrimSuffix(strings.Repeat(`{"labels":{}},`, n), ",") + `]}`)
	}
	if _, err := webhook.Decode(body(webhook.MaxAlerts), "", "", received, plain()); err != nil {
		t.Errorf("Decode of %d alerts = %v, want none", webhook.MaxAlerts, err)
	}
	if _, err := webhook.Decode(body(webhook.MaxAlerts+1), "", "", received, plain()); !errors.Is(err, webhook.ErrTooLarge) {
		t.Errorf("Decode of %d alerts = %v, want ErrTooLarge", webhook.MaxAlerts+1, err)
	}
}

func TestTheFormatIsReadFromTheBody(t *testing.T) {
	tests := []struct {
		name, body, userAgent, want string
	}{
		{"an envelope", `{"version":"4","alerts":[{"labels":{}}]}`, "", "alertmanager"},
		{"alerts alone", `{"alerts":[{"labels":{"alertname":"X"}}]}`, "", "alertmanager"},
		{"an empty list", `{"alerts":[]}`, "", "alertmanager"},
		{"an envelope without a version", `{"receiver":"r","groupKey":"k","alerts":[{}]}`, "", "alertmanager"},
		{"SigNoz by its user agent", `{"version":"4","alerts":[{}]}`, "Alertmanager/", "signoz"},
		{"SigNoz by its labels", `{"version":"4","alerts":[{},{"labels":{"ruleSource":"http://s"}}]}`, "curl", "signoz"},
		{"Grafana by its version", `{"version":"1","alerts":[{}]}`, "", "grafana"},
		{"Grafana by its organisation", `{"orgId":1,"alerts":[{"labels":{}}]}`, "", "grafana"},
		{"Grafana by a rule", `{"alerts":[{"labels":{},"ruleUID":"u"}]}`, "", "grafana"},
		{"a byte order mark is forgiven", "\ufeff" + `{"version":"4","alerts":[]}`, "", "alertmanager"},
		{"a count named alerts", `{"alerts":3,"text":"fire"}`, "", "unrecognised"},
		{"other things named alerts", `{"alerts":[{"id":1}]}`, "", "unrecognised"},
		{"an envelope without alerts", `{"version":"4","receiver":"x","alerts":null}`, "", "unrecognised"},
		{"an object", `{"title":"x"}`, "", "unrecognised"},
		{"an array", `[{"labels":{}}]`, "", "unrecognised"},
		{"a string", `"fire"`, "", "unrecognised"},
		{"null", `null`, "", "unrecognised"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := webhook.Decode([]byte(tt.body), "", tt.userAgent, received, plain())
			if err != nil || b.Format != tt.want || b.Source != tt.want {
				t.Errorf("Decode(%s) = format %q, source %q, %v; want %q", tt.body, b.Format, b.Source, err, tt.want)
			}
		})
	}
}

func TestUnknownJSONIsKeptAsOneAlert(t *testing.T) {
	body := `{"message":"disk\n full","severity":"critical","service":"orders","cluster":"platform","status":"resolved","n":{"a":1}}`
	a := decode(t, body).Alerts[0]
	a.Labels, a.Fingerprint = nil, "" // checked elsewhere
	want := runbook.Alert{
		Source: "unrecognised", StartsAt: received, Status: runbook.Firing, Name: "disk full",
		Severity: runbook.Critical, SeverityRaw: "critical", Service: "orders", Cluster: "platform-prod", Env: runbook.Prod,
		Annotations: map[string]string{}, Unrecognised: true, Body: body,
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("unrecognised alert (-want +got):\n%s", diff)
	}
}

func TestUnrecognisedNames(t *testing.T) {
	tests := []struct{ name, body, want string }{
		{"the title first", `{"message":"m","name":"n","title":"t"}`, "t"},
		{"a title that is no string", `{"title":{"a":1},"event":"e"}`, "e"},
		{"a long message is cut", `{"message":"` + strings.Repeat("é", 500) + `"}`, strings.Repeat("é", 100)},
		{"nothing to take", `{"foo":"bar"}`, "Unrecognised alert"},
		{"an array", `["title"]`, "Unrecognised alert"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := decode(t, tt.body).Alerts[0].Name; got != tt.want {
				t.Errorf("name of %.60s = %q, want %q", tt.body, got, tt.want)
			}
		})
	}
}

func TestUnrecognisedBodyIsCutAtACharacter(t *testing.T) {
	a := decode(t, `{"x":"`+strings.Repeat("é", 20<<10)+`"}`).Alerts[0]
	if len(a.Body) > 16<<10 || len(a.Body) < 16<<10-4 || !utf8.ValidString(a.Body) {
		t.Errorf("body of %d bytes, valid %v; want at most %d, valid", len(a.Body), utf8.ValidString(a.Body), 16<<10)
	}
	other := decode(t, `{"x":"`+strings.Repeat("é", 20<<10)+`!"}`).Alerts[0]
	if a.Fingerprint == other.Fingerprint {
		t.Error("bodies that differ after the cut have the same fingerprint")
	}
}

func TestValuesOfOtherTypesAreKeptAsText(t *testing.T) {
	a := decode(t, `{"version":4,"truncatedAlerts":"2","alerts":[{"status":null,"fingerprint":12,
		"labels":{"s":"x","n":1.50,"t":true,"z":null,"o":{"a": [1]}},"annotations":null}]}`)
	want := map[string]string{"s": "x", "n": "1.50", "t": "true", "z": "", "o": `{"a": [1]}`}
	if diff := cmp.Diff(want, a.Alerts[0].Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if a.Alerts[0].Fingerprint != "12" || a.Truncated != 2 {
		t.Errorf("fingerprint %q, truncated %d; want 12, 2", a.Alerts[0].Fingerprint, a.Truncated)
	}
}

func TestDuplicateKeysLoseNoAlert(t *testing.T) {
	b := decode(t, `{"version":"4","alerts":[{"labels":{"a":"1"}}],"alerts":[{"labels":{"a":"2","a":"3"}}]}`)
	if len(b.Alerts) != 2 || b.Alerts[1].Labels["a"] != "3" {
		t.Errorf("%d alerts, last %v; want 2, the last with a=3", len(b.Alerts), b.Alerts)
	}
}

func TestTextIsBoundedAndValid(t *testing.T) {
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, `"l%d":"v",`, i)
	}
	a := decode(t, `{"version":"4","alerts":[{"fingerprint":"`+strings.Repeat("f", 999)+`","labels":{"alertname":"`+strings.Repeat("é", 9999)+
		`","bad":"a\u0000b`+"\xff"+`\ud800c",`+many.String()+`"last":"x"},"annotations":{"d":"`+strings.Repeat("x", 1<<20)+`"}}]}`).Alerts[0]
	if got, want := a.Labels["bad"], "a\uFFFDb\uFFFD\uFFFDc"; got != want {
		t.Errorf("hostile label = %q, want %q", got, want)
	}
	if len(a.Labels) != 256 || len(a.Labels["alertname"]) != 4096 || len(a.Annotations["d"]) != 16384 || len(a.Name) != 512 || len(a.Fingerprint) != 32 {
		t.Errorf("%d labels, alertname %d, annotation %d, name %d, fingerprint %d bytes; want 256, 4096, 16384, 512, 32",
			len(a.Labels), len(a.Labels["alertname"]), len(a.Annotations["d"]), len(a.Name), len(a.Fingerprint))
	}
}

func TestStatusAndTimes(t *testing.T) {
	past, future := "2026-11-23T11:00:00Z", "2026-11-23T13:00:00Z"
	at := func(s string) time.Time { v, _ := time.Parse(time.RFC3339Nano, s); return v }
	tests := []struct {
		name, envelope, alert string
		status                runbook.Status
		starts, ends          time.Time
	}{
		{"firing has no end", `"firing"`, `"status":"firing","startsAt":"` + past + `","endsAt":"` + future + `"`, "firing", at(past), time.Time{}},
		{"year 1 is no end", `"firing"`, `"status":"firing","endsAt":"0001-01-01T00:00:00Z"`, "firing", time.Time{}, time.Time{}},
		{"resolved keeps its end", `"firing"`, `"status":"resolved","endsAt":"` + past + `"`, "resolved", time.Time{}, at(past)},
		{"firing in a resolved envelope", `"resolved"`, `"status":"firing"`, "firing", time.Time{}, time.Time{}},
		{"no status and ended", `""`, `"endsAt":"` + past + `"`, "resolved", time.Time{}, at(past)},
		{"no status and not ended", `"resolved"`, `"endsAt":"` + future + `"`, "firing", time.Time{}, time.Time{}},
		{"no status, no end, all resolved", `"resolved"`, `"labels":{}`, "resolved", time.Time{}, time.Time{}},
		{"a label called status", `"firing"`, `"status":"firing","labels":{"status":"resolved"}`, "firing", time.Time{}, time.Time{}},
		{"a word we do not know", `"firing"`, `"status":"suppressed"`, "firing", time.Time{}, time.Time{}},
		{"nanoseconds and zones", `""`, `"startsAt":"2026-11-23T12:00:00.123456789+01:00"`, "firing", at("2026-11-23T11:00:00.123456789Z"), time.Time{}},
		{"no time at all", `""`, `"startsAt":"yesterday"`, "firing", time.Time{}, time.Time{}},
		{"a time that overflows", `""`, `"startsAt":"9999-01-01T00:00:00Z"`, "firing", time.Time{}, time.Time{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := decode(t, `{"version":"4","status":`+tt.envelope+`,"alerts":[{`+tt.alert+`}]}`).Alerts[0]
			if a.Status != tt.status || !a.StartsAt.Equal(tt.starts) || !a.EndsAt.Equal(tt.ends) {
				t.Errorf("status %s, %v to %v; want %s, %v to %v", a.Status, a.StartsAt, a.EndsAt, tt.status, tt.starts, tt.ends)
			}
			if a.StartsAt.Location() != time.UTC {
				t.Errorf("StartsAt in %v, want UTC", a.StartsAt.Location())
			}
		})
	}
}

// FuzzDecode holds what the rest of the system relies on, whatever is sent.
func FuzzDecode(f *testing.F) {
	for _, p := range payloads(f) {
		f.Add(p.body, p.headers["User-Agent"])
	}
	for _, s := range []string{`{}`, `[]`, `null`, `{"alerts":[{}]}`, `{"alerts":[{"labels":{"a":{"b":[1,"\ud800"]}}}]} `, `{"title":"x"}`} {
		f.Add([]byte(s), "")
	}
	n := plain()
	f.Fuzz(func(t *testing.T, body []byte, userAgent string) {
		b, err := webhook.Decode(body, "", userAgent, received, n)
		if err != nil {
			if len(b.Alerts) != 0 || err.Error() == "" {
				t.Errorf("error %q with %d alerts", err, len(b.Alerts))
			}
			if strings.Contains(err.Error(), "not JSON") && json.Valid(body) {
				t.Errorf("JSON that is refused: %v, %q", err, body)
			}
			return
		}
		if trimmed := strings.TrimPrefix(string(body), "\ufeff"); !json.Valid([]byte(trimmed)) {
			t.Errorf("accepted what is not JSON: %q", body)
		}
		if b.Source == "" || len(b.Alerts) > webhook.MaxAlerts {
			t.Errorf("source %q, %d alerts", b.Source, len(b.Alerts))
		}
		for _, a := range b.Alerts {
			checkAlert(t, a)
		}
	})
}

func checkAlert(t *testing.T, a runbook.Alert) {
	t.Helper()
	if a.Name == "" || a.Fingerprint == "" || a.Source == "" || a.Labels == nil || a.Annotations == nil {
		t.Errorf("incomplete: %+v", a)
	}
	if a.Status != runbook.Firing && a.Status != runbook.Resolved {
		t.Errorf("status %q", a.Status)
	}
	if a.Status == runbook.Firing && !a.EndsAt.IsZero() {
		t.Errorf("firing with an end: %v", a.EndsAt)
	}
	texts := []string{a.Name, a.Fingerprint, a.SeverityRaw, a.Service, a.Cluster, a.Namespace, a.GeneratorURL, a.Body}
	for _, m := range []map[string]string{a.Labels, a.Annotations} {
		for k, v := range m {
			texts = append(texts, k, v)
		}
	}
	for _, s := range texts {
		if len(s) > 16<<10 || !utf8.ValidString(s) || strings.Contains(s, "\x00") {
			t.Errorf("text of %d bytes, valid %v: %.80q", len(s), utf8.ValidString(s), s)
		}
	}
}
