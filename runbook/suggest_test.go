package runbook_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"watchkeeper/runbook"
)

var now = time.Date(2026, 4, 18, 9, 0, 0, 0, time.UTC)

// firing is an earlier occurrence of an alert.
type firing struct {
	ago     time.Duration
	verdict runbook.Verdict
	alerts  int // judged together; 0 is 1
}

// past makes the history that the memory would tell of firings, with the
// current one in it.
func past(firings ...firing) runbook.History {
	h := runbook.History{Alert: "High Latency", Service: "openaire-test", Family: "openaire-test"}
	slices.SortFunc(firings, func(a, b firing) int { return int(a.ago - b.ago) })
	count := func(within time.Duration) (t runbook.Tally) {
		t.Total = 1
		for _, f := range firings {
			n := max(f.alerts, 1)
			if f.ago > within {
				continue
			}
			t.Total += n
			switch f.verdict {
			case runbook.Noise:
				t.Noise += n
			case runbook.Real:
				t.Real += n
			case runbook.AutoFixed:
				t.AutoFixed += n
			}
		}
		return t
	}
	h.Day, h.Week, h.Fortnight, h.Month = count(runbook.Day), count(runbook.Week), count(2*runbook.Week), count(runbook.Month)
	h.FamilyWeek, h.FamilyMonth = h.Week, h.Month
	for _, f := range firings[:min(len(firings), 10)] {
		h.Recent = append(h.Recent, runbook.Past{StartedAt: now.Add(-f.ago), Verdict: f.verdict})
	}
	return h
}

// run makes n noise firings, the newest of them ago, 12 hours apart.
func run(n int, ago time.Duration) []firing {
	out := make([]firing, n)
	for i := range out {
		out[i] = firing{ago: ago + time.Duration(i)*12*time.Hour, verdict: runbook.Noise}
	}
	return out
}

func wasReal(ago time.Duration) firing { return firing{ago: ago, verdict: runbook.Real} }

func with(fs []firing, more ...firing) runbook.History {
	return past(append(slices.Clone(fs), more...)...)
}

func TestSuggest(t *testing.T) {
	prod := runbook.Delivery{
		Kind: runbook.EventAlert, Alert: "High Latency", Service: "openaire-test", Cluster: "data-cluster",
		Severity: runbook.Warning, Env: runbook.Prod,
	}
	change := func(fs ...func(*runbook.Delivery)) runbook.Delivery {
		d := prod
		for _, f := range fs {
			f(&d)
		}
		return d
	}
	dev := func(d *runbook.Delivery) { d.Env = runbook.Dev }
	unknown := func(d *runbook.Delivery) { d.Env = runbook.EnvUnknown }
	critical := func(d *runbook.Delivery) { d.Severity = runbook.Critical }
	several := func(d *runbook.Delivery) { d.Service = runbook.Several }
	kind := func(k runbook.EventKind) func(*runbook.Delivery) { return func(d *runbook.Delivery) { d.Kind = k } }

	known := runbook.Policy{KnownNoise: []runbook.Match{{Alert: "High*", Service: "openaire-*", Reason: "it streams"}}}
	always := runbook.Policy{EscalateAlways: []runbook.Match{{Category: "database"}}, KnownNoise: known.KnownNoise}
	database := runbook.Playbook{Name: "postgresql", Category: "database", AlwaysEscalate: true}
	service := runbook.Playbook{Name: "high-latency", Category: "service"}
	const day = runbook.Day

	tests := []struct {
		name    string
		d       runbook.Delivery
		h       runbook.History
		p       runbook.Policy
		pb      runbook.Playbook
		want    runbook.Suggestion
		wantWhy string
	}{
		{"the first time is looked at", prod, past(), runbook.Policy{}, service, runbook.Investigate, ""},
		{"twelve times noise is dismissed at once", prod, past(run(12, time.Hour)...), runbook.Policy{}, service, runbook.Dismiss, "12 of 12 noise in 7 days"},
		{"four are not enough on production", prod, past(run(4, time.Hour)...), runbook.Policy{}, service, runbook.Investigate, ""},
		{"five are", prod, past(run(5, time.Hour)...), runbook.Policy{}, service, runbook.Dismiss, "5 of 5 noise in 7 days"},
		{"three are enough on dev", change(dev), past(run(3, time.Hour)...), runbook.Policy{}, service, runbook.Dismiss, "3 of 3 noise in 7 days"},
		{"an unknown environment is production", change(unknown), past(run(4, time.Hour)...), runbook.Policy{}, service, runbook.Investigate, ""},
		{
			"a critical one on production is looked at", change(critical), past(run(12, time.Hour)...),
			runbook.Policy{},
			service,
			runbook.Investigate, "12 of 12 noise in 7 days, but critical on production",
		},
		{
			"also where the environment is unknown", change(critical, unknown), past(run(12, time.Hour)...),
			runbook.Policy{},
			service,
			runbook.Investigate, "12 of 12 noise in 7 days, but critical on production",
		},
		{
			"a critical one on dev is not that precious", change(critical, dev), past(run(12, time.Hour)...),
			runbook.Policy{},
			service,
			runbook.Dismiss, "12 of 12 noise in 7 days",
		},
		{"noise decays: two weeks of silence count for nothing", prod, past(run(12, 8*day)...), runbook.Policy{}, service, runbook.Investigate, ""},
		{
			"ten pods judged once are one opinion", change(dev), past(firing{time.Hour, runbook.Noise, 10}),
			runbook.Policy{},
			service,
			runbook.Investigate, "",
		},
		{
			"the first real one reverses twelve", prod, with(run(12, 2*time.Hour), wasReal(time.Hour)),
			runbook.Policy{},
			service,
			runbook.Escalate, "1 of 13 real in 14 days, and the last time",
		},
		{"real last Tuesday", prod, past(wasReal(4 * day)), runbook.Policy{}, service, runbook.Escalate, "1 of 1 real in 14 days, and the last time"},
		{"real on Tuesday of last week", prod, past(wasReal(11 * day)), runbook.Policy{}, service, runbook.Escalate, "1 of 1 real in 14 days, and the last time"},
		{"real a month ago does not hurry", prod, past(wasReal(20 * day)), runbook.Policy{}, service, runbook.Investigate, ""},
		{
			"noise after a real one does not hide it", prod, with(run(9, time.Hour), wasReal(6*day)),
			runbook.Policy{},
			service,
			runbook.Investigate, "1 of 10 real in 14 days",
		},
		{
			"also when it is beyond the week of the noise", prod, with(run(9, time.Hour), wasReal(10*day)),
			runbook.Policy{},
			service,
			runbook.Investigate, "1 of 10 real in 14 days",
		},
		{
			"real three weeks ago: the run must be twice as long", prod, with(run(9, time.Hour), wasReal(20*day)),
			runbook.Policy{},
			service,
			runbook.Investigate, "",
		},
		{"and then it counts", prod, with(run(12, time.Hour), wasReal(20*day)), runbook.Policy{}, service, runbook.Dismiss, "12 of 12 noise in 7 days"},
		{
			"what was mended is no noise", prod, with(run(6, time.Hour), firing{2 * day, runbook.AutoFixed, 1}),
			runbook.Policy{},
			service,
			runbook.Investigate, "1 of 7 auto-fixed in 7 days",
		},
		{
			"undecided ones do not break a run", prod, with(run(6, time.Hour), firing{30 * time.Minute, "", 1}),
			runbook.Policy{},
			service,
			runbook.Dismiss, "6 of 6 noise in 7 days",
		},
		{
			"every 25th is looked at again", prod, with(run(13, time.Hour), run(12, 8*day)...),
			runbook.Policy{},
			service,
			runbook.Investigate, "; every 25th is looked at again",
		},
		{
			"the history of one service does not speak for several", change(several), past(run(12, time.Hour)...),
			runbook.Policy{},
			service,
			runbook.Investigate, "12 of 12 noise in 7 days for the first service, but there are several",
		},
		{"known noise", prod, past(), known, service, runbook.Dismiss, "known noise: it streams"},
		{
			"known noise that is critical on production", change(critical), past(), known, service, runbook.Investigate,
			"known noise: it streams, but critical on production",
		},
		{"known noise that was real", prod, past(wasReal(day)), known, service, runbook.Investigate, "known noise: it streams, but real once in 7 days"},
		{"known noise that was real long ago", prod, past(wasReal(8 * day)), known, service, runbook.Dismiss, "known noise: it streams"},
		{"the policy that escalates goes before the one that hushes", prod, past(), always, database, runbook.Escalate, "policy: always escalate"},
		{
			"a playbook that always escalates", prod, past(run(12, time.Hour)...),
			runbook.Policy{},
			database, runbook.Escalate,
			"playbook postgresql: always goes to a person",
		},
		{"an operator may hush it by name", prod, past(), known, database, runbook.Dismiss, "known noise: it streams"},
		{
			"a storm is never one alert's history", change(kind(runbook.EventStorm)), past(run(12, time.Hour)...), known, service,
			runbook.Escalate, "several alerts at once",
		},
		{
			"what has no format has no history", change(dev, kind(runbook.EventUnrecognised)), past(run(12, time.Hour)...),
			runbook.Policy{},
			service,
			runbook.Investigate, "",
		},
		{"a resolve asks for nothing", change(kind(runbook.EventResolved)), past(wasReal(day)), always, database, runbook.Dismiss, "resolved, nothing to decide"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, why := runbook.Suggest(tt.d, tt.h, tt.p, tt.pb)
			if got != tt.want || (tt.wantWhy == "") != (why == "") || !strings.Contains(why, tt.wantWhy) {
				t.Errorf("Suggest = %q (%s), want %q (%s)", got, why, tt.want, tt.wantWhy)
			}
		})
	}
}

func TestSiblingsSpeakOnDevAndInformOnProduction(t *testing.T) {
	h := runbook.History{Alert: "Tenant Inactive", Service: "tenant-test-9", Family: "tenant-test-*"}
	h.FamilyWeek = runbook.Tally{Total: 9, Noise: 8}
	h.FamilyMonth = h.FamilyWeek
	realOnce := h
	realOnce.FamilyMonth.Real = 1
	few := h
	few.FamilyWeek.Noise = 5
	tests := []struct {
		name string
		env  runbook.Env
		h    runbook.History
		want runbook.Suggestion
		why  string
	}{
		{"dev", runbook.Dev, h, runbook.Dismiss, "8 of 8 noise in 7 days on tenant-test-*"},
		{"prod", runbook.Prod, h, runbook.Investigate, "8 of 8 noise in 7 days on tenant-test-*"},
		{"a sibling was real", runbook.Dev, realOnce, runbook.Investigate, ""},
		{"too few", runbook.Dev, few, runbook.Investigate, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := runbook.Delivery{Kind: runbook.EventAlert, Alert: h.Alert, Service: h.Service, Env: tt.env, Severity: runbook.Warning}
			got, why := runbook.Suggest(d, tt.h, runbook.Policy{}, runbook.Playbook{})
			if got != tt.want || why != tt.why {
				t.Errorf("Suggest = %q (%s), want %q (%s)", got, why, tt.want, tt.why)
			}
		})
	}
}

// TestNoCriticalOnProductionIsEverHidden tries every history and policy that
// would dismiss a lesser alert.
func TestNoCriticalOnProductionIsEverHidden(t *testing.T) {
	policies := []runbook.Policy{{}, {KnownNoise: []runbook.Match{{Alert: "*"}}}, {KnownNoise: []runbook.Match{{Category: "service"}}}}
	kinds := []runbook.EventKind{runbook.EventAlert, runbook.EventUnrecognised, runbook.EventWatch, runbook.EventStorm}
	for n := range 40 {
		for _, p := range policies {
			for _, k := range kinds {
				for _, env := range []runbook.Env{runbook.Prod, runbook.EnvUnknown, ""} {
					d := runbook.Delivery{Kind: k, Alert: "A", Service: "s", Severity: runbook.Critical, Env: env}
					if got, why := runbook.Suggest(d, past(run(n, time.Minute)...), p, runbook.Playbook{Category: "service"}); got == runbook.Dismiss {
						t.Fatalf("%d times noise, %s on %q: dismissed (%s)", n, k, env, why)
					}
				}
			}
		}
	}
}
