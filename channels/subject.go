package channels

import (
	"context"
	"time"

	"watchkeeper/runbook"
)

// alertsShown is how many alerts of a delivery an event reads; what does not
// fit is counted.
const alertsShown = 12

// A Past is what a Reader needs of the store.
type Past interface {
	Alerts(ctx context.Context, id runbook.DeliveryID, limit int) ([]runbook.Occurrence, error)
	Groups(ctx context.Context, id runbook.DeliveryID, limit int) ([]runbook.AlertGroup, error)
	History(ctx context.Context, alert, service, cluster string, now time.Time, except runbook.DeliveryID) (runbook.History, error)
}

// A Reader gathers what an event tells about a delivery.
type Reader struct {
	Past      Past
	Policy    runbook.Policy
	Playbooks runbook.Playbooks
}

// Subject reads the alerts and the history of d, and what the policy says.
func (r Reader) Subject(ctx context.Context, d runbook.Delivery) (Subject, error) {
	s := Subject{Delivery: d}
	if d.Channel == "slack" {
		return s, nil
	}
	var err error
	if d.Kind == runbook.EventStorm {
		s.Groups, err = r.Past.Groups(ctx, d.ID, 2*alertsShown)
	} else {
		s.Alerts, err = r.Past.Alerts(ctx, d.ID, alertsShown)
	}
	if err != nil {
		return s, err
	}
	service, cluster := d.Service, d.Cluster
	if len(s.Alerts) > 0 && service == runbook.Several { // the history of the first one stands for the others
		service = s.Alerts[0].Service
	}
	s.History, err = r.Past.History(ctx, d.Alert, service, cluster, time.Now(), d.ID)
	if err != nil {
		return s, err
	}
	var labels map[string]string
	if len(s.Alerts) > 0 {
		labels = s.Alerts[0].Labels
	}
	pb, _ := r.Playbooks.Match(d.Alert, d.Service, labels)
	s.Playbook = pb.Name
	s.Suggestion, s.Why = runbook.Suggest(d, s.History, r.Policy, pb)
	return s, nil
}
