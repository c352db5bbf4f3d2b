package responder

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"watchkeeper/channels"
	"watchkeeper/runbook"
)

const (
	// settled is how long every pod must have been ready to count as recovered:
	// longer than most readiness probes and back-offs take to fail again.
	settled = 3 * time.Minute
	// unsteady is how many restarts, the last within unsteadyFor, make a pod
	// that is ready now one that will fail again.
	unsteady    = 3
	unsteadyFor = time.Hour
)

// An inquiry is what is known about one event.
type inquiry struct {
	channels.Subject                  // its Alerts are all that were read, worst first
	playbook         runbook.Playbook // zero if none is known
	must             string           // why the policy sends it to a person, whatever is found; "" if it does not
	noise            string           // why the policy holds every alert of it for noise; "" if it does not
	look             Look             // zero until somebody looked
}

// A ruling is what is to be done with an event, and why, in words that follow
// "because".
type ruling struct {
	verdict runbook.Verdict // Noise, or Real: then a person is told
	why     string
}

// atOnce rules on what needs no look: what the operator called noise
// beforehand. It reports false for everything else. The operator's word does
// not hold for what is critical on production, nor against a real verdict of
// the last days.
func (q *inquiry) atOnce() (ruling, bool) {
	if q.Delivery.Kind == runbook.EventCanary {
		return ruling{runbook.Noise, "it is our own canary"}, true
	}
	if q.must != "" || q.noise == "" || q.precious() || q.History.Week.Real > 0 || q.Delivery.Kind == runbook.EventStorm {
		return ruling{}, false
	}
	return ruling{runbook.Noise, q.noise}, true
}

// rule decides after the look.
func (q *inquiry) rule(now time.Time) ruling {
	if q.must != "" {
		return ruling{runbook.Real, q.must}
	}
	if q.Suggestion == runbook.Escalate {
		return ruling{runbook.Real, q.Why}
	}
	why, ok := q.recovered(now)
	if ok {
		return ruling{runbook.Noise, why}
	}
	if q.Why != "" {
		why += " (" + q.Why + ")"
	}
	return ruling{runbook.Real, why}
}

// recovered reports whether it is proven that nothing is wrong any more, and
// how, or what the proof lacks.
func (q *inquiry) recovered(now time.Time) (string, bool) {
	h := q.look.Health
	switch d := q.Delivery; {
	case d.Kind == runbook.EventUnrecognised:
		return "nobody knows this format, so nothing about it can be proven", false
	case h.Wrong:
		reason, _, _ := strings.Cut(q.look.Short, ",")
		return "it is not well now: " + reason, false
	case d.Status == runbook.Resolved:
		return "the alert resolved by itself" + q.lasted(), true
	case q.precious():
		return "it is critical on production and still fires", false
	case q.noData():
		return "the sender lost its data, so nothing is known to be right", false
	case q.look.Unseen != "":
		return "its pods could not be looked at", false
	case !h.Healthy:
		return "it is not proven to be over", false
	}
	return q.steady(h, now)
}

// steady judges a service that is healthy now.
func (q *inquiry) steady(h Health, now time.Time) (string, bool) {
	ready := "every pod has been ready for " + age(h.Since, now)
	switch {
	case h.Since.IsZero() || now.Sub(h.Since) < settled:
		return "its pods are ready, but not for long enough to be sure", false
	case h.Restarts >= unsteady && now.Sub(h.EndedAt) < unsteadyFor:
		return fmt.Sprintf("its pods are ready, but were restarted %d times", h.Restarts), false
	case aboutPods(q.playbook) && h.Ended != "" && now.Sub(h.EndedAt) < runbook.Day:
		return fmt.Sprintf("recovered after %s, %s", h.Ended, ready), true
	case aboutPods(q.playbook):
		return ready, true
	case q.Suggestion == runbook.Dismiss:
		return fmt.Sprintf("%s, and %s", q.Why, ready), true
	}
	// Ready pods prove nothing about latency, errors or a certificate.
	return "its pods are ready, which does not show that this is over", false
}

// precious alerts are dismissed only when they end by themselves.
func (q *inquiry) precious() bool {
	return q.Delivery.Severity == runbook.Critical && q.Delivery.Env.Strict()
}

func (q *inquiry) noData() bool {
	return slices.ContainsFunc(q.Alerts, func(a runbook.Occurrence) bool { return a.NoData })
}

// lasted reads " after 4 min", for the longest of the alerts.
func (q *inquiry) lasted() string {
	var longest time.Duration
	for _, a := range q.Alerts {
		longest = max(longest, a.Duration())
	}
	if longest == 0 {
		return ""
	}
	return " after " + runbook.Short(longest)
}

// aboutPods reports whether pods that are ready answer an alert of this kind:
// those whose playbook looks at what happened to the pods.
func aboutPods(p runbook.Playbook) bool {
	return p.Category == "workload" && slices.Contains(p.FirstLook, "events")
}
