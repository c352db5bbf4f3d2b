package runbook_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"watchkeeper/runbook"
)

// A life is a random past of an alert with the alert that comes next.
type life struct {
	firings []firing
	next    runbook.Delivery
	policy  runbook.Policy
	book    runbook.Playbook
}

// suggest is what the memory would do with the alert that comes next.
func (l life) suggest() (runbook.Suggestion, string) {
	return runbook.Suggest(l.next, past(slices.Clone(l.firings)...), l.policy, l.book)
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// randomLife is mostly noise, as life is: the runs that count must be common.
func randomLife(r *rand.Rand) life {
	l := life{next: runbook.Delivery{
		Kind:  pick(r, runbook.EventAlert, runbook.EventAlert, runbook.EventAlert, runbook.EventWatch, runbook.EventUnrecognised, runbook.EventStorm),
		Alert: "High Latency", Service: "openaire-test", Severity: pick(r, runbook.Critical, runbook.Warning, runbook.Info),
		Env: pick(r, runbook.Prod, runbook.Dev, runbook.EnvUnknown),
	}}
	for range r.IntN(40) {
		l.firings = append(l.firings, firing{
			ago:     time.Duration(1+r.Int64N(int64(35*runbook.Day/time.Minute))) * time.Minute,
			verdict: pick(r, runbook.Noise, runbook.Noise, runbook.Noise, runbook.Noise, runbook.Noise, runbook.Noise, runbook.Real, runbook.AutoFixed, ""),
		})
	}
	if r.IntN(3) == 0 { // nothing but noise, and much of it lately
		for i := range l.firings {
			l.firings[i].verdict, l.firings[i].ago = runbook.Noise, l.firings[i].ago%(9*runbook.Day)+time.Minute
		}
	}
	if r.IntN(4) == 0 {
		l.policy.KnownNoise = []runbook.Match{{Alert: "High*"}}
	}
	return l
}

// lived is how many lives a property is tried on.
const lived = 5000

// lives checks a property of many random lives; dismissed counts those that
// are dismissed, so that a property is not true of nothing.
func lives(t *testing.T, check func(r *rand.Rand, l life)) {
	t.Helper()
	r, dismissed := rand.New(rand.NewPCG(7, 7)), 0
	for range lived {
		l := randomLife(r)
		if s, _ := l.suggest(); s == runbook.Dismiss {
			dismissed++
		}
		check(r, l)
		if t.Failed() {
			return
		}
	}
	if dismissed < lived/20 {
		t.Errorf("%d of %d lives end in a dismissal: the property was hardly tried", dismissed, lived)
	}
}

func (l life) within(d time.Duration, v runbook.Verdict) int {
	n := 0
	for _, f := range l.firings {
		if f.ago <= d && f.verdict == v {
			n++
		}
	}
	return n
}

func TestACriticalOnProductionIsNeverDismissed(t *testing.T) {
	lives(t, func(_ *rand.Rand, l life) {
		l.next.Severity = runbook.Critical
		if l.next.Env == runbook.Dev {
			l.next.Env = runbook.EnvUnknown
		}
		if s, why := l.suggest(); s == runbook.Dismiss {
			t.Errorf("dismissed (%s): %+v", why, l)
		}
	})
}

func TestADismissalHasAReasonAndNoRealOneBehindIt(t *testing.T) {
	lives(t, func(_ *rand.Rand, l life) {
		s, why := l.suggest()
		switch {
		case s != runbook.Dismiss:
		case why == "":
			t.Errorf("dismissed without a reason: %+v", l)
		case l.within(runbook.Week, runbook.Real) > 0:
			t.Errorf("dismissed (%s) although it was real this week: %+v", why, l)
		case l.policy.KnownNoise == nil && l.within(2*runbook.Week, runbook.Real) > 0:
			t.Errorf("dismissed (%s) by history although it was real within 14 days: %+v", why, l)
		}
	})
}

func TestNoiseDecays(t *testing.T) {
	lives(t, func(_ *rand.Rand, l life) {
		l.policy = runbook.Policy{}
		for i := range l.firings {
			l.firings[i].ago += runbook.Week // a silent week goes by
		}
		if s, why := l.suggest(); s == runbook.Dismiss {
			t.Errorf("dismissed (%s) after a week of silence: %+v", why, l)
		}
	})
}

func TestTheFirstRealOneReversesEveryRunOfNoise(t *testing.T) {
	lives(t, func(r *rand.Rand, l life) {
		latest := time.Minute
		for i := range l.firings {
			l.firings[i].ago += time.Hour
		}
		l.firings = append(l.firings, wasReal(latest))
		s, why := l.suggest()
		byHistory := l.policy.KnownNoise == nil && l.next.Kind != runbook.EventUnrecognised
		if s == runbook.Dismiss || byHistory && s != runbook.Escalate {
			t.Errorf("%s (%s) right after a real one: %+v", s, why, l)
		}
		// Within 14 days no run of noise, however long, brings the dismissal back.
		for range r.IntN(60) {
			l.firings = append(l.firings, firing{ago: time.Duration(1+r.IntN(50)) * time.Second, verdict: runbook.Noise})
		}
		if s, why := l.suggest(); s == runbook.Dismiss {
			t.Errorf("dismissed (%s) with a real one behind it: %+v", why, l)
		}
	})
}

func TestProductionIsNeverMoreLenientThanDev(t *testing.T) {
	lives(t, func(_ *rand.Rand, l life) {
		l.next.Env = runbook.Prod
		onProd, why := l.suggest()
		l.next.Env = runbook.Dev
		if onDev, _ := l.suggest(); onProd == runbook.Dismiss && onDev != runbook.Dismiss {
			t.Errorf("dismissed on production (%s), %s on dev: %+v", why, onDev, l)
		}
	})
}
