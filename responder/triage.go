package responder

import (
	"context"
	"errors"
	"time"

	"watchkeeper/runbook"
)

const (
	// alertsRead is how many alerts of an event are judged one by one. Of an
	// event with more, no rule about every alert holds.
	alertsRead = 200
	// judgings is how often an event is judged anew because alerts joined it
	// meanwhile.
	judgings = 3
)

// A Report is what became of one event.
type Report struct {
	Delivery   runbook.Delivery
	Alerts     []runbook.Occurrence // those that were read, worst first
	Groups     []runbook.AlertGroup // of a storm
	History    runbook.History
	Checked    string              // what was looked at; "" for nothing
	Found      []string            // what was seen there
	Unseen     string              // why the pods could not be looked at; "" if that is not so
	Verdict    runbook.Verdict     // "" for an event that needs none
	Why        string              // of the verdict, in words that follow "because"
	Escalation *runbook.Escalation // nil if no person was told
}

// triage deals with one event and reports what became of it; nil if somebody
// else had decided it. It may be called again after an error.
func (r *Responder) triage(ctx context.Context, d runbook.Delivery) (*Report, error) {
	if !d.Kind.NeedsVerdict() {
		s, err := r.reader.Subject(ctx, d)
		return &Report{Delivery: d, Alerts: s.Alerts, History: s.History}, err
	}
	d, err := r.Store.Claim(ctx, d.ID, time.Now())
	if err != nil || d.State == runbook.Done {
		return nil, err
	}
	q, ruled, err := r.judge(ctx, d)
	if err != nil {
		return nil, err
	}
	return r.settle(ctx, q, ruled)
}

// judge rules on d, and again if alerts joined it meanwhile: a dismissal must
// not close what nobody has looked at.
func (r *Responder) judge(ctx context.Context, d runbook.Delivery) (*inquiry, ruling, error) {
	for range judgings {
		q, ruled, err := r.judgeOnce(ctx, d)
		if err != nil || ruled.verdict == runbook.Real {
			return q, ruled, err
		}
		again, err := r.Store.Delivery(ctx, d.ID)
		if err != nil {
			return nil, ruling{}, err
		}
		if again.Alerts == d.Alerts && again.Status == d.Status {
			return q, ruled, nil
		}
		d = again
	}
	q, _, err := r.judgeOnce(ctx, d)
	return q, ruling{runbook.Real, "it comes and goes faster than it can be looked at"}, err
}

func (r *Responder) judgeOnce(ctx context.Context, d runbook.Delivery) (*inquiry, ruling, error) {
	q, err := r.inquire(ctx, d)
	if err != nil {
		return nil, ruling{}, err
	}
	if ruled, ok := q.atOnce(); ok {
		return q, ruled, nil
	}
	r.lookAt(ctx, q)
	// A look that was cut short by a shutdown would count as "nothing could be
	// seen", and go to a person who cannot help.
	return q, q.rule(time.Now()), ctx.Err()
}

// inquire reads what the memory and the policy know about d.
func (r *Responder) inquire(ctx context.Context, d runbook.Delivery) (*inquiry, error) {
	s, err := r.reader.Subject(ctx, d)
	if err != nil {
		return nil, err
	}
	if s.Alerts, err = r.Store.Alerts(ctx, d.ID, alertsRead); err != nil {
		return nil, err
	}
	q := &inquiry{Subject: s}
	q.playbook, _ = r.Playbooks.Find(s.Playbook)
	r.ask(q)
	return q, nil
}

// ask asks the policy about every single alert: an event may gather those of
// several services.
func (r *Responder) ask(q *inquiry) {
	known := 0
	for _, a := range q.Alerts {
		pb, _ := r.Playbooks.Match(a.Name, a.Service, a.Labels)
		if m, ok := r.Policy.MustEscalate(a.Name, a.Service, a.Cluster, pb.Category); ok && q.must == "" {
			q.must = because("policy: always goes to a person", m)
		}
		if m, ok := r.Policy.Noise(a.Name, a.Service, a.Cluster, pb.Category); ok {
			q.noise, known = because("known noise", m), known+1
		}
	}
	if known == 0 || known < q.Delivery.Alerts {
		q.noise = ""
	}
}

func because(rule string, m runbook.Match) string {
	if m.Reason == "" {
		return rule
	}
	return rule + ": " + m.Reason
}

// lookAt takes the first look, at as much as the event names.
func (r *Responder) lookAt(ctx context.Context, q *inquiry) {
	if r.Looker == nil {
		q.look.Unseen = "nothing is configured to look at"
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	q.look = r.Looker.Look(ctx, q.Delivery, q.Alerts)
}

// named is what all alerts of an event agree on, or "".
func named(s string) string {
	if s == runbook.Several {
		return ""
	}
	return s
}

// settle tells a person if need be, and then closes the event: killed in
// between, it is done again and finds that the person was told.
func (r *Responder) settle(ctx context.Context, q *inquiry, ruled ruling) (*Report, error) {
	report := &Report{
		Delivery: q.Delivery, Alerts: q.Alerts, Groups: q.Groups, History: q.History,
		Verdict: ruled.verdict, Why: ruled.why, Checked: q.look.Checked, Found: q.look.Found, Unseen: q.look.Unseen,
	}
	if ruled.verdict == runbook.Real {
		told, err := r.tell(ctx, q, ruled)
		if err != nil {
			return nil, err
		}
		report.Escalation = &told
	}
	_, err := r.Store.LogVerdict(ctx, q.incident(ruled, time.Now()), false)
	if err != nil && !errors.Is(err, runbook.ErrDecided) {
		return nil, err
	}
	r.Log.InfoContext(ctx, "triaged without a model", "delivery", q.Delivery.ID.String(), "alert", q.Delivery.Alert,
		"verdict", string(ruled.verdict), "escalated", report.Escalation != nil, "why", ruled.why)
	return report, nil
}
