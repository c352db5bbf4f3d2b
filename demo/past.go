package demo

import (
	"context"
	"fmt"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// A past is an alert that fired before the demo began, once or several times.
type past struct {
	alert, service, cluster, source string
	severity                        runbook.Severity
	fingerprint                     string // "" makes one of the names

	times int           // firings
	every time.Duration // between two of them
	last  time.Duration // before now the last one began
	lasts time.Duration // of each; 0 still fires

	verdict   runbook.Verdict
	summary   string
	escalated string // title of the escalation; "" for none
	taken     bool   // it was acknowledged and resolved by a person
}

const hour = time.Hour

// pasts are the week before: mostly noise, a few real ones.
func pasts() []past {
	tenant := func(n int, last time.Duration) past {
		return past{
			alert: "Tenant Inactive", service: fmt.Sprintf("tenant-test-%d", n), cluster: "platform-prod", source: "signoz",
			severity: runbook.Warning, times: 4, every: 41 * hour, last: last, lasts: 25 * time.Minute,
			verdict: runbook.Noise, summary: "test tenants have no heartbeat",
		}
	}
	return []past{
		{
			alert: "High Latency", service: "openaire-test", cluster: "platform-prod", source: "signoz", severity: runbook.Warning,
			times: 12, every: 13 * hour, last: 7 * hour, lasts: 6 * time.Minute,
			verdict: runbook.Noise, summary: "a 30 s root span is streaming HTTP, nobody waits for it",
		},
		tenant(1, 9*hour), tenant(2, 5*hour), tenant(3, 20*hour),
		{
			alert: "KubePodOOMKilled", service: "export-worker", cluster: "platform-dev", source: "alertmanager", severity: runbook.Warning,
			times: 2, every: 49 * hour, last: 30 * hour, lasts: 2 * time.Minute, verdict: runbook.Noise, summary: "dev pod hit its limit once, recovered",
		},
		{
			alert: "High CPU", service: "embedding-worker", cluster: "platform-prod", source: "alertmanager", severity: runbook.Info,
			times: 5, every: 31 * hour, last: 11 * hour, lasts: 12 * time.Minute, verdict: runbook.Noise, summary: "nightly embedding run, as planned",
		},
		{
			alert: "Pod CrashLooping", service: "backend", cluster: "platform-prod", source: "alertmanager", severity: runbook.Critical,
			times: 1, last: 52 * hour, lasts: 9 * time.Minute, verdict: runbook.AutoFixed, summary: "OOMKilled, recovered after one restart",
		},
		{
			alert: "ArgoCD Out-of-Sync", service: "data-service", cluster: "platform-prod", source: "grafana", severity: runbook.Warning,
			times: 1, last: 75 * hour, lasts: 2 * hour, verdict: runbook.Real, summary: "bad helm values", escalated: "helm values do not parse", taken: true,
		},
		{
			alert: "High Error Rate", service: "checkout-api", cluster: "platform-prod", source: "alertmanager", severity: runbook.Critical,
			fingerprint: "0f9d2c4b6a8e1357", // ends in resolved.json
			times:       1, last: 3 * hour, verdict: runbook.Real, summary: "payment provider times out", escalated: "payment provider times out", taken: true,
		},
		{
			alert: "PVC at 87%", service: "qdrant", cluster: "platform-prod", source: "signoz", severity: runbook.Warning,
			times: 1, last: 26 * hour, verdict: runbook.Real, summary: "climbing 2% a day", escalated: "climbing 2% a day, full in 6 days",
		},
	}
}

// remember stores all pasts as they would be at now.
func remember(ctx context.Context, s *sqlite.Store, now time.Time) error {
	for _, p := range pasts() {
		for i := range p.times {
			// Oldest first, as they came.
			began := now.Add(-p.last - time.Duration(p.times-1-i)*p.every)
			if err := p.remember(ctx, s, began); err != nil {
				return fmt.Errorf("remember %s on %s: %w", p.alert, p.service, err)
			}
		}
	}
	return nil
}

// remember stores one firing, from its alert to its verdict. It ends before the
// verdict, so that nothing of it is owed to anybody.
func (p past) remember(ctx context.Context, s *sqlite.Store, began time.Time) error {
	a := p.firing(began)
	if err := put(ctx, s, a, began); err != nil {
		return err
	}
	if p.lasts > 0 {
		a.Status, a.EndsAt = runbook.Resolved, began.Add(p.lasts)
		if err := put(ctx, s, a, a.EndsAt); err != nil {
			return err
		}
	}
	open, err := s.Open(ctx)
	if err != nil {
		return err
	}
	if len(open) != 1 {
		return fmt.Errorf("%d events are open, want the one just stored", len(open))
	}
	if err := p.tell(ctx, s, open[0].ID, began.Add(2*time.Minute)); err != nil {
		return err
	}
	_, err = s.LogVerdict(ctx, runbook.Incident{
		Delivery: open[0].ID, Verdict: p.verdict, Summary: p.summary,
		DecidedBy: "session", DecidedAt: began.Add(p.lasts + 3*time.Minute),
	}, false)
	return err
}

func (p past) firing(began time.Time) runbook.Alert {
	a := runbook.Alert{
		Source: p.source, Fingerprint: p.fingerprint, StartsAt: began, Status: runbook.Firing, Name: p.alert,
		Severity: p.severity, SeverityRaw: string(p.severity), Service: p.service, Cluster: p.cluster, Env: environments()[p.cluster],
	}
	if a.Fingerprint == "" {
		a.Fingerprint = p.alert + "/" + p.service
	}
	return a
}

func put(ctx context.Context, s *sqlite.Store, a runbook.Alert, at time.Time) error {
	_, err := s.Put(ctx, runbook.Batch{Source: a.Source, ReceivedAt: at, Alerts: []runbook.Alert{a}})
	return err
}

// tell escalates, if the past one was, and lets a person take it.
func (p past) tell(ctx context.Context, s *sqlite.Store, id runbook.DeliveryID, at time.Time) error {
	if p.escalated == "" {
		return nil
	}
	e := runbook.Escalation{Key: "delivery:" + id.String(), Delivery: id, Title: p.escalated, OpenedBy: "session", OpenedAt: at}
	e, _, err := s.Escalate(ctx, e, e.Text())
	if err != nil || !p.taken {
		return err
	}
	if err := s.Acknowledge(ctx, e.ID, "U0DEMO", at.Add(3*time.Minute)); err != nil {
		return err
	}
	return s.ResolveEscalation(ctx, e.ID, "U0DEMO", at.Add(90*time.Minute))
}
