package tools

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/runbook"
)

// Lengths of what a verdict keeps, in characters.
const (
	summaryLimit = 200
	proseLimit   = 4000
)

type verdictArgs struct {
	Delivery  string `json:"delivery" jsonschema:"the event, as d42"`
	Verdict   string `json:"verdict" jsonschema:"enum=noise,enum=real,enum=auto_fixed" jsonschema_description:"what nobody understands is real"`
	Escalated bool   `json:"escalated,omitempty" jsonschema:"true if a person was told by escalate; escalate first"`
	Summary   string `json:"summary" jsonschema:"for the briefing: at most 80 characters, cause before symptom"`
	RootCause string `json:"root_cause,omitempty" jsonschema:"one sentence; empty if nobody knows"`
	Actions   string `json:"actions,omitempty" jsonschema:"what was done, none for nothing"`
	Evidence  string `json:"evidence,omitempty" jsonschema:"two to four facts, each with the call that shows it"`
	Revise    bool   `json:"revise,omitempty" jsonschema:"replaces an earlier verdict; say why in summary"`
}

func logVerdict(r recorder) server.ServerTool {
	return tool("log_verdict",
		"Close a delivery with its verdict and keep what was found: noise (nothing was wrong, or nobody could notice), auto_fixed (was wrong and is seen to be over), real (everything else). "+
			"Every investigated or dismissed event ends with it, once. It tells no person; that is escalate.",
		idempotent|alwaysLoad,
		func(ctx context.Context, in verdictArgs) (string, error) {
			record, err := in.incident(r.actor)
			if err != nil {
				return "", err
			}
			logged, err := r.LogVerdict(ctx, record, in.Revise)
			if err != nil {
				return "", explainVerdict(record.Delivery, logged, err)
			}
			return r.logged(ctx, logged)
		})
}

// incident checks the arguments and returns the record they describe.
func (in verdictArgs) incident(actor string) (runbook.Incident, error) {
	id, errID := runbook.ParseDelivery(in.Delivery)
	verdict, errVerdict := runbook.ParseVerdict(in.Verdict)
	summary := oneLine(in.Summary, summaryLimit)
	var errSummary error
	if strings.TrimSpace(summary) == "" {
		errSummary = errors.New("summary says nothing; write one line for the briefing, such as: OOMKilled, recovered")
	}
	return runbook.Incident{
		Delivery: id, Verdict: verdict, Escalated: in.Escalated, Summary: summary,
		RootCause: oneLine(in.RootCause, proseLimit), Actions: oneLine(in.Actions, proseLimit), Evidence: oneLine(in.Evidence, proseLimit),
		DecidedBy: actor, DecidedAt: time.Now(),
	}, errors.Join(errID, errVerdict, errSummary)
}

// explainVerdict says who decided before, or what else stands in the way.
func explainVerdict(id runbook.DeliveryID, old runbook.Incident, err error) error {
	switch {
	case errors.Is(err, runbook.ErrNotFound):
		return fmt.Errorf("there is no delivery %s; its number stands in the event, and pending_events lists what is open", id)
	case errors.Is(err, runbook.ErrDecided) && old.ID != 0:
		return fmt.Errorf("%s is already decided: %s. Leave it at that; if it was wrong, call again with revise: true and the reason in summary",
			old.Delivery, verdictLine(old))
	case errors.Is(err, runbook.ErrDecided):
		return fmt.Errorf("%s needs no verdict: it is a notice, and nothing is owed for it", id)
	}
	return err
}

// logged confirms a verdict and says what is still missing.
func (r recorder) logged(ctx context.Context, in runbook.Incident) (string, error) {
	text := fmt.Sprintf("Logged: %s is %s", in.Delivery, in.Verdict)
	if in.Escalated {
		text += ", escalated"
	}
	text += fmt.Sprintf("; it closes %s of %s.\n", plural(in.Alerts, "alert"), subject(in.Alert, in.Service, in.Cluster))
	missing, err := r.untold(ctx, in)
	if err != nil {
		return "", err
	}
	if missing != "" {
		text += fmt.Sprintf("REMINDER: %s, and no person was told. Call escalate for %s now, then log_verdict with escalated: true and revise: true.\n", missing, in.Delivery)
	}
	return text, nil
}

// untold says why a person should have been told, "" if that is done or not
// needed.
func (r recorder) untold(ctx context.Context, in runbook.Incident) (string, error) {
	if in.Escalated || !in.Env.Strict() || in.Verdict != runbook.Real {
		return "", nil
	}
	if in.Severity == runbook.Critical {
		return fmt.Sprintf("this is real, critical and on %s", envWord(in.Env)), nil
	}
	d := runbook.Delivery{ID: in.Delivery, Alert: in.Alert, Service: in.Service}
	p, err := r.playbook(ctx, d)
	if err != nil {
		return "", err
	}
	if _, always := r.policy.MustEscalate(in.Alert, in.Service, in.Cluster, p.Category); always {
		return "this is real, and the policy says to escalate it always", nil
	}
	if p.AlwaysEscalate {
		return fmt.Sprintf("this is real, and playbook %s always goes to a person", p.Name), nil
	}
	return "", nil
}

func envWord(e runbook.Env) string {
	if e == runbook.Prod {
		return "prod"
	}
	return "an unknown environment, which counts as prod"
}
