package tools

import (
	"context"
	"slices"
	"time"

	"watchkeeper/runbook"
)

// Rule implements [RuleReader]: it reads the rule that an alert of SigNoz names
// in its label ruleId. Of an alert that names none nothing is known, and with a
// nil client of no alert.
func (c *SigNozClient) Rule(ctx context.Context, p runbook.Pattern) (runbook.Rule, error) {
	id := p.Labels["ruleId"]
	if c == nil || !ruleID.MatchString(id) { // a label may hold anything
		return runbook.Rule{}, nil
	}
	r, err := c.rule(ctx, id)
	if err != nil {
		return runbook.Rule{}, err
	}
	return runbook.Rule{Window: r.window(), MatchType: r.matchType(p.Labels["threshold.name"]), Anomaly: r.Type == "anomaly_rule"}, nil
}

// window is how much time the rule looks at; 0 if it does not say.
func (r rule) window() time.Duration {
	d, err := time.ParseDuration(r.EvalWindow)
	if err != nil {
		return 0
	}
	return max(d, 0)
}

// matchType says in words how often the threshold of that name must hold within
// the window; that of the first one if no threshold has it, "" if there is none.
func (r rule) matchType(name string) string {
	if len(r.thresholds) == 0 {
		return ""
	}
	i := slices.IndexFunc(r.thresholds, func(t threshold) bool { return t.Name == name })
	if match := r.thresholds[max(i, 0)].Match; match != nil {
		return word(matchTypes, match)
	}
	return ""
}
