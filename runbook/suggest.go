package runbook

import "fmt"

// A Suggestion is what the memory and the policy would do with an event. The
// dispatcher decides.
type Suggestion string

// Suggestions.
const (
	Dismiss     Suggestion = "dismiss"
	Investigate Suggestion = "investigate"
	Escalate    Suggestion = "escalate"
)

// dismissAfter is how many noise verdicts without a real one in 7 days make
// the next one a candidate for dismissal.
const dismissAfter = 3

// Suggest weighs policy and history, and says why in a few words. A critical
// alert on production is never suggested for dismissal by history alone, and
// one real verdict among the recent ones reverses any run of noise.
func Suggest(d Delivery, h History, p Policy, category string) (Suggestion, string) {
	if m, ok := p.MustEscalate(d.Alert, d.Service, d.Cluster, category); ok {
		return Escalate, reason(m, "policy: always escalate")
	}
	if d.Kind == EventStorm {
		return Escalate, "several alerts at once"
	}
	if m, ok := p.Noise(d.Alert, d.Service, d.Cluster, category); ok {
		return Dismiss, reason(m, "known noise")
	}
	decided := h.Week.Noise + h.Week.Real + h.Week.AutoFixed
	switch {
	case h.Week.Real > 0 && h.LastVerdict() == Real:
		return Escalate, fmt.Sprintf("real %d of %d times in 7 days, and the last time", h.Week.Real, decided)
	case h.Week.Noise >= dismissAfter && h.Week.Noise == decided:
		why := fmt.Sprintf("%d of %d noise in 7 days", h.Week.Noise, decided)
		if d.Severity == Critical && d.Env.Strict() {
			return Investigate, why + ", but critical on production"
		}
		return Dismiss, why
	}
	return Investigate, ""
}

func reason(m Match, otherwise string) string {
	if m.Reason != "" {
		return otherwise + ": " + m.Reason
	}
	return otherwise
}
