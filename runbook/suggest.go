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

// How much noise it takes before the next one may be dismissed unseen. What
// counts are verdicts, not alerts: ten pods that were judged once are one
// opinion.
const (
	enoughOnDev  = 3
	enoughOnProd = 5

	// lookAgain makes every 25th of a month's noise be looked at: a dismissal is
	// recorded as noise and would otherwise feed on itself for ever.
	lookAgain = 25
)

// Several is the service of an event whose alerts are about more than one.
const Several = "several"

// Suggest weighs policy, playbook and history, and says why in a few words.
// p is the zero Playbook if none is known.
//
// What people decided beforehand goes first. Of history, noise counts for 7
// days and a real verdict for longer: while the last verdict of 14 days was
// real, the next one is escalated at once, and while any was real, none is
// dismissed. One that is real reverses every run of noise, and for the rest of
// 30 days that run must be twice as long before it counts again. A critical
// alert on production is never suggested for dismissal.
func Suggest(d Delivery, h History, p Policy, pb Playbook) (Suggestion, string) {
	if d.Kind == EventResolved {
		return Dismiss, "resolved, nothing to decide"
	}
	if d.Kind == EventCanary {
		return Dismiss, "our own canary, sent to see that the way to you works"
	}
	if m, ok := p.MustEscalate(d.Alert, d.Service, d.Cluster, pb.Category); ok {
		return Escalate, reason(m, "policy: always escalate")
	}
	if d.Kind == EventStorm {
		return Escalate, "several alerts at once"
	}
	if m, ok := p.Noise(d.Alert, d.Service, d.Cluster, pb.Category); ok {
		return knownNoise(d, h, reason(m, "known noise"))
	}
	if pb.AlwaysEscalate {
		return Escalate, "playbook " + pb.Name + ": always goes to a person"
	}
	return byHistory(d, h)
}

// knownNoise follows the operator's rule, unless what happened contradicts it.
func knownNoise(d Delivery, h History, why string) (Suggestion, string) {
	switch {
	case precious(d):
		return Investigate, why + ", but critical on production"
	case h.Week.Real > 0:
		return Investigate, fmt.Sprintf("%s, but real %s in 7 days", why, times(h.Week.Real))
	}
	return Dismiss, why
}

// byHistory suggests what followed from the earlier ones.
func byHistory(d Delivery, h History) (Suggestion, string) {
	if d.Kind == EventUnrecognised {
		return Investigate, "" // what shares no format shares no history
	}
	switch last := h.LastVerdict(); {
	case last == Real && h.Fortnight.Real > 0:
		return Escalate, fmt.Sprintf("%s, and the last time", share("real", h.Fortnight.Real, h.Fortnight, 14))
	case h.Fortnight.Real > 0:
		return Investigate, share("real", h.Fortnight.Real, h.Fortnight, 14)
	case h.Week.AutoFixed > 0:
		return Investigate, share("auto-fixed", h.Week.AutoFixed, h.Week, 7)
	}
	return byNoise(d, h)
}

// byNoise decides about an alert that was not real for 14 days.
func byNoise(d Delivery, h History) (Suggestion, string) {
	enough := enoughOnDev
	if d.Env.Strict() {
		enough = enoughOnProd
	}
	if h.Month.Real > 0 {
		enough *= 2
	}
	if h.noiseRun() < enough || h.Week.Noise < enough {
		return byFamily(d, h)
	}
	why := share("noise", h.Week.Noise, h.Week, 7)
	switch {
	case precious(d):
		return Investigate, why + ", but critical on production"
	case d.Service == Several:
		return Investigate, why + " for the first service, but there are several"
	case h.Month.Noise%lookAgain == 0:
		return Investigate, why + fmt.Sprintf("; every %dth is looked at again", lookAgain)
	}
	return Dismiss, why
}

// byFamily lets the siblings of a service speak. On production they only
// inform: tenants of one name can be very different people.
func byFamily(d Delivery, h History) (Suggestion, string) {
	f := h.FamilyWeek
	if h.Family == h.Service || f.Noise < 2*enoughOnDev || f.Noise != f.decided() || h.FamilyMonth.Real > 0 {
		return Investigate, ""
	}
	why := share("noise", f.Noise, f, 7) + " on " + h.Family
	if d.Env.Strict() || d.Service == Several {
		return Investigate, why
	}
	return Dismiss, why
}

// precious alerts are looked at whatever they were before.
func precious(d Delivery) bool { return d.Severity == Critical && d.Env.Strict() }

// noiseRun counts the latest verdicts, one for each delivery, that were noise
// and nothing else.
func (h History) noiseRun() int {
	n := 0
	for _, p := range h.Recent {
		switch p.Verdict {
		case Noise:
			n++
		case Real, AutoFixed:
			return n
		}
	}
	return n
}

// decided is how many have a verdict.
func (t Tally) decided() int { return t.Noise + t.Real + t.AutoFixed }

// share reads "12 of 12 noise in 7 days".
func share(word string, n int, t Tally, days int) string {
	return fmt.Sprintf("%d of %d %s in %d days", n, t.decided(), word, days)
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

func reason(m Match, otherwise string) string {
	if m.Reason != "" {
		return otherwise + ": " + m.Reason
	}
	return otherwise
}
