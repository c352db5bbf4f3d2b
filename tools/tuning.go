package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/runbook"
)

// A Noisebook is what tuning_proposals needs of the store.
type Noisebook interface {
	NoisePatterns(ctx context.Context, now time.Time, days int) ([]runbook.Pattern, error)
	KeepProposals(ctx context.Context, found []runbook.Proposal) ([]runbook.Proposal, error)
	Proposals(ctx context.Context) ([]runbook.Proposal, error)
	Proposal(ctx context.Context, id int64) (runbook.Proposal, error)
	SendProposal(ctx context.Context, id int64, text string, from, now time.Time) (p runbook.Proposal, sent bool, err error)
	AnswerProposal(ctx context.Context, id int64, answer runbook.ProposalState, until time.Time, by string, now time.Time) (runbook.Proposal, error)
}

// A RuleReader reads the rule behind a pattern where the sender has an API for
// it. The zero Rule and no error mean that nothing is known.
type RuleReader interface {
	Rule(ctx context.Context, p runbook.Pattern) (runbook.Rule, error)
}

// Bounds of a look for proposals.
const (
	ruleTimeout = 5 * time.Second // for one rule; a proposal does without
	snoozeDays  = 14              // if the person did not say how long
	maxDays     = 30              // of the window; the back-test reaches no further
	maxSent     = 5               // proposals at once: a person reads them on a phone
	wakeHour    = 9               // sessions start at night, and no proposal is worth a ring then
	bedHour     = 21
)

type tuningArgs struct {
	Days     int    `json:"days,omitempty" jsonschema:"window to look for noise in, 7 if not given, at most 30; with snoozed: for how long, 14 if not given"`
	ID       int64  `json:"id,omitempty" jsonschema:"with decision: the proposal's number"`
	Decision string `json:"decision,omitempty" jsonschema:"enum=send,enum=accepted,enum=declined,enum=snoozed" jsonschema_description:"send tells the person on call; else what the person answered"`
	By       string `json:"by,omitempty" jsonschema:"required with an answer: the person, as in the event's user attribute"`
}

// Tuning returns tuning_proposals. rules may be nil. location is where the
// people sleep, nil is UTC.
func Tuning(book Noisebook, rules RuleReader, location *time.Location) []server.ServerTool {
	t := tuner{book: book, rules: rules, location: cmp.Or(location, time.UTC)}
	return []server.ServerTool{tool("tuning_proposals",
		"What to change at the source of alerts that are noise again and again, back-tested on recorded history. Without id: the proposals to send now, "+
			"each with its text, and where the others stand. With id and decision: sends it to the person on call, or records what the person answered. "+
			"Use it at the start of a session and when a person answers a proposal.",
		0,
		func(ctx context.Context, in tuningArgs) (string, error) {
			if in.ID != 0 || in.Decision != "" {
				return t.decide(ctx, in, time.Now())
			}
			return t.look(ctx, in.Days, time.Now())
		})}
}

type tuner struct {
	book     Noisebook
	rules    RuleReader
	location *time.Location
}

// look finds what is worth a proposal now.
func (t tuner) look(ctx context.Context, days int, now time.Time) (string, error) {
	days = cmp.Or(days, 7)
	if days < 1 || days > maxDays {
		return "", fmt.Errorf("days is %d, want 1 to %d", days, maxDays)
	}
	patterns, err := t.book.NoisePatterns(ctx, now, days)
	if err != nil {
		return "", err
	}
	var found []runbook.Proposal
	for _, p := range patterns {
		if prop, ok := runbook.Propose(p, t.rule(ctx, p), days, now); ok {
			found = append(found, prop)
		}
	}
	if found, err = t.book.KeepProposals(ctx, found); err != nil {
		return "", err
	}
	all, err := t.book.Proposals(ctx)
	if err != nil {
		return "", err
	}
	return proposalPage(found, all, now), nil
}

// rule reads the rule of p, if that can be done in good time.
func (t tuner) rule(ctx context.Context, p runbook.Pattern) runbook.Rule {
	if t.rules == nil {
		return runbook.Rule{}
	}
	ctx, cancel := context.WithTimeout(ctx, ruleTimeout)
	defer cancel()
	r, err := t.rules.Rule(ctx, p)
	if err != nil {
		return runbook.Rule{} // the proposal says that the rule was not read
	}
	return r
}

// proposalPage shows what is to be sent, then where the others stand.
func proposalPage(found, all []runbook.Proposal, now time.Time) string {
	var b strings.Builder
	sent := map[int64]bool{}
	for _, p := range found {
		if !p.Due(now) || len(sent) == maxSent {
			continue
		}
		sent[p.ID] = true
		fmt.Fprintf(&b, "Proposal %d, to be sent now: tuning_proposals with id %d and decision send. The person gets this:\n"+
			"[begin text of proposal %d]\n%s\n[end text]\n", p.ID, p.ID, p.ID, cleanText(p.Text()))
	}
	if len(sent) == 0 {
		b.WriteString("No proposal is to be sent now.\n")
	}
	for _, p := range all {
		if !sent[p.ID] && p.State != runbook.ProposalNew {
			b.WriteString(oneLine(standing(p), 300) + "\n")
		}
	}
	return b.String()
}

// standing is a proposal in one line.
func standing(p runbook.Proposal) string {
	s := fmt.Sprintf("Proposal %d, %s: %s", p.ID, p.State, p.Sentence())
	switch p.State {
	case runbook.ProposalOpen:
		s = fmt.Sprintf("Proposal %d, open since %s: %s", p.ID, p.SentAt.Format("Jan 2"), p.Sentence())
	case runbook.ProposalSnoozed:
		s = fmt.Sprintf("Proposal %d, snoozed until %s: %s", p.ID, p.SnoozedUntil.Format("Jan 2"), p.Sentence())
	}
	return s
}

// cleanText makes the lines of a text safe and keeps its shape: it holds a
// diff.
func cleanText(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = clean(l, 500)
	}
	return strings.Join(lines, "\n")
}

// decide sends a proposal, or records the answer to it.
func (t tuner) decide(ctx context.Context, in tuningArgs, now time.Time) (text string, err error) {
	switch {
	case in.ID == 0 || in.Decision == "":
		return "", errors.New("give id and decision together; without both it lists the proposals")
	case in.Decision == "send":
		text, err = t.send(ctx, in.ID, now)
	default:
		text, err = t.answer(ctx, in, now)
	}
	if errors.Is(err, runbook.ErrNotFound) {
		return "", fmt.Errorf("there is no proposal %d; tuning_proposals without id lists them", in.ID)
	}
	return text, err
}

// send tells the person on call about proposal id, as it stands in the memory.
func (t tuner) send(ctx context.Context, id int64, now time.Time) (string, error) {
	p, err := t.book.Proposal(ctx, id)
	if err != nil {
		return "", err
	}
	p, sent, err := t.book.SendProposal(ctx, id, cleanText(p.Text()), awake(now, t.location), now)
	switch {
	case err != nil:
		return "", err
	case !sent:
		return fmt.Sprintf("Nothing was sent: it is not due. %s", oneLine(standing(p), 300)), nil
	}
	return fmt.Sprintf("Stored; proposal %d goes to the person on call by day, unchanged. An answer arrives as a message event.", id), nil
}

// awake is now, or the next morning if people sleep now.
func awake(now time.Time, where *time.Location) time.Time {
	local := now.In(where)
	y, m, d := local.Date()
	switch h := local.Hour(); {
	case h < wakeHour:
		return time.Date(y, m, d, wakeHour, 0, 0, 0, where)
	case h >= bedHour:
		return time.Date(y, m, d+1, wakeHour, 0, 0, 0, where)
	}
	return now
}

// answer records what a person decided, and says when the proposal comes back.
func (t tuner) answer(ctx context.Context, in tuningArgs, now time.Time) (string, error) {
	if in.By == "" {
		return "", errors.New("by is missing: only a person answers a proposal; give the user attribute of the message")
	}
	days := cmp.Or(in.Days, snoozeDays)
	state, until := runbook.ProposalState(in.Decision), time.Time{}
	if state == runbook.ProposalSnoozed {
		if days < 1 || days > 365 {
			return "", fmt.Errorf("days is %d, want 1 to 365", days)
		}
		until = now.Add(time.Duration(days) * runbook.Day)
	}
	p, err := t.book.AnswerProposal(ctx, in.ID, state, until, in.By, now)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("Recorded: proposal %d is %s.", p.ID, p.State)
	switch p.State {
	case runbook.ProposalAccepted:
		text += " It comes back if the noise goes on for a week."
	case runbook.ProposalDeclined:
		text += " It comes back only if there is twice as much noise as before, and not within 14 days."
	case runbook.ProposalSnoozed:
		text += fmt.Sprintf(" It comes back on %s, if the noise goes on.", p.SnoozedUntil.Format("Jan 2"))
	}
	return text, nil
}
