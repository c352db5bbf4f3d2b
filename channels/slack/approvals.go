package slack

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"
	"unicode/utf8"

	slackgo "github.com/slack-go/slack"

	"watchkeeper/runbook"
	"watchkeeper/secret"
)

// An ApprovalMemory is what the approvals need of the memory.
type ApprovalMemory interface {
	AskApproval(ctx context.Context, a runbook.Approval, card func(runbook.Approval) runbook.Message) (runbook.Approval, error)
	Approval(ctx context.Context, id int64) (runbook.Approval, error)
	OpenApproval(ctx context.Context, code string) (runbook.Approval, error)
	DecideApproval(ctx context.Context, a runbook.Approval, messages ...runbook.Message) (bool, error)
	Message(ctx context.Context, key string) (runbook.Message, error)
	Send(ctx context.Context, m runbook.Message) error
}

const (
	approvalFor   = 15 * time.Minute       // that an answer is waited for
	approvalLook  = 250 * time.Millisecond // at the memory, for an answer
	approvalParts = 4                      // sections that may hold the input
	// approvalRoom is how long an input may be that a person sees whole,
	// whatever escaping makes of it.
	approvalRoom = approvalParts * maxSection / 2
)

// Sources of an approval.
const (
	fromChannel = "channel"
	fromStream  = "stream"
)

// Approvals asks the person on call for permissions, in Slack. Each is a row
// of the memory first: a button, a typed answer, the time and the end of the
// session all try to decide it, and the first wins. It is safe for concurrent
// use.
type Approvals struct {
	Memory ApprovalMemory
	People People
	Log    *slog.Logger
	For    time.Duration // that an answer is waited for; 0 is 15 minutes
}

// What the session is told instead of a permission.
const (
	notAsked   = "Nobody can be asked: no person on call is configured. Use the tools that need no permission, or escalate it with the exact step."
	tooLong    = "Not permitted: the input is too long to be shown to a person, and nobody approves what they cannot read. Split it, or escalate it with the exact step."
	unanswered = "Nobody answered in time, so it is not permitted. Do not ask again for the same; escalate it with the exact step that you recommend."
	refused    = "The person on call said no. Do not ask again for the same; if it matters, say why with escalate or reply."
)

// Ask asks the person on call whether tool may be called with input, and waits
// for the answer, until its time is over or ctx is done. message says why it is
// not allowed, for the model. An error is a denial.
func (a *Approvals) Ask(ctx context.Context, tool, description string, input json.RawMessage) (allow bool, message string, err error) {
	text := indented(input)
	switch {
	case a.People.OnCall == "":
		return false, notAsked, nil
	case utf8.RuneCountInString(text) > approvalRoom:
		return false, tooLong, nil
	}
	asked, err := a.askNew(ctx, tool, description, text)
	if err != nil {
		return false, "", err
	}
	got, err := a.wait(ctx, asked)
	if err != nil {
		return false, "", err
	}
	switch got.State {
	case runbook.ApprovalAllowed:
		return true, "", nil
	case runbook.ApprovalDenied:
		return false, refused, nil
	}
	return false, unanswered, nil
}

// askNew stores a question under a code that no other open one has.
func (a *Approvals) askNew(ctx context.Context, tool, description, input string) (runbook.Approval, error) {
	for {
		asked, err := a.ask(ctx, runbook.Approval{Code: newCode(), Source: fromStream, Tool: tool, Description: description, Input: input})
		if !errors.Is(err, runbook.ErrDuplicate) {
			return asked, err
		}
	}
}

// ask stores a question with its card.
func (a *Approvals) ask(ctx context.Context, q runbook.Approval) (runbook.Approval, error) {
	q.Person, q.AskedAt = a.People.OnCall, time.Now()
	q.ExpiresAt = q.AskedAt.Add(a.patience())
	q.Tool, q.Description = line(q.Tool, 200), line(q.Description, 1000)
	q.Input = secret.Redact(printable(q.Input))
	asked, err := a.Memory.AskApproval(ctx, q, approvalMessage)
	if err == nil {
		a.Log.InfoContext(ctx, "permission asked", "approval", asked.ID, "tool", asked.Tool, "source", asked.Source)
	}
	return asked, err
}

func (a *Approvals) patience() time.Duration {
	if a.For > 0 {
		return a.For
	}
	return approvalFor
}

// wait returns q once it is decided. When ctx is done, it is withdrawn.
func (a *Approvals) wait(ctx context.Context, q runbook.Approval) (runbook.Approval, error) {
	for {
		got, err := a.Memory.Approval(ctx, q.ID)
		switch {
		case ctx.Err() != nil:
			return q, errors.Join(ctx.Err(), a.withdraw(context.WithoutCancel(ctx), q))
		case err != nil:
			return q, err
		case got.State != runbook.ApprovalOpen:
			return got, nil
		case !time.Now().Before(got.ExpiresAt):
			got.State, got.DecidedAt = runbook.ApprovalExpired, time.Now()
			if _, err := a.Memory.DecideApproval(ctx, got, approvalOutcome(got)); err != nil {
				return q, err
			}
		}
		sleep(ctx, min(approvalLook, max(time.Until(got.ExpiresAt), time.Millisecond)))
	}
}

// withdraw ends a question whose answer nobody wants any more.
func (a *Approvals) withdraw(ctx context.Context, q runbook.Approval) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	q.State, q.DecidedAt = runbook.ApprovalWithdrawn, time.Now()
	_, err := a.Memory.DecideApproval(ctx, q, approvalOutcome(q))
	return err
}

// Answer implements [Answers]. Only the person who was asked decides.
func (a *Approvals) Answer(ctx context.Context, user, code string, allow bool) (known bool, err error) {
	q, err := a.Memory.OpenApproval(ctx, code)
	if errors.Is(err, runbook.ErrNotFound) {
		return false, nil
	}
	if err != nil || user != q.Person {
		return false, err
	}
	return a.decide(ctx, q, user, allow)
}

// press decides by a button, which counts only on the card that the question
// was put on, for the person to whom it was put.
func (a *Approvals) press(ctx context.Context, p runbook.Press, allow bool) error {
	id, _ := strconv.ParseInt(p.Value, 10, 64) // 0, which is no question, for what is no number
	q, err := a.Memory.Approval(ctx, id)
	if errors.Is(err, runbook.ErrNotFound) {
		return a.tooLate(ctx, p, "There is no such question any more.")
	}
	if err != nil {
		return err
	}
	card, err := a.Memory.Message(ctx, approvalKey(id))
	if err != nil {
		return err
	}
	switch {
	case p.User != q.Person:
		return a.tooLate(ctx, p, "Only the person who was asked decides this.")
	case p.TS != card.TS || p.Channel != card.Channel:
		return a.tooLate(ctx, p, "That button is not on the card of this question; nothing was decided.")
	case q.DecidedBy == p.User && (q.State == runbook.ApprovalAllowed) == allow && q.State != runbook.ApprovalOpen:
		return nil // the same press again
	}
	won, err := a.decide(ctx, q, p.User, allow)
	if err != nil || won {
		return err
	}
	return a.tooLate(ctx, p, "It was decided before, or its time is over; nothing was changed.")
}

func (a *Approvals) tooLate(ctx context.Context, p runbook.Press, text string) error {
	return a.Memory.Send(ctx, runbook.Message{
		Key: fmt.Sprintf("notice:press:%d", p.ID), Kind: KindNotice, Channel: p.Channel, Thread: p.TS, Text: text, CreatedAt: time.Now(),
	})
}

func (a *Approvals) decide(ctx context.Context, q runbook.Approval, user string, allow bool) (won bool, err error) {
	q.State = runbook.ApprovalDenied
	if allow {
		q.State = runbook.ApprovalAllowed
	}
	q.DecidedBy, q.DecidedAt = user, time.Now()
	won, err = a.Memory.DecideApproval(ctx, q, approvalOutcome(q))
	if won {
		a.Log.InfoContext(ctx, "permission answered", "approval", q.ID, "tool", q.Tool, "state", string(q.State), "user", user)
	}
	return won, err
}

// expireApprovals ends the questions whose time is over and whose asker may
// have died.
func expireApprovals(ctx context.Context, m NagMemory, now time.Time) error {
	late, err := m.ExpiredApprovals(ctx, now)
	if err != nil {
		return err
	}
	for _, q := range late {
		q.State, q.DecidedAt = runbook.ApprovalExpired, now
		if _, err := m.DecideApproval(ctx, q, approvalOutcome(q)); err != nil {
			return err
		}
	}
	return nil
}

func approvalKey(id int64) string { return fmt.Sprintf("approval:%d", id) }

// approvalMessage is the card that asks q.
func approvalMessage(q runbook.Approval) runbook.Message {
	text := fmt.Sprintf("Permission asked: %s\n%s\nAnswer with the buttons, or write: yes %s or no %s", q.Tool, q.Description, q.Code, q.Code)
	return runbook.Message{
		Key: approvalKey(q.ID), Kind: "approval", Channel: q.Person, Text: textEscaper.Replace(text), Mrkdwn: true, Blocks: blocksOf(approvalBlocks(q)),
		Urgent: true, CreatedAt: q.AskedAt,
	}
}

// approvalOutcome is the card of q after it was decided.
func approvalOutcome(q runbook.Approval) runbook.Message {
	text := fmt.Sprintf("%s: %s", outcomeWord(q.State), q.Tool)
	return runbook.Message{
		Key: approvalKey(q.ID) + ":outcome", Kind: "approval", EditOf: approvalKey(q.ID), Text: textEscaper.Replace(text), Mrkdwn: true,
		Blocks: blocksOf(approvalBlocks(q)), CreatedAt: q.DecidedAt,
	}
}

func outcomeWord(s runbook.ApprovalState) string {
	switch s {
	case runbook.ApprovalAllowed:
		return "Approved"
	case runbook.ApprovalDenied:
		return "Denied"
	case runbook.ApprovalExpired:
		return "Expired, not permitted"
	case runbook.ApprovalWithdrawn:
		return "No longer needed"
	}
	return "Open"
}

func approvalBlocks(q runbook.Approval) []slackgo.Block {
	head := fmt.Sprintf(":key: *The session asks for permission: %s*", escaped(q.Tool))
	if q.Description != "" {
		head += "\n" + escaped(q.Description)
	}
	blocks := []slackgo.Block{section(head)}
	if q.Input != "" {
		blocks = append(blocks, sections(fenced(q.Input))...)
	}
	footer := fmt.Sprintf("Question %s, until %s. Or write: yes %s or no %s", q.Code, clock(q.ExpiresAt), q.Code, q.Code)
	if q.State != runbook.ApprovalOpen {
		footer = fmt.Sprintf("*%s* at %s", outcomeWord(q.State), clock(q.DecidedAt))
		if q.DecidedBy != "" {
			footer += " by " + person(q.DecidedBy)
		}
	}
	blocks = append(blocks, slackgo.NewContextBlock("", slackgo.NewTextBlockObject(slackgo.MarkdownType, footer, false, false)))
	if q.State != runbook.ApprovalOpen {
		return blocks
	}
	value := strconv.FormatInt(q.ID, 10)
	approve, deny := button(actionAllow, value, "Approve"), button(actionDeny, value, "Deny")
	approve.Style, deny.Style = slackgo.StylePrimary, slackgo.StyleDanger
	return append(blocks, slackgo.NewActionBlock("", approve, deny))
}

// indented is input as a person reads it, digit for digit as it was given.
func indented(input json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(input), "", "  "); err != nil {
		return string(input)
	}
	return b.String()
}

// codeLetters are those of a code: no l, which looks like 1.
const codeLetters = "abcdefghijkmnopqrstuvwxyz"

// newCode returns five random letters.
func newCode() string {
	var raw [5]byte
	_, _ = rand.Read(raw[:]) // never fails
	for i, b := range raw {
		raw[i] = codeLetters[int(b)%len(codeLetters)]
	}
	return string(raw[:])
}
