package tools_test

import (
	"strings"
	"testing"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/test/fakes/signoz"
	"watchkeeper/tools"
)

func TestSigNozTellsTheRuleOfAPattern(t *testing.T) {
	fake := &signoz.Server{Rules: append(rules(time.Now()),
		map[string]any{"id": "0190-c", "alert": "Odd", "ruleType": "anomaly_rule", "evalWindow": "1h", "condition": map[string]any{
			"thresholds": map[string]any{"spec": []any{
				map[string]any{"name": "warning", "target": 3, "matchType": "1"}, map[string]any{"name": "critical", "target": 5, "matchType": "all_the_times"},
			}},
		}},
		map[string]any{"id": "0190-d", "alert": "Bare", "evalWindow": "soon"},
	)}
	const m = time.Minute
	tests := []struct {
		name   string
		labels map[string]string
		want   runbook.Rule
	}{
		{"numbers", map[string]string{"ruleId": "0190-a", "threshold.name": "critical"}, runbook.Rule{Window: 10 * m, MatchType: "on average"}},
		{"words, and the form of before thresholds had names", map[string]string{"ruleId": "0190-b"}, runbook.Rule{Window: 5 * m, MatchType: "at least once"}},
		{"anomaly, and the threshold of the alert", map[string]string{"ruleId": "0190-c", "threshold.name": "critical"}, runbook.Rule{Window: time.Hour, MatchType: "all the times", Anomaly: true}},
		{"a threshold that has gone", map[string]string{"ruleId": "0190-c", "threshold.name": "info"}, runbook.Rule{Window: time.Hour, MatchType: "at least once", Anomaly: true}},
		{"a rule that says little", map[string]string{"ruleId": "0190-d"}, runbook.Rule{}},
		{"no rule is named", map[string]string{}, runbook.Rule{}},
		{"what is no name of a rule", map[string]string{"ruleId": "../../v1/users"}, runbook.Rule{}},
	}
	for _, old := range []bool{false, true} {
		fake.Old = old
		c := signozAt(t, fake, nil)
		for _, tt := range tests {
			got, err := c.Rule(t.Context(), runbook.Pattern{Source: "signoz", Labels: tt.labels})
			if err != nil || got != tt.want {
				t.Errorf("%s (old API %v): Rule = %+v, %v, want %+v", tt.name, old, got, err, tt.want)
			}
		}
		if _, err := c.Rule(t.Context(), runbook.Pattern{Labels: map[string]string{"ruleId": "0190-z"}}); err == nil || !strings.Contains(err.Error(), "there is no rule 0190-z") {
			t.Errorf("a rule that has gone (old API %v): %v", old, err)
		}
	}
	var none *tools.SigNozClient
	if got, err := none.Rule(t.Context(), runbook.Pattern{Labels: map[string]string{"ruleId": "0190-a"}}); got != (runbook.Rule{}) || err != nil {
		t.Errorf("without SigNoz: %+v, %v, want nothing", got, err)
	}
	for _, path := range fake.Asked() {
		if strings.Contains(path, "users") {
			t.Errorf("SigNoz was asked %q", path)
		}
	}
}

// A proposal names the present value of the rule, not an assumed one.
func TestAProposalKnowsTheRuleInSigNoz(t *testing.T) {
	fake := &signoz.Server{Rules: rules(time.Now())}
	store := openStore(t)
	p := past{session{t: t}, store, time.Now().UTC().Truncate(time.Second)}
	for i := range 12 {
		a := with(alert("Disk full", "cart", p.now), func(a *runbook.Alert) {
			a.Labels = map[string]string{"alertname": "Disk full", "ruleId": "0190-b", "threshold.name": "warning", "service.name": "cart"}
		})
		p.before(time.Duration(i+2)*11*time.Hour, a, runbook.Noise, "flapped")
	}
	s := startWith(t, tools.All(tools.Config{Store: store, SigNoz: signozAt(t, fake, nil)})...)
	got := s.ok("tuning_proposals", map[string]any{})
	contains(t, got, "from 5 to 10 minutes", `-  "matchType": "at_least_once",`)
	if strings.Contains(got, "could not be read") {
		t.Errorf("the rule was not read:\n%s", got)
	}
}
