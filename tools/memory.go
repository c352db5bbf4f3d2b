package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/runbook"
)

// A store is what the tools need of the store.
type store interface {
	claimer
	Alerts(ctx context.Context, id runbook.DeliveryID, limit int) ([]runbook.Occurrence, error)
	Groups(ctx context.Context, id runbook.DeliveryID, limit int) ([]runbook.AlertGroup, error)
	History(ctx context.Context, alert, service, cluster string, now time.Time, except runbook.DeliveryID) (runbook.History, error)
	Incident(ctx context.Context, id runbook.DeliveryID) (runbook.Incident, error)
	LogVerdict(ctx context.Context, in runbook.Incident, revise bool) (runbook.Incident, error)
	Briefing(ctx context.Context, now time.Time, days int) (runbook.Briefing, error)
}

// MemoryConfig is what the memory's tools may be told. The zero value works.
type MemoryConfig struct {
	Policy   runbook.Policy
	Location *time.Location // of the dates of a briefing; nil is UTC
	Actor    string         // who decides; "" is "session"
}

// Memory returns the tools of the incident memory: incident_history,
// log_verdict, briefing and get_playbook.
func Memory(s store, playbooks runbook.Playbooks, cfg MemoryConfig) []server.ServerTool {
	r := recorder{store: s, playbooks: playbooks, policy: cfg.Policy, actor: cmp.Or(cfg.Actor, "session")}
	return []server.ServerTool{incidentHistory(r), logVerdict(r), briefing(s, cfg.Location), getPlaybook(r)}
}

// A recorder is the memory with what is needed to judge what it says.
type recorder struct {
	store
	playbooks runbook.Playbooks
	policy    runbook.Policy
	actor     string
}

// A claimer records that somebody works on a delivery.
type claimer interface {
	Claim(ctx context.Context, id runbook.DeliveryID, now time.Time) (runbook.Delivery, error)
}

// claim reads a delivery's name and records that somebody works on it: the
// first tool call that names a delivery is its acknowledgement.
func claim(ctx context.Context, c claimer, name string) (runbook.Delivery, error) {
	id, err := runbook.ParseDelivery(name)
	if err != nil {
		return runbook.Delivery{}, err
	}
	d, err := c.Claim(ctx, id, time.Now())
	if errors.Is(err, runbook.ErrNotFound) {
		return d, fmt.Errorf("there is no delivery %s; its number stands in the event, and pending_events lists what is open", id)
	}
	return d, err
}

// playbook returns the page for a delivery, by its worst alert; the zero
// Playbook if none fits.
func (r recorder) playbook(ctx context.Context, d runbook.Delivery) (runbook.Playbook, error) {
	alerts, err := r.Alerts(ctx, d.ID, 1)
	if err != nil {
		return runbook.Playbook{}, err
	}
	var labels map[string]string
	if len(alerts) > 0 {
		labels = alerts[0].Labels
	}
	p, _ := r.playbooks.Match(d.Alert, d.Service, labels)
	return p, nil
}

type briefingArgs struct {
	Days int `json:"days,omitempty" jsonschema:"how many days back, 7 if not given, at most 90"`
}

func briefing(s store, loc *time.Location) server.ServerTool {
	return tool("briefing",
		"What happened in the last days: alerts by verdict, recurring noise, real incidents, pending escalations. "+
			"Use it at the start of a session and when a person asks how things are; for one alert use incident_history.",
		readOnly,
		func(ctx context.Context, in briefingArgs) (string, error) {
			days := cmp.Or(in.Days, 7)
			if days < 1 || days > 90 {
				return "", fmt.Errorf("days is %d, want 1 to 90", days)
			}
			b, err := s.Briefing(ctx, time.Now(), days)
			if err != nil {
				return "", err
			}
			b.Location = loc
			return cleanLines(b.String()), nil
		})
}

// cleanLines makes a page of our own form safe whose lines have foreign parts.
func cleanLines(s string) string {
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i, l := range lines {
		indent := l[:len(l)-len(strings.TrimLeft(l, " "))]
		lines[i] = indent + oneLine(l, 500)
	}
	return strings.Join(lines, "\n") + "\n"
}

// subject reads `"High Latency" on checkout, platform-prod`.
func subject(alert, service, cluster string) string {
	s := fmt.Sprintf("%q", oneLine(alert, 160))
	if service != "" {
		s += " on " + oneLine(service, 120)
	}
	if cluster != "" {
		s += ", cluster " + oneLine(cluster, 120)
	}
	return s
}

// stamp writes a moment for the session, in UTC.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
