package tools

import (
	"context"
	"slices"
	"strings"
	"time"

	"watchkeeper/runbook"
)

// Bounds of what a write may be made for.
const (
	askedWithin    = time.Hour // a request of a person holds no longer
	mandateAlerts  = 200       // of one event are looked at; more is a storm, whatever it is called
	manyServices   = 3         // in one event have one cause, which none of the writes mends
	decideByPerson = "decide what is to be done; if they ask for it in Slack, name the delivery of that message"
)

// A write is made for a delivery: for an alert, whose playbook says which of the
// four may help, or for a message in which a person asked for it. Without that
// rule any alert would do as a pretext for any change, and a session that was
// talked into something would find one.
//
// What a person asked for is theirs to decide; all that protects the cluster
// itself holds for them too.

// mandated refuses what the delivery of the order does not justify.
func (o *order) mandated(ctx context.Context, now time.Time) error {
	d := o.delivery
	if d.Kind == runbook.EventMessage {
		if now.Sub(d.CreatedAt) > askedWithin {
			return refuse("say it again", "%s was written %s, and what a person asked for holds for an hour", d.ID, ago(now, d.CreatedAt))
		}
		return nil
	}
	if err := o.open(); err != nil {
		return err
	}
	alerts, err := o.ledger.Alerts(ctx, d.ID, mandateAlerts)
	if err != nil {
		return err
	}
	if n := services(alerts); n >= manyServices || d.Alerts > len(alerts) || d.Kind == runbook.EventStorm {
		return refuse(decideByPerson, "%s is about several services at once, and nothing is changed while several fail", d.ID)
	}
	for _, a := range alerts {
		if err := o.allowedFor(a); err != nil {
			return err
		}
	}
	return nil
}

// open refuses what is no alert that goes on, and one of another cluster.
func (o *order) open() error {
	d := o.delivery
	switch {
	case !d.Kind.NeedsVerdict():
		return refuse(decideByPerson, "%s is a notice (%s): no alert, and nobody asks for anything in it", d.ID, d.Kind)
	case d.State == runbook.Done || d.State == runbook.Merged:
		return refuse(decideByPerson, "%s is closed", d.ID)
	case d.Status == runbook.Resolved:
		return refuse("nothing; it has recovered", "the alerts of %s have ended, and what has recovered needs nothing", d.ID)
	case o.elsewhere, d.Cluster == "", d.Cluster == runbook.Several:
		return nil // Argo CD often lives in another cluster than what it deploys
	}
	if c, err := o.clusters.Get(d.Cluster); err != nil || c != o.cluster {
		return refuse(decideByPerson, "%s is about cluster %s, not %s", d.ID, oneLine(d.Cluster, 80), o.cluster.Name)
	}
	return nil
}

// allowedFor asks the playbook of an alert, and the policy.
func (o *order) allowedFor(a runbook.Occurrence) error {
	p, ok := o.cfg.Playbooks.Match(a.Name, a.Service, a.Labels)
	if m, always := o.cfg.Policy.MustEscalate(a.Name, a.Service, a.Cluster, p.Category); always {
		return refuse(decideByPerson, "the policy leaves %q to a person%s", oneLine(a.Name, 120), because(m.Reason))
	}
	switch {
	case slices.Contains(p.AllowedActions, o.action):
		return nil
	case !ok:
		return refuse(decideByPerson, "no playbook fits %q, so nothing may be changed for it", oneLine(a.Name, 120))
	case len(p.AllowedActions) == 0:
		return refuse(decideByPerson, "playbook %s, which is that of %q, allows no action", p.Name, oneLine(a.Name, 120))
	}
	return refuse(decideByPerson, "playbook %s, which is that of %q, allows %s and not %s",
		p.Name, oneLine(a.Name, 120), strings.Join(p.AllowedActions, ", "), o.action)
}

// because reads " (reason)", or nothing.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + oneLine(reason, 200) + ")"
}

// services counts the different services of alerts. Those that name none count
// as one.
func services(alerts []runbook.Occurrence) int {
	seen := map[string]bool{}
	for _, a := range alerts {
		seen[a.Service] = true
	}
	return len(seen)
}
