package demo

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
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

// storm returns alerts enough to be a storm: more than [runbook.StormAbove].
func storm(now time.Time) (string, error) {
	var alerts []string
	alert := func(name, service, namespace, severity, summary string) error {
		text, err := json.Marshal(map[string]any{
			"status": "firing", "startsAt": now.Add(-time.Minute).UTC(), "endsAt": time.Time{},
			"labels": map[string]string{
				"alertname": name, "cluster": "platform-prod", "environment": "production",
				"namespace": namespace, "service": service, "severity": severity,
			},
			"annotations":  map[string]string{"summary": summary},
			"generatorURL": "http://prometheus.example.com/graph?g0.expr=up&g0.tab=1",
			"fingerprint":  fmt.Sprintf("5701a%011x", len(alerts)),
		})
		alerts = append(alerts, string(text))
		return err
	}
	var errs []error
	for _, s := range []string{
		"shop/frontend", "shop/checkout-api", "shop/cart", "shop/orders-api",
		"shop/payments", "shop/backend", "data/data-service", "data/embedding-worker",
	} {
		namespace, service, _ := strings.Cut(s, "/")
		errs = append(errs,
			alert("Requests to "+service+" fail", service, namespace, "critical", "5xx above 5%"),
			alert(service+" is slow", service, namespace, "warning", "p99 above 2 s"),
			alert(service+" cannot resolve names", service, namespace, "warning", "DNS lookups time out"))
	}
	return strings.Join(alerts, ","), errors.Join(errs...)
}

// render returns the body of s as if it were sent at now. A body holds ${ago
// 15m} for a time, ${nano 15m} for the same in nanoseconds, and ${storm}.
//
// It does not use text/template, which calls methods by name: the linker would
// then keep every method of every type, and the program would be half as large
// again, in memory too.
func (s scene) render(now time.Time) ([]byte, error) {
	body, err := bodies.ReadFile("data/" + s.body)
	if err != nil {
		return nil, err
	}
	var errs []error
	text := os.Expand(string(body), func(name string) string {
		value, err := fill(name, now)
		errs = append(errs, err)
		return value
	})
	return []byte(text), errors.Join(errs...)
}

// fill returns what stands for ${name} in a body.
func fill(name string, now time.Time) (string, error) {
	if name == "storm" {
		return storm(now)
	}
	form, d, _ := strings.Cut(name, " ")
	ago, err := time.ParseDuration(d)
	then := now.Add(-ago).UTC()
	switch {
	case err != nil:
		return "", fmt.Errorf("${%s}: %w", name, err)
	case form == "ago":
		return then.Format(time.RFC3339Nano), nil
	case form == "nano":
		return fmt.Sprint(then.UnixNano()), nil
	}
	return "", fmt.Errorf("${%s} is unknown; want ago, nano or storm", name)
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
