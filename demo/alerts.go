package demo

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/template"
	"time"

	"watchkeeper/runbook"
)

//go:embed data/*.json
var bodies embed.FS

// A scene is one request that the demo sends itself.
type scene struct {
	title string // what there is to see
	body  string // file in data
	path  string
	agent string
}

// Names that senders give themselves.
const (
	alertmanager = "Alertmanager/0.34.2"
	signoz       = "Alertmanager/"
	grafana      = "Grafana"
	script       = "curl/8.14.1"
)

// scenes are told in this order. Each has one event as its outcome.
func scenes() []scene {
	return []scene{
		{"A slow service that was noise all week", "noise.json", "/webhook/signoz", signoz},
		{"A test tenant, known noise by policy", "known.json", "/webhook/signoz", signoz},
		{"A dev pod that ran out of memory once", "recovered.json", "/webhook/alertmanager", alertmanager},
		{"A release that crashes", "crashloop.json", "/webhook/alertmanager", alertmanager},
		{"A database out of connections: always a person's", "database.json", "/webhook/grafana", grafana},
		{"An earlier incident ends", "resolved.json", "/webhook/alertmanager", alertmanager},
		{"JSON that no monitoring system writes", "unrecognised.json", "/webhook/backup", script},
		{"A storm: everything at once", "storm.json", "/webhook/alertmanager", alertmanager},
	}
}

// A stormRule is one alert of the storm.
type stormRule struct{ Name, Service, Namespace, Summary, Severity string }

// stormRules are enough to be a storm: more than [runbook.StormAbove].
func stormRules() []stormRule {
	var rules []stormRule
	for _, s := range []string{
		"shop/frontend", "shop/checkout-api", "shop/cart", "shop/orders-api",
		"shop/payments", "shop/backend", "data/data-service", "data/embedding-worker",
	} {
		namespace, service, _ := strings.Cut(s, "/")
		rules = append(rules,
			stormRule{"Requests to " + service + " fail", service, namespace, "5xx above 5%", "critical"},
			stormRule{service + " is slow", service, namespace, "p99 above 2 s", "warning"},
			stormRule{service + " cannot resolve names", service, namespace, "DNS lookups time out", "warning"})
	}
	return rules
}

// render returns the body of s as if it were sent at now.
func (s scene) render(now time.Time) ([]byte, error) {
	back := func(d string, form func(time.Time) string) (string, error) {
		ago, err := time.ParseDuration(d)
		return form(now.Add(-ago).UTC()), err
	}
	t, err := template.New(s.body).Funcs(template.FuncMap{
		"ago": func(d string) (string, error) {
			return back(d, func(t time.Time) string { return t.Format(time.RFC3339Nano) })
		},
		"nano": func(d string) (string, error) {
			return back(d, func(t time.Time) string { return fmt.Sprint(t.UnixNano()) })
		},
		"rules": stormRules,
	}).ParseFS(bodies, "data/"+s.body)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.ExecuteTemplate(&b, s.body, nil)
	return b.Bytes(), err
}

// send posts s to the intake at url, as its sender would.
func (s scene) send(ctx context.Context, url string, now time.Time) error {
	body, err := s.render(now)
	if err != nil {
		return fmt.Errorf("render %s: %w", s.body, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+s.path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", s.agent)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("send %s: %w", s.body, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 300)) // for the error below only
		return fmt.Errorf("send %s: the intake answered %s: %s", s.body, res.Status, bytes.TrimSpace(text))
	}
	return nil
}

// yours is the alert that the printed curl sends: one that the sample cluster
// has an answer to.
const yours = `{"alerts":[{"status":"firing","labels":{"alertname":"KubePodNotReady","severity":"warning",` +
	`"service":"embedding-worker","namespace":"data","cluster":"platform-prod"}}]}`

// policy is what the operator of the demo decided beforehand.
func policy() runbook.Policy {
	return runbook.Policy{
		KnownNoise:     []runbook.Match{{Alert: "Tenant Inactive", Service: "tenant-test-*", Reason: "test tenants have no heartbeat"}},
		EscalateAlways: []runbook.Match{{Category: "database"}, {Category: "certificate"}},
	}
}
