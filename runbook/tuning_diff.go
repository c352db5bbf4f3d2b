package runbook

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A diff is what a person can apply. Names in it were written by others, so
// they are quoted for the format they stand in.

// lines joins the parts of a diff.
func lines(parts ...string) string { return strings.Join(parts, "\n") }

// name is the alert on one line.
func (p Pattern) name() string { return oneLine(p.Alert) }

// quoted is a YAML and JSON string; oneLine leaves no control characters.
func quoted(s string) string { return fmt.Sprintf("%q", oneLine(s)) }

func signozWindow(p Pattern, r Rule, from, to time.Duration) string {
	parts := []string{
		"# SigNoz, rule " + p.name() + ruleID(p),
		fmt.Sprintf(`-  "evalWindow": %q,`, from), fmt.Sprintf(`+  "evalWindow": %q,`, to),
	}
	switch r.MatchType {
	case "at least once":
		// One point is enough for it, so that a longer window alone would find more.
		parts = append(parts, `-  "matchType": "at_least_once",`, `+  "matchType": "all_the_times",`)
	case "":
		parts = append(parts, `   "matchType": "all_the_times" or "on_average" (with "at_least_once" a longer window finds more, not less)`)
	}
	return lines(parts...)
}

func ruleID(p Pattern) string {
	if id := p.Labels["ruleId"]; id != "" {
		return " (" + oneLine(id) + ")"
	}
	return ""
}

// prometheusFor is the change of a rule, or of the chart's values for a rule
// that the chart brings and an upgrade would overwrite.
func prometheusFor(p Pattern, from, to time.Duration) string {
	if _, ok := shippedFor(p.Alert); ok {
		return lines("# kube-prometheus-stack, values.yaml", " customRules:", "+  "+p.name()+":", "+    for: "+minutes(to))
	}
	return lines(" - alert: "+quoted(p.Alert), "-  for: "+minutes(from), "+  for: "+minutes(to))
}

func grafanaFor(p Pattern, from, to time.Duration) string {
	return lines(" - title: "+quoted(p.Alert), "-  for: "+minutes(from), "+  for: "+minutes(to))
}

func minutes(d time.Duration) string { return fmt.Sprintf("%dm", int(d.Minutes())) }

// excludeDiff puts the family out of the rule's query.
func excludeDiff(p Pattern) string {
	stem, key := strings.TrimSuffix(oneLine(p.Service), "*"), p.serviceLabel()
	switch p.system() {
	case signoz:
		return lines("# SigNoz, rule "+p.name()+ruleID(p), "+  AND "+key+" NOT LIKE '"+strings.ReplaceAll(stem, "'", "''")+"%'")
	case prometheus:
		return lines("# Alertmanager", " route:", "   routes:",
			"+  - matchers: ["+matcher("alertname", "=", p.name())+", "+matcher(key, "=~", regexp.QuoteMeta(stem)+".*")+"]", `+    receiver: "null"`)
	}
	return lines("# query of "+p.name()+", in every selector", "+  "+key+"!~"+quoted(regexp.QuoteMeta(stem)+".*"))
}

// matcher is one of Alertmanager's, as a YAML string.
func matcher(label, op, value string) string { return quoted(label + op + quoted(value)) }

// keepDiff lets an alert stand after its end.
func keepDiff(p Pattern, span time.Duration) string {
	if p.system() == grafana {
		return lines(" - title: "+quoted(p.Alert), "+  keepFiringFor: "+minutes(span))
	}
	return lines(" - alert: "+quoted(p.Alert), "+  keep_firing_for: "+minutes(span))
}

func muteDiff(p Pattern, hour int) string {
	if p.system() == signoz {
		return lines("# SigNoz, planned downtime", fmt.Sprintf("+  name: %q", "noise of "+p.name()),
			fmt.Sprintf("+  daily: %02d:00 to %02d:00 UTC", hour, (hour+1)%24), "+  alerts: ["+quoted(p.Alert)+"]")
	}
	return lines("# Alertmanager", "+time_intervals:", "+- name: usual-hour",
		fmt.Sprintf("+  time_intervals: [{times: [{start_time: \"%02d:00\", end_time: \"%s\"}]}]", hour, endOf(hour)),
		" route:", "   routes:", "+  - matchers: ["+matcher("alertname", "=", p.name())+"]",
		"+    mute_time_intervals: [usual-hour]")
}

// endOf is the end of an hour as Alertmanager writes it: the day ends at 24:00.
func endOf(hour int) string { return fmt.Sprintf("%02d:00", hour+1) }

func absentDiff(p Pattern) string {
	switch p.system() {
	case grafana:
		return lines(" - title: "+quoted(p.Alert), "+  noDataState: KeepLast")
	case prometheus:
		return lines(" - alert: "+quoted(p.Alert), "+  for: 60m")
	}
	return lines("# SigNoz, rule "+strings.TrimPrefix(p.name(), "[No data] ")+ruleID(p),
		`-  "alertOnAbsent": true`, `+  "alertOnAbsent": false`)
}

func routeDiff(p Pattern) string {
	return lines("# Alertmanager", " route:", "   routes:",
		"+  - matchers: ["+matcher("alertname", "=", p.name())+"]", `+    receiver: "null"`)
}

// knownNoiseDiff hushes the pattern in our own configuration. An alert that is
// critical on production is looked at all the same.
func knownNoiseDiff(p Pattern) string {
	rule := []string{"alert: " + quoted(literal(p.Alert))}
	if p.Service != "" {
		rule = append(rule, "service: "+quoted(globOf(p.Service)))
	}
	if p.Cluster != "" {
		rule = append(rule, "cluster: "+quoted(literal(p.Cluster)))
	}
	rule = append(rule, `reason: "recurring noise"`)
	return lines("# watchkeeper.yaml", " policy:", "   known_noise:", "+  - {"+strings.Join(rule, ", ")+"}")
}

// globOf keeps the star of a family and escapes the rest.
func globOf(service string) string {
	if stem, ok := strings.CutSuffix(service, "-*"); ok {
		return literal(stem) + "-*"
	}
	return literal(service)
}

// literal escapes what a glob would take for a wildcard.
func literal(s string) string {
	var b strings.Builder
	for _, r := range oneLine(s) {
		if slices.Contains([]rune{'*', '?', '[', '\\'}, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
