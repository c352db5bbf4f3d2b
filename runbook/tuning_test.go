package runbook_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/runbook"
)

// spells makes n noise firings, 13 hours apart, the newest an hour ago, each
// of which ended by itself after lasted.
func spells(n int, lasted time.Duration) []runbook.Spell {
	out := make([]runbook.Spell, n)
	for i := range out {
		out[n-1-i] = runbook.Spell{
			Service: "openaire-test", Cluster: "data", Verdict: runbook.Noise, Lasted: lasted,
			StartedAt: now.Add(-time.Hour - time.Duration(i)*13*time.Hour),
		}
	}
	return out
}

// but changes the i-th spell.
func but(s []runbook.Spell, i int, change func(*runbook.Spell)) []runbook.Spell {
	change(&s[i])
	return s
}

func worth(s *runbook.Spell)     { s.Verdict = runbook.Real }
func escalated(s *runbook.Spell) { s.Escalated = true }

// flapping makes each third of s return twice, twenty minutes after it ended;
// each lasts for an hour.
func flapping(s []runbook.Spell) {
	for i := range s {
		s[i].Lasted = time.Hour
		if i%3 != 0 {
			s[i].StartedAt = s[i-1].StartedAt.Add(80 * time.Minute)
		}
	}
}

func latency(s []runbook.Spell) runbook.Pattern {
	return runbook.Pattern{Alert: "High Latency", Service: "openaire-test", Cluster: "data", Env: runbook.Prod, Source: "signoz", Spells: s}
}

func TestTheProposalIsWordedAsInTheMission(t *testing.T) {
	p, ok := runbook.Propose(latency(spells(12, 4*time.Minute)), runbook.Rule{Window: 10 * time.Minute}, 7, now)
	if !ok {
		t.Fatal("no proposal for 12 of 12 noise")
	}
	const want = "High Latency on openaire-test has fired 12 times in 7 days and was noise every time. " +
		"Proposal: increase the evaluation window from 10 to 20 minutes, or switch to anomaly detection."
	if got := p.Sentence(); got != want {
		t.Errorf("Sentence =\n%s\nwant\n%s", got, want)
	}
	p.ID = 3
	const text = want + `
Proposal 3: answer here with accept, decline or snooze.
Back-test over 30 days: would have removed 12 of 12, and none that was real.
Record of 30 days: 12 firings; 12 healed by themselves within 4 min (half of all within 4 min).
` + "```" + `
# SigNoz, rule High Latency
-  "evalWindow": "10m0s",
+  "evalWindow": "20m0s",
   "matchType": "all_the_times" or "on_average" (with "at_least_once" a longer window finds more, not less)
` + "```"
	if diff := cmp.Diff(text, p.Text()); diff != "" {
		t.Errorf("Text (-want +got):\n%s", diff)
	}
}

func TestPropose(t *testing.T) {
	const m = time.Minute
	pattern := func(change func(*runbook.Pattern)) runbook.Pattern {
		p := latency(spells(12, 4*m))
		change(&p)
		return p
	}
	prometheus := func(p *runbook.Pattern) {
		p.Alert, p.Source, p.GeneratorURL = "HighLatency", "alertmanager", "http://prom/graph?g0.expr=x"
	}
	atOne := func(p *runbook.Pattern) { // every night between one and two, for 50 minutes
		for i := range p.Spells {
			p.Spells[i].StartedAt = time.Date(2026, 4, 18-i/2, 1, 10+i%2*20, 0, 0, time.UTC)
			p.Spells[i].Lasted = 50 * m
		}
	}
	tests := []struct {
		name     string
		p        runbook.Pattern
		rule     runbook.Rule
		change   string // "" for no proposal
		backTest string
		diff     string // a line of it
	}{
		{
			"a rule that is not known is taken to look over ten minutes", pattern(func(*runbook.Pattern) {}),
			runbook.Rule{},
			"increase the evaluation window from 10 to 20 minutes, or switch to anomaly detection",
			"would have removed 12 of 12, and none that was real", `+  "evalWindow": "20m0s",`,
		},
		{
			"the step that is long enough", latency(spells(12, 14*m)),
			runbook.Rule{Window: 5 * m},
			"increase the evaluation window from 5 to 20 minutes, or switch to anomaly detection",
			"would have removed 12 of 12, and none that was real", `+  "evalWindow": "20m0s",`,
		},
		{
			"at least once would find more in a longer window", latency(spells(12, 4*m)),
			runbook.Rule{Window: 10 * m, MatchType: "at least once"},
			"increase the evaluation window from 10 to 20 minutes, or switch to anomaly detection",
			"would have removed 12 of 12, and none that was real", `+  "matchType": "all_the_times",`,
		},
		{
			"an anomaly rule is not proposed twice", latency(spells(12, 4*m)),
			runbook.Rule{Window: 10 * m, Anomaly: true},
			"increase the evaluation window from 10 to 20 minutes", "would have removed 12 of 12, and none that was real", "",
		},
		{
			"some that lasted", latency(but(but(spells(12, 4*m), 3, func(s *runbook.Spell) { s.Lasted = 5 * time.Hour }), 4,
				func(s *runbook.Spell) { s.Lasted = 0 })),
			runbook.Rule{Window: 10 * m},
			"increase the evaluation window from 10 to 20 minutes, or switch to anomaly detection",
			"would have removed 10 of 12, and none that was real", "",
		},
		{
			"a short one that was real forbids the longer window", latency(but(spells(12, 4*m), 3, worth)),
			runbook.Rule{Window: 10 * m},
			"switch to anomaly detection, or raise the threshold",
			"not possible", `+  - {alert: "High Latency", service: "openaire-test", cluster: "data", reason: "recurring noise"}`,
		},
		{
			"so does one that a person was told about", latency(but(spells(12, 4*m), 3, escalated)),
			runbook.Rule{Window: 10 * m},
			"switch to anomaly detection, or raise the threshold", "not possible", "",
		},
		{
			"a long one that was real stays", latency(but(but(spells(12, 4*m), 3, worth), 3, func(s *runbook.Spell) { s.Lasted = time.Hour })),
			runbook.Rule{Window: 10 * m},
			"increase the evaluation window from 10 to 20 minutes, or switch to anomaly detection",
			"would have removed 11 of 11, and none that was real", "",
		},
		{
			"noise that stands for hours is not a matter of time", latency(spells(12, 5*time.Hour)),
			runbook.Rule{Window: 10 * m},
			"switch to anomaly detection, or raise the threshold", "not possible", "",
		},
		{
			"ends that nobody recorded are not tested", latency(spells(12, 0)),
			runbook.Rule{Window: 10 * m},
			"increase the evaluation window from 10 to 20 minutes, or switch to anomaly detection", "not possible", "",
		},
		{
			"Prometheus has for", pattern(prometheus),
			runbook.Rule{Window: 5 * m},
			"raise `for` from 5 to 10 minutes",
			"would have removed 12 of 12, and none that was real", "+  for: 10m",
		},
		{
			"the rules that kube-prometheus ships are known", pattern(func(p *runbook.Pattern) {
				p.Alert, p.Source, p.GeneratorURL = "KubePodNotReady", "alertmanager", "http://prom/graph?g0.expr=x"
			}),
			runbook.Rule{},
			"raise `for` from 15 to 30 minutes",
			"would have removed 12 of 12, and none that was real", "# kube-prometheus-stack, values.yaml\n customRules:\n+  KubePodNotReady:\n+    for: 30m",
		},
		{
			"what comes and goes may stand", pattern(func(p *runbook.Pattern) { prometheus(p); flapping(p.Spells) }),
			runbook.Rule{Window: 10 * m},
			"let it stand for 30 minutes after it ends, because it comes and goes",
			"would have removed 8 of 12, and none that was real", " - alert: \"HighLatency\"\n+  keep_firing_for: 30m",
		},
		{
			"in Grafana too", pattern(func(p *runbook.Pattern) { p.Source = "grafana"; flapping(p.Spells) }),
			runbook.Rule{Window: 10 * m},
			"let it stand for 30 minutes after it ends, because it comes and goes",
			"would have removed 8 of 12, and none that was real", "+  keepFiringFor: 30m",
		},
		{
			"but not over one that was real", pattern(func(p *runbook.Pattern) {
				prometheus(p)
				flapping(p.Spells)
				p.Spells[4].Verdict = runbook.Real
			}),
			runbook.Rule{Window: 10 * m},
			"raise the threshold, or lower the severity so that it is read in working hours", "not possible", "",
		},
		{
			"a family is routed away by the label that holds it", pattern(func(p *runbook.Pattern) {
				prometheus(p)
				p.Service, p.Labels = "tenant-test-*", map[string]string{"job": "x", "tenant": "tenant-test-11", "a b": "tenant-test-11"}
				for i := range p.Spells {
					p.Spells[i].Service = fmt.Sprintf("tenant-test-%d", i)
				}
			}),
			runbook.Rule{},
			"route it for tenant-test-* to a receiver that tells nobody", "would have removed 12 of 12, and none that was real",
			`+  - matchers: ["alertname=\"HighLatency\"", "tenant=~\"tenant-test-.*\""]`,
		},
		{
			"Grafana has a pending period", pattern(func(p *runbook.Pattern) { p.Source = "grafana" }),
			runbook.Rule{Window: 5 * m},
			"raise the pending period from 5 to 10 minutes", "would have removed 12 of 12, and none that was real", "+  for: 10m",
		},
		{
			"a family of tenants is excluded", pattern(func(p *runbook.Pattern) {
				p.Alert, p.Service = "Tenant Inactive", "tenant-test-*"
				for i := range p.Spells {
					p.Spells[i].Service = fmt.Sprintf("tenant-test-%d", i)
				}
			}),
			runbook.Rule{},
			"exclude tenant-test-* in the rule", "would have removed 12 of 12, and none that was real",
			"+  AND service.name NOT LIKE 'tenant-test-%'",
		},
		{
			"but not if one of them was real", pattern(func(p *runbook.Pattern) {
				p.Alert, p.Service = "Tenant Inactive", "tenant-test-*"
				for i := range p.Spells {
					p.Spells[i].Service = fmt.Sprintf("tenant-test-%d", i)
				}
				p.Spells[3].Verdict, p.Spells[3].Lasted = runbook.Real, time.Hour
			}),
			runbook.Rule{},
			"increase the evaluation window from 10 to 20 minutes, or switch to anomaly detection",
			"would have removed 11 of 11, and none that was real", "",
		},
		{
			"always at the same hour", pattern(func(p *runbook.Pattern) { prometheus(p); atOne(p) }),
			runbook.Rule{},
			"mute it from 01:00 to 02:00 UTC, when it always begins", "would have removed 12 of 12, and none that was real",
			`+  time_intervals: [{times: [{start_time: "01:00", end_time: "02:00"}]}]`,
		},
		{
			"missing data", pattern(func(p *runbook.Pattern) { p.Alert, p.NoData = "[No data] High Latency", true }),
			runbook.Rule{},
			"turn off the notification for missing data of this rule, or let it wait for 60 minutes", "not possible", `+  "alertOnAbsent": false`,
		},
		{
			"a heartbeat fires by design", pattern(func(p *runbook.Pattern) { p.Alert, p.Source = "InfoInhibitor", "alertmanager" }),
			runbook.Rule{},
			"route it to a receiver that tells nobody: it fires by design", "would have removed 12 of 12, and none that was real", `+    receiver: "null"`,
		},
		{"four are no pattern", latency(spells(4, 4*m)), runbook.Rule{}, "", "", ""},
		{"nor is what was real one time in three", latency(but(but(but(spells(8, 4*m), 1, worth), 2, worth), 3, worth)), runbook.Rule{}, "", "", ""},
		{"nor what is older than the window", latency(spells(60, 4*m)[:40]), runbook.Rule{}, "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, ok := runbook.Propose(tt.p, tt.rule, 7, now)
			if ok != (tt.change != "") || p.Change != tt.change {
				t.Fatalf("Propose = %q, %t, want %q", p.Change, ok, tt.change)
			}
			if ok && !strings.Contains(p.BackTest.String(), tt.backTest) {
				t.Errorf("back-test %q, want %q", p.BackTest, tt.backTest)
			}
			if p.BackTest.Hidden > 0 {
				t.Errorf("proposed a change that hides %d real ones", p.BackTest.Hidden)
			}
			if !strings.Contains(p.Diff, tt.diff) {
				t.Errorf("diff lacks %q:\n%s", tt.diff, p.Diff)
			}
		})
	}
}

func TestNoiseAmongRealOnesIsCounted(t *testing.T) {
	p, ok := runbook.Propose(latency(but(but(spells(12, 4*time.Minute), 2, worth), 2, func(s *runbook.Spell) { s.Lasted = 3 * time.Hour })),
		runbook.Rule{Window: 10 * time.Minute}, 7, now)
	const want = "High Latency on openaire-test has fired 12 times in 7 days and was noise 11 times. "
	if got := p.Sentence(); !ok || !strings.HasPrefix(got, want) {
		t.Errorf("Sentence = %q, want %q…", got, want)
	}
}

func TestNamesFromOutsideStayInTheirPlaceInADiff(t *testing.T) {
	p := latency(spells(12, 4*time.Minute))
	p.Alert, p.Service = "Bad\"}\n+  - {alert: \"*\"}\n``` <!channel>", "a'; drop [x]"
	p.Spells = spells(12, 9*time.Hour)
	prop, ok := runbook.Propose(p, runbook.Rule{}, 7, now)
	if !ok {
		t.Fatal("no proposal")
	}
	if n := strings.Count(prop.Diff, "\n+"); n != 1 {
		t.Errorf("the diff has %d added lines, want one:\n%s", n, prop.Diff)
	}
	if n := strings.Count(prop.Text(), "```"); n != 2 {
		t.Errorf("the text has %d fences, want two:\n%s", n, prop.Text())
	}
}

func TestAProposalIsSentOnceAndComesBackOnlyWithNewEvidence(t *testing.T) {
	const day = runbook.Day
	answered := func(s runbook.ProposalState, ago time.Duration, since int) runbook.Proposal {
		return runbook.Proposal{State: s, DecidedAt: now.Add(-ago), NoiseThen: 12, NoiseSince: since, Raised: 1}
	}
	snoozed := func(until time.Duration, since int) runbook.Proposal {
		p := answered(runbook.ProposalSnoozed, 3*day, since)
		p.SnoozedUntil = now.Add(until)
		return p
	}
	tests := []struct {
		name string
		p    runbook.Proposal
		want bool
	}{
		{"new", runbook.Proposal{State: runbook.ProposalNew}, true},
		{"open waits for its answer, however long", runbook.Proposal{State: runbook.ProposalOpen, SentAt: now.Add(-90 * day)}, false},
		{"accepted and quiet", answered(runbook.ProposalAccepted, 30*day, 0), false},
		{"accepted, and it goes on", answered(runbook.ProposalAccepted, 8*day, 5), true},
		{"accepted three days ago", answered(runbook.ProposalAccepted, 3*day, 50), false},
		{"declined, and as noisy as before", answered(runbook.ProposalDeclined, 20*day, 23), false},
		{"declined, and twice as noisy", answered(runbook.ProposalDeclined, 20*day, 24), true},
		{"declined last week", answered(runbook.ProposalDeclined, 7*day, 100), false},
		{"snoozed", snoozed(time.Hour, 9), false},
		{"snoozed until now, and it goes on", snoozed(0, 1), true},
		{"snoozed until now, and it stopped", snoozed(0, 0), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.p.Due(now); got != tt.want {
				t.Errorf("Due = %t, want %t", got, tt.want)
			}
		})
	}
	again := answered(runbook.ProposalDeclined, 20*day, 24)
	again.Alert, again.Service, again.Days, again.Fired, again.Noise, again.Change = "A", "b", 7, 12, 12, "c"
	if text := again.Text(); !strings.Contains(text, "Answered on Mar 29; noise 24 times since.") {
		t.Errorf("a proposal that comes back does not say why:\n%s", text)
	}
}

func TestStability(t *testing.T) {
	at := func(h, m int) time.Time { return time.Date(2026, 4, 17, h, m, 0, 0, time.UTC) }
	noise := func(start time.Time, lasted time.Duration) runbook.Spell {
		return runbook.Spell{Service: "s", StartedAt: start, Lasted: lasted, Verdict: runbook.Noise}
	}
	const m = time.Minute
	tests := []struct {
		name string
		in   []runbook.Spell
		want string
	}{
		{"none", nil, "0 firings"},
		{"one without an end", []runbook.Spell{noise(at(3, 0), 0)}, "1 firing; no end was recorded"},
		{
			"healed by themselves",
			[]runbook.Spell{noise(at(3, 0), 2*m), noise(at(9, 0), 4*m), noise(at(15, 0), m)},
			"3 firings; 3 healed by themselves within 4 min (half of all within 2 min)",
		},
		{
			"mended is not healed",
			[]runbook.Spell{{StartedAt: at(3, 0), Lasted: m, Verdict: runbook.AutoFixed}, {StartedAt: at(9, 0), Lasted: m, Verdict: runbook.Real}},
			"2 firings",
		},
		{
			"flapping",
			[]runbook.Spell{noise(at(3, 0), 2*m), noise(at(3, 10), 2*m), noise(at(3, 20), 2*m), noise(at(3, 30), 2*m)},
			"4 firings; 4 healed by themselves within 2 min (half of all within 2 min); flapping: 3 returns; mostly between 03:00 and 04:00 UTC",
		},
		{
			"two services are not one that flaps",
			[]runbook.Spell{
				noise(at(3, 0), m),
				{Service: "t", StartedAt: at(3, 5), Lasted: m, Verdict: runbook.Noise},
				noise(at(11, 0), m),
				{Service: "t", StartedAt: at(11, 5), Lasted: m, Verdict: runbook.Noise},
			},
			"4 firings; 4 healed by themselves within 1 min (half of all within 1 min)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := runbook.StabilityOf(tt.in).String(); got != tt.want {
				t.Errorf("StabilityOf = %q, want %q", got, tt.want)
			}
		})
	}
}
