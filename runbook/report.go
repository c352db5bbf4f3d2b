package runbook

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Report is what a sub-agent hands back: lines of "FIELD: text", where
// EVIDENCE and GAPS are lists.
type Report struct {
	Verdict  string            // of [ReportVerdicts]
	Delivery DeliveryID        // 0 if the brief named none
	Fields   map[string]string // the other fields by their upper-case name
	Evidence []string
	Gaps     []string // ["none"] if nothing is missing
}

// ReportVerdicts are the words that a report may begin with: the
// investigator's, the verifier's and the scribe's.
func ReportVerdicts() []string {
	return []string{"noise", "real", "recovered", "unsure", "answer", "confirmed", "refuted", "ready", "not enough"}
}

// ParseReport reads a sub-agent's last message. Its error says to the agent, in
// one sentence for each, what the report lacks: a hook hands that back to it.
func ParseReport(text string) (Report, error) {
	r := Report{Fields: map[string]string{}}
	seen := map[string]bool{}
	field := ""
	for line := range strings.Lines(unfence(text)) {
		line = strings.TrimSpace(line)
		if name, rest, ok := reportField(line); ok {
			field, line = name, rest
			seen[field] = true
		}
		if line != "" {
			r.put(field, line)
		}
	}
	return r, r.check(seen)
}

// unfence forgives a report that stands in a block of code.
func unfence(text string) string {
	text = strings.TrimSpace(text)
	if first, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(first, "```") {
		return strings.TrimSuffix(rest, "```")
	}
	return text
}

// reportFields are all that a report may have. Anything else before a colon is
// text: evidence quotes logs.
func reportFields() []string {
	return []string{
		"VERDICT", "DELIVERY", "SEVERITY", "CONFIDENCE", "CAUSE", "IMPACT", "EVIDENCE", "GAPS", "ACTION",
		"RECOMMEND", "TITLE", "TEXT",
	}
}

// reportField splits "FIELD: text"; a bold FIELD is forgiven.
func reportField(line string) (name, rest string, ok bool) {
	name, rest, ok = strings.Cut(line, ":")
	name = strings.Trim(name, "*")
	if !ok || !slices.Contains(reportFields(), name) {
		return "", "", false
	}
	return name, strings.Trim(rest, "* "), true
}

func (r *Report) put(field, line string) {
	item := strings.TrimSpace(strings.TrimLeft(line, "-*• "))
	switch field {
	case "VERDICT":
		if r.Verdict == "" {
			r.Verdict = strings.ToLower(item)
		}
	case "DELIVERY":
		if id, err := ParseDelivery(item); err == nil {
			r.Delivery = id
		}
	case "EVIDENCE":
		r.Evidence = append(r.Evidence, item)
	case "GAPS":
		r.Gaps = append(r.Gaps, item)
	case "":
	default:
		r.Fields[field] = strings.TrimSpace(r.Fields[field] + " " + line)
	}
}

func (r Report) check(seen map[string]bool) error {
	var errs []error
	switch {
	case !seen["VERDICT"]:
		errs = append(errs, errors.New("the report has no line VERDICT: write it in the format of your instructions, and nothing else"))
	case !slices.Contains(ReportVerdicts(), r.Verdict):
		errs = append(errs, fmt.Errorf("VERDICT is %q, want one of %s", oneLine(r.Verdict), strings.Join(ReportVerdicts(), ", ")))
	}
	if len(r.Evidence) == 0 {
		errs = append(errs, errors.New("EVIDENCE is empty: list at least one fact with the call that shows it"))
	}
	if len(r.Gaps) == 0 {
		errs = append(errs, errors.New("GAPS is empty: list what you could not check, or write none"))
	}
	return errors.Join(errs...)
}
