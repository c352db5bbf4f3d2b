package slack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/mcptool"
	"watchkeeper/runbook"
)

type escalateArgs struct {
	Delivery  string `json:"delivery,omitempty" jsonschema:"the event it is about, as d42; leave it out only if there is none"`
	Severity  string `json:"severity" jsonschema:"enum=critical,enum=warning,enum=info" jsonschema_description:"critical wakes a person and is repeated on prod until somebody acknowledges"`
	Title     string `json:"title" jsonschema:"what is wrong and where, one line of at most 150 characters"`
	Text      string `json:"text,omitempty" jsonschema:"what does not fit the other arguments, Markdown"`
	Impact    string `json:"impact,omitempty" jsonschema:"who notices what"`
	Checked   string `json:"checked,omitempty" jsonschema:"what was looked at"`
	Found     string `json:"found,omitempty" jsonschema:"facts, each with the call or link that shows it"`
	Recommend string `json:"recommend,omitempty" jsonschema:"what the person should do, the exact step first"`
	Default   string `json:"default,omitempty" jsonschema:"what happens if nobody answers"`
	Key       string `json:"key,omitempty" jsonschema:"a name of your own: the same key is the same escalation. Only for trouble that has no delivery, or that is new under an old one"`
}

func (t speech) escalate() server.ServerTool {
	return tool("escalate", "Call the person on call about something that needs a human. The same delivery, key, or alert of a service, escalated again is the same "+
		"escalation: what is new is added to it, and nobody is called twice. An answer arrives as a message event with its number.",
		mcptool.Idempotent|mcptool.AlwaysLoad, func(ctx context.Context, a escalateArgs) (string, error) {
			e, err := t.draft(ctx, a)
			if err != nil {
				return "", err
			}
			switch old, err := t.known(ctx, e, a.Key); {
			case err == nil:
				e.ID = old.ID
				return t.again(ctx, old, e)
			case !errors.Is(err, runbook.ErrNotFound):
				return "", err
			}
			stored, created, err := t.memory.Escalate(ctx, e, callText(e))
			if err != nil {
				return "", err
			}
			if !created { // another process was faster
				e.ID = stored.ID
				return t.again(ctx, stored, e)
			}
			return fmt.Sprintf("Escalation %d is open. %s", stored.ID, t.whatHappens(stored)), nil
		})
}

// known returns the escalation that e is already: the one of its key, else one
// that nobody resolved of the same alert on the same service and cluster, for
// an alert that comes and goes is one trouble. A key that the session chose is
// taken at its word.
func (t speech) known(ctx context.Context, e runbook.Escalation, chosen string) (runbook.Escalation, error) {
	old, err := t.memory.EscalationByKey(ctx, e.Key)
	if !errors.Is(err, runbook.ErrNotFound) || chosen != "" || e.Alert == "" || e.Service == "" || e.Service == runbook.Several {
		return old, err
	}
	all, err := t.memory.Escalations(ctx, runbook.EscalationOpen, runbook.EscalationAcked, runbook.EscalationSnoozed)
	if err != nil {
		return old, err
	}
	for _, o := range all {
		if o.Alert == e.Alert && o.Service == e.Service && o.Cluster == e.Cluster {
			return o, nil
		}
	}
	return old, runbook.ErrNotFound
}

// draft makes an escalation of the arguments. What they do not say comes from
// the delivery.
func (t speech) draft(ctx context.Context, a escalateArgs) (runbook.Escalation, error) {
	title := line(a.Title, maxTitle)
	if title == "" {
		return runbook.Escalation{}, errors.New("title says nothing; write what is wrong and where, such as: PVC at 97% on data-cluster")
	}
	e := runbook.Escalation{
		Title: title, Severity: runbook.Severity(a.Severity), OpenedBy: bySession, OpenedAt: time.Now(),
		Impact: prose(a.Impact), Checked: prose(a.Checked), Recommend: prose(a.Recommend), Default: prose(a.Default),
		Found: strings.TrimSpace(prose(a.Text) + "\n\n" + prose(a.Found)),
	}
	if a.Delivery != "" {
		d, err := t.claim(ctx, a.Delivery)
		if err != nil {
			return e, err
		}
		e.Delivery, e.Alert, e.Service, e.Cluster, e.Env = d.ID, d.Alert, d.Service, d.Cluster, d.Env
	}
	e.Key = escalationKey(a.Key, e)
	return e, nil
}

// escalationKey makes the same trouble the same escalation, also for a session
// that was restarted and does not know what it did.
func escalationKey(key string, e runbook.Escalation) string {
	switch {
	case key != "":
		return "key:" + line(key, 100)
	case e.Delivery != 0:
		return "delivery:" + e.Delivery.String()
	}
	return "title:" + digest(strings.ToLower(e.Title)) + ":" + e.OpenedAt.UTC().Format(time.DateOnly)
}

// again adds to the escalation that is there what e says anew.
func (t speech) again(ctx context.Context, old, e runbook.Escalation) (string, error) {
	if old.State == runbook.EscalationResolved {
		return "", fmt.Errorf("nobody was called: escalation %d of this was resolved by %s at %s and stays so. "+
			"If this is new trouble, escalate it again with a key of its own, such as key: %q",
			old.ID, who(old.ResolvedBy), clock(old.ResolvedAt), strings.TrimPrefix(e.Key, "delivery:")+"-again")
	}
	now, changed, err := t.memory.Renew(ctx, e, e.OpenedAt)
	if err != nil {
		return "", err
	}
	if !changed {
		return fmt.Sprintf("It is escalation %d already, and says the same. %s", now.ID, t.whatHappens(now)), nil
	}
	if err := t.memory.Send(ctx, renewal(old, now, e)); err != nil {
		return "", err
	}
	return fmt.Sprintf("It is escalation %d already; what is new was added to its thread. %s", now.ID, t.whatHappens(now)), nil
}

// renewal is what the thread is told about an escalation that says more than
// before.
func renewal(old, now, e runbook.Escalation) runbook.Message {
	var lines []string
	if now.Severity != old.Severity {
		lines = append(lines, fmt.Sprintf("Now %s, was %s: %s", now.Severity, old.Severity, e.Title))
	} else {
		lines = append(lines, "More is known: "+e.Title)
	}
	for _, p := range paragraphs(e) {
		lines = append(lines, "**"+p.label+"** "+p.text)
	}
	text := strings.Join(lines, "\n")
	return runbook.Message{
		Key: fmt.Sprintf("renewal:%d:%s", now.ID, digest(text)), Kind: "finding", Escalation: now.ID, Text: text,
		Urgent: now.Severity == runbook.Critical, CreatedAt: e.OpenedAt,
	}
}

// whatHappens says what the session may rely on.
func (t speech) whatHappens(e runbook.Escalation) string {
	switch e.State {
	case runbook.EscalationAcked:
		return fmt.Sprintf("%s acknowledged it at %s.", who(e.AckedBy), clock(e.AckedAt))
	case runbook.EscalationSnoozed:
		return fmt.Sprintf("%s snoozed it until %s.", who(e.AckedBy), clock(e.SnoozedUntil))
	}
	if _, nags := t.calling.first(e.Severity, e.Env); nags {
		return "The person on call is told now, and again and again until somebody acknowledges; you need not repeat it."
	}
	return "The person on call is told once; quiet hours may hold that back."
}

type updateArgs struct {
	Escalation     int64  `json:"escalation" jsonschema:"its number"`
	Finding        string `json:"finding,omitempty" jsonschema:"what is new, Markdown; it is added to the card and said in the thread"`
	AcknowledgedBy string `json:"acknowledged_by,omitempty" jsonschema:"user attribute of a person who said outside its thread that they take it; stops the nags"`
	Resolve        bool   `json:"resolve,omitempty" jsonschema:"true ends it for good: only when it is seen to be over, or a person said so; finding says why"`
}

func (t speech) updateEscalation() server.ServerTool {
	return tool("update_escalation", "Add a finding to an escalation, note that a person took it, or resolve it. A resolved one never opens again.",
		mcptool.Idempotent|mcptool.AlwaysLoad, func(ctx context.Context, a updateArgs) (string, error) {
			e, err := t.escalation(ctx, a.Escalation)
			if err != nil {
				return "", err
			}
			finding := prose(a.Finding)
			switch {
			case finding == "" && a.AcknowledgedBy == "" && !a.Resolve:
				return "", errors.New("nothing to do; give finding, acknowledged_by or resolve: true")
			case a.Resolve && finding == "" && e.Severity == runbook.Critical:
				return "", errors.New("a critical escalation is resolved with the reason; say in finding what shows that it is over")
			case e.State == runbook.EscalationResolved:
				return fmt.Sprintf("Escalation %d was resolved by %s at %s; nothing was changed.", e.ID, who(e.ResolvedBy), clock(e.ResolvedAt)), nil
			}
			return t.update(ctx, e, finding, a)
		})
}

func (t speech) update(ctx context.Context, e runbook.Escalation, finding string, a updateArgs) (string, error) {
	var done []string
	now := time.Now()
	if finding != "" {
		if err := t.addFinding(ctx, e, finding, now); err != nil {
			return "", err
		}
		done = append(done, "the finding was added")
	}
	if a.AcknowledgedBy != "" {
		if err := t.acknowledge(ctx, e, a.AcknowledgedBy, now); err != nil {
			return "", err
		}
		done = append(done, "it is acknowledged and no longer repeated")
	}
	if a.Resolve {
		if err := t.resolve(ctx, e, now); err != nil {
			return "", err
		}
		done = append(done, "it is resolved")
	}
	return fmt.Sprintf("Escalation %d: %s.", e.ID, strings.Join(done, ", ")), nil
}

func (t speech) addFinding(ctx context.Context, e runbook.Escalation, finding string, now time.Time) error {
	if !strings.Contains(e.Found, finding) {
		if err := t.memory.AddFinding(ctx, e.ID, finding); err != nil {
			return err
		}
	}
	if err := t.memory.Touch(ctx, e.ID, now); err != nil {
		return err
	}
	return t.memory.Send(ctx, runbook.Message{
		Key: fmt.Sprintf("finding:%d:%s", e.ID, digest(finding)), Kind: "finding", Escalation: e.ID, Text: finding, CreatedAt: now,
	})
}

// acknowledge notes that user took e. It silences the nags, so it needs a
// person who has spoken since they were called: no text that a model read can
// do it alone.
func (t speech) acknowledge(ctx context.Context, e runbook.Escalation, user string, now time.Time) error {
	spoke, err := t.memory.SpokeSince(ctx, user, e.OpenedAt)
	if err != nil {
		return err
	}
	if !spoke {
		return fmt.Errorf("%s has not written since escalation %d was opened; only a person acknowledges, by the button, "+
			"in its thread, or in words that reached you", quoted(user), e.ID)
	}
	if err := t.memory.Acknowledge(ctx, e.ID, user, now); err != nil {
		return err
	}
	return t.audit(ctx, e, "acknowledge_escalation", "for "+user, now)
}

func (t speech) resolve(ctx context.Context, e runbook.Escalation, now time.Time) error {
	if err := t.memory.ResolveEscalation(ctx, e.ID, bySession, now); err != nil && !errors.Is(err, runbook.ErrClosed) {
		return err
	}
	err := t.memory.Send(ctx, resolvedNote(e, bySession, now))
	return cmp.Or(err, t.audit(ctx, e, "resolve_escalation", "", now))
}

func (t speech) audit(ctx context.Context, e runbook.Escalation, action, detail string, now time.Time) error {
	return t.memory.Audit(ctx, runbook.AuditEntry{
		At: now, Actor: bySession, Action: action, Target: fmt.Sprintf("escalation %d", e.ID), Phase: "after", Detail: detail, Delivery: e.Delivery,
	})
}

// escalation returns escalation id, or an error that says where the numbers
// stand.
func (t speech) escalation(ctx context.Context, id int64) (runbook.Escalation, error) {
	e, err := t.memory.Escalation(ctx, id)
	if errors.Is(err, runbook.ErrNotFound) {
		return e, fmt.Errorf("there is no escalation %d; list_escalations shows the numbers", id)
	}
	return e, err
}

type listArgs struct {
	State string `json:"state,omitempty" jsonschema:"enum=open,enum=acked,enum=snoozed,enum=resolved" jsonschema_description:"only these; left out: all that are not resolved"`
}

func (t speech) listEscalations() server.ServerTool {
	return tool("list_escalations", "List the escalations with their state, worst news for us first: what nobody has acknowledged. Use it at the "+
		"start of a session, and before you escalate something without a delivery.", mcptool.ReadOnly,
		func(ctx context.Context, a listArgs) (string, error) {
			states := []runbook.EscalationState{runbook.EscalationOpen, runbook.EscalationSnoozed, runbook.EscalationAcked}
			if a.State != "" {
				states = []runbook.EscalationState{runbook.EscalationState(a.State)}
			}
			all, err := t.memory.Escalations(ctx, states...)
			if err != nil {
				return "", err
			}
			return escalationList(all, time.Now()), nil
		})
}
