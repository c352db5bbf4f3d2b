package tools

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/runbook"
)

// Bounds of the rules and their history.
const (
	rulesShown   = 40
	historyAsked = 200
	spellsShown  = 25
)

type signozRulesArgs struct {
	Name string `json:"name,omitempty" jsonschema:"a part of the rule's name, ignoring case"`
	ID   string `json:"id,omitempty" jsonschema:"of one rule, which is told in full; an alert's ruleId label"`
}

func signozAlertRules(c *SigNozClient) server.ServerTool {
	return tool("signoz_alert_rules",
		"Alert rules of SigNoz: without id their names, states and IDs, firing ones first; with id (or a name that only one has) what it asks, its threshold, window and labels, and when it was changed last. "+
			"Use it to judge whether a rule is too tight, or new; for what happened before use incident_history.",
		readOnly,
		func(ctx context.Context, in signozRulesArgs) (string, error) {
			if c == nil {
				return "", errNoSigNoz
			}
			if in.ID != "" {
				r, err := c.rule(ctx, in.ID)
				if err != nil {
					return "", err
				}
				return showRule(r), nil
			}
			rules, err := c.rules(ctx)
			if err != nil {
				return "", err
			}
			return showRules(rules, in.Name), nil
		})
}

// A rule is what matters here of an alert rule, of any version of the API.
type rule struct {
	ID          string            `json:"id"`
	State       string            `json:"state"`
	Name        string            `json:"alert"`
	Kind        string            `json:"alertType"`
	Type        string            `json:"ruleType"`
	Description string            `json:"description"`
	Disabled    bool              `json:"disabled"`
	EvalWindow  string            `json:"evalWindow"`
	Frequency   string            `json:"frequency"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Condition   struct {
		Query struct {
			Queries []struct {
				Type string          `json:"type"`
				Spec json.RawMessage `json:"spec"`
			} `json:"queries"`
		} `json:"compositeQuery"`
		Target        *float64 `json:"target"`
		Unit          string   `json:"targetUnit"`
		Op            any      `json:"op"`
		Match         any      `json:"matchType"`
		Absent        bool     `json:"alertOnAbsent"`
		AbsentMinutes float64  `json:"absentFor"`
		Thresholds    struct {
			Spec json.RawMessage `json:"spec"`
		} `json:"thresholds"`
	} `json:"condition"`
	Evaluation struct {
		Kind string `json:"kind"`
		Spec struct {
			EvalWindow string `json:"evalWindow"`
			Frequency  string `json:"frequency"`
		} `json:"spec"`
	} `json:"evaluation"`
	CreatedAt  time.Time `json:"createdAt"`
	CreateAt   time.Time `json:"createAt"` // older
	CreatedBy  string    `json:"createdBy"`
	CreateBy   string    `json:"createBy"`
	UpdatedAt  time.Time `json:"updatedAt"`
	UpdateAt   time.Time `json:"updateAt"`
	UpdatedBy  string    `json:"updatedBy"`
	UpdateBy   string    `json:"updateBy"`
	thresholds []threshold
}

// A threshold is one level of a rule.
type threshold struct {
	Name   string   `json:"name"`
	Target *float64 `json:"target"`
	Unit   string   `json:"targetUnit"`
	Op     any      `json:"op"`
	Match  any      `json:"matchType"`
}

// rules lists all rules. An older SigNoz has them under v1, in an envelope.
func (c *SigNozClient) rules(ctx context.Context) ([]rule, error) {
	var raw json.RawMessage
	err := c.get(ctx, "list alert rules", "/api/v2/rules", nil, &raw)
	if notThere(err) {
		err = c.get(ctx, "list alert rules", "/api/v1/rules", nil, &raw)
	}
	if err != nil {
		return nil, err
	}
	var list []rule
	if json.Unmarshal(raw, &list) != nil {
		var envelope struct{ Rules, Items []rule }
		if err := json.Unmarshal(raw, &envelope); err != nil {
			return nil, fmt.Errorf("list alert rules in SigNoz: the answer has an unexpected form: %w", err)
		}
		list = append(envelope.Rules, envelope.Items...)
	}
	for i := range list {
		list[i].settle()
	}
	return list, nil
}

// ruleID matches a UUID, or the number of an older SigNoz.
var ruleID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

func checkRule(id string) error {
	if !ruleID.MatchString(id) {
		return fmt.Errorf("%q is not the ID of a rule; signoz_alert_rules lists them, and an alert has its own in the label ruleId", oneLine(id, 60))
	}
	return nil
}

func (c *SigNozClient) rule(ctx context.Context, id string) (rule, error) {
	var r rule
	if err := checkRule(id); err != nil {
		return r, err
	}
	doing := "read alert rule " + id
	err := c.get(ctx, doing, "/api/v2/rules/"+id, nil, &r)
	if notThere(err) {
		err = c.get(ctx, doing, "/api/v1/rules/"+id, nil, &r)
	}
	if notThere(err) {
		return r, fmt.Errorf("there is no rule %s in SigNoz; signoz_alert_rules without id lists them", id)
	}
	r.settle()
	return r, err
}

// settle reads under old names what has no new one, and the thresholds.
func (r *rule) settle() {
	r.EvalWindow = orElse(r.Evaluation.Spec.EvalWindow, r.EvalWindow)
	r.Frequency = orElse(r.Evaluation.Spec.Frequency, r.Frequency)
	r.CreatedBy, r.UpdatedBy = orElse(r.CreatedBy, r.CreateBy), orElse(r.UpdatedBy, r.UpdateBy)
	if r.CreatedAt.IsZero() {
		r.CreatedAt = r.CreateAt
	}
	if r.UpdatedAt.IsZero() {
		r.UpdatedAt = r.UpdateAt
	}
	if json.Unmarshal(r.Condition.Thresholds.Spec, &r.thresholds) != nil || len(r.thresholds) == 0 {
		r.thresholds = nil
		if r.Condition.Target != nil {
			r.thresholds = []threshold{{r.Labels["severity"], r.Condition.Target, r.Condition.Unit, r.Condition.Op, r.Condition.Match}}
		}
	}
}

// String reads "critical above 5 percent, at least once".
func (t threshold) String() string {
	target := "no target"
	if t.Target != nil {
		target = amount(*t.Target)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s", oneLine(t.Name, 40), word(ops, t.Op), target, oneLine(t.Unit, 20))) + ", " + word(matchTypes, t.Match)
}

var (
	ops = map[string]string{"1": "above", "2": "below", "3": "equal to", "4": "not equal to", "5": "at or above", "6": "at or below", "7": "outside of"}
	// matchTypes say how often the condition must hold within the window.
	matchTypes = map[string]string{"1": "at least once", "2": "all the time", "3": "on average", "4": "in total", "5": "at the last point"}
)

// word translates the number of an operator; newer versions send words.
func word(words map[string]string, v any) string {
	s := plainText(v)
	return orElse(orElse(words[s], oneLine(strings.ReplaceAll(s, "_", " "), 30)), "unknown")
}

// rank orders rules: firing, pending, no data, the rest, disabled.
func (r rule) rank() int {
	i := slices.Index([]string{"disabled", "", "inactive", "recovering", "nodata", "pending", "firing"}, strings.ToLower(r.State))
	if r.Disabled {
		return 0
	}
	return max(i, 1)
}

func showRules(all []rule, name string) string {
	rules := slices.DeleteFunc(slices.Clone(all), func(r rule) bool { return !strings.Contains(strings.ToLower(r.Name), strings.ToLower(name)) })
	if len(rules) == 1 && name != "" {
		return showRule(rules[0])
	}
	slices.SortStableFunc(rules, func(a, b rule) int {
		return cmp.Or(cmp.Compare(b.rank(), a.rank()), strings.Compare(a.Name, b.Name))
	})
	out := newPage(signozTokens)
	out.say("SigNoz has %s, %d with that name.", plural(len(all), "alert rule"), len(rules))
	for i, r := range rules {
		if i == rulesShown || !out.quote(r.brief()) {
			out.say("[%d more; give name]", len(rules)-i)
			break
		}
	}
	return out.String()
}

// brief reads "firing “High latency” (id 01…): critical above 2 s, on average".
func (r rule) brief() string {
	state := orElse(oneLine(r.State, 20), "unknown")
	if r.Disabled {
		state = "disabled"
	}
	var levels []string
	for _, t := range r.thresholds {
		levels = append(levels, t.String())
	}
	return fmt.Sprintf("%s %q (id %s): %s", state, withoutPeople(r.Name, 120), oneLine(r.ID, 64), orElse(strings.Join(levels, "; "), "no threshold"))
}

// showRule tells all of one rule.
func showRule(r rule) string {
	out := newPage(signozTokens)
	now := time.Now()
	out.say("SigNoz alert rule:")
	out.quote(r.brief())
	out.quote(fmt.Sprintf("looks at %s every %s (%s, %s)", orElse(oneLine(r.EvalWindow, 20), "unknown"), orElse(oneLine(r.Frequency, 20), "unknown"), oneLine(r.Kind, 40), oneLine(r.Type, 40)))
	if r.Condition.Absent {
		out.quote(fmt.Sprintf("fires also when no data came for %s min", amount(r.Condition.AbsentMinutes)))
	}
	for _, q := range r.Condition.Query.Queries {
		out.quote("query " + oneLine(q.Type, 30) + ": " + withoutPeople(string(q.Spec), 700))
	}
	out.quote(fmt.Sprintf("created %s by %s, changed %s by %s", ago(now, r.CreatedAt), withoutPeople(r.CreatedBy, 60), ago(now, r.UpdatedAt), withoutPeople(r.UpdatedBy, 60)))
	for _, m := range []map[string]string{r.Labels, r.Annotations} {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			out.quote(oneLine(k, 60) + ": " + redactValue(k, withoutPeople(m[k], 300)))
		}
	}
	if r.ID != "" && ruleID.MatchString(r.ID) {
		out.say("signoz_alert_history with rule_id %s tells when it fired.", r.ID)
	}
	return out.String()
}

type signozHistoryArgs struct {
	RuleID string `json:"rule_id" jsonschema:"of the rule, from signoz_alert_rules or an alert's ruleId label"`
	PeriodArgs
}

func signozAlertHistory(c *SigNozClient, d Deliveries) server.ServerTool {
	return tool("signoz_alert_history",
		"When a SigNoz rule fired and recovered, for which labels and values, newest first, with how often and how long: to see flapping, a time of day or a beginning. "+
			"It tells no verdicts; incident_history does. The last 7 days if nothing else is asked.",
		readOnly,
		func(ctx context.Context, in signozHistoryArgs) (string, error) {
			if c == nil {
				return "", errNoSigNoz
			}
			if err := checkRule(in.RuleID); err != nil {
				return "", err
			}
			s, err := in.scope(ctx, d, 7*runbook.Day, 7*runbook.Day)
			if err != nil {
				return "", err
			}
			items, total, err := c.timeline(ctx, in.RuleID, s.period)
			if err != nil {
				return "", err
			}
			return showTimeline(in.RuleID, s, items, total), nil
		})
}

// A change is one change of state of one series of a rule.
type change struct {
	Name      string          `json:"ruleName"`
	State     string          `json:"state"`
	Changed   bool            `json:"stateChanged"`
	UnixMilli int64           `json:"unixMilli"`
	Labels    json.RawMessage `json:"labels"`
	Value     number          `json:"value"`
	// Fingerprint identifies the series.
	Fingerprint json.Number `json:"fingerprint"`
}

func (c *SigNozClient) timeline(ctx context.Context, id string, p period) ([]change, int, error) {
	var data struct {
		Items []change `json:"items"`
		Total int      `json:"total"`
	}
	start, end := strconv.FormatInt(p.from.UnixMilli(), 10), strconv.FormatInt(p.to.UnixMilli(), 10)
	doing := "read the history of rule " + id
	err := c.get(ctx, doing, "/api/v2/rules/"+id+"/history/timeline",
		url.Values{"start": {start}, "end": {end}, "limit": {strconv.Itoa(historyAsked)}, "order": {"desc"}}, &data)
	if notThere(err) {
		err = c.do(ctx, doing, http.MethodPost, "/api/v1/rules/"+id+"/history/timeline",
			map[string]any{"start": p.from.UnixMilli(), "end": p.to.UnixMilli(), "offset": 0, "limit": historyAsked, "order": "desc"}, &data)
	}
	if notThere(err) {
		err = errors.New("there is no history of rule " + id + " in SigNoz; signoz_alert_rules without id lists the rules")
	}
	return data.Items, data.Total, err
}

func showTimeline(id string, s scope, items []change, total int) string {
	byNewest(items, func(c change) time.Time { return time.UnixMilli(c.UnixMilli) })
	out := newPage(signozTokens)
	fired := 0
	for _, c := range items {
		if c.State == "firing" {
			fired++
		}
	}
	out.say("Rule %s, %s: %s of state, fired %d×.", id, s.period, plural(max(total, len(items)), "change"), fired)
	if len(items) == 0 {
		return out.String()
	}
	out.quote("rule " + strconv.Quote(withoutPeople(items[0].Name, 120)))
	ended := map[string]time.Time{} // of a series, later than the change at hand
	for i, c := range items {
		at := time.UnixMilli(c.UnixMilli).UTC()
		key := c.Fingerprint.String()
		line := fmt.Sprintf("%s %s, value %s, %s", stamp(at), oneLine(c.State, 20), amount(float64(c.Value)), withoutPeople(labelsOf(c.Labels), 200))
		if end, ok := ended[key]; ok && c.State == "firing" {
			line += ", for " + runbook.Short(end.Sub(at))
		}
		ended[key] = at
		if i == spellsShown || !out.quote(line) {
			out.say("[%d older ones; set until to %s]", max(total, len(items))-i, stamp(at))
			break
		}
	}
	return out.String()
}

// labelsOf reads labels as a list, as an object, or as either in a string.
func labelsOf(raw json.RawMessage) string {
	var inner string
	if json.Unmarshal(raw, &inner) == nil {
		raw = json.RawMessage(inner)
	}
	var list []label
	var object map[string]any
	switch {
	case json.Unmarshal(raw, &list) == nil:
	case json.Unmarshal(raw, &object) == nil:
		for k, v := range object {
			list = append(list, label{telemetryKey{Name: k}, v})
		}
	}
	return labelText(list)
}
