package slack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	slackgo "github.com/slack-go/slack"

	"watchkeeper/runbook"
	"watchkeeper/secret"
)

// Bounds of a card. Slack refuses a section above 3,000 characters, and more
// than 50 blocks.
const (
	maxSection  = 2900
	maxSections = 4 // of a message; a longer one goes out as text
	maxLinks    = 3
)

// Actions of the buttons on a card, which say what they are for.
const (
	actionAck     = "escalation_ack"
	actionSnooze  = "escalation_snooze"
	actionResolve = "escalation_resolve"
	actionAckAll  = "escalation_ack_all"
	actionAllow   = "approval_allow"
	actionDeny    = "approval_deny"
)

// Kinds of messages that are cards.
const (
	kindEscalation = "escalation"
	kindSecond     = "second"
)

// A CardMemory is what a card needs of the memory.
type CardMemory interface {
	Escalation(ctx context.Context, id int64) (runbook.Escalation, error)
	Alerts(ctx context.Context, id runbook.DeliveryID, limit int) ([]runbook.Occurrence, error)
}

// Cards makes Block Kit of what is said to people. A card promises the nags
// that Calling makes.
type Cards struct {
	Memory  CardMemory
	Calling Calling
}

// Render returns m as Slack shows it, for [Sender.Card]: the first message of
// an escalation becomes its card, as things stand now, and the Markdown of the
// session becomes Slack's markup. blocks is "" for what is well as it is.
func (c Cards) Render(ctx context.Context, m runbook.Message) (text, blocks string, err error) {
	if m.EditOf != "" || m.Mrkdwn {
		return "", "", nil
	}
	switch m.Kind {
	case kindEscalation, kindSecond:
		return c.first(ctx, m)
	case "message", "reply", "finding", "note", "briefing", "proposal":
		return richer(m.Text)
	}
	return "", "", nil
}

// first renders the first message of an escalation to a person. A second
// person is told first why it is them.
func (c Cards) first(ctx context.Context, m runbook.Message) (text, blocks string, err error) {
	e, err := c.Memory.Escalation(ctx, m.Escalation)
	if err != nil {
		return "", "", err
	}
	why := ""
	if m.Kind == kindSecond {
		why, _, _ = strings.Cut(m.Text, "\n")
	}
	blocks, err = c.card(ctx, e, why)
	return textEscaper.Replace(secret.Redact(m.Text)), blocks, err
}

// edits are the cards of d as things stand.
func (c Cards) edits(ctx context.Context, d runbook.Duty, now time.Time) ([]runbook.Message, error) {
	blocks, err := c.card(ctx, d.Escalation, "")
	if err != nil {
		return nil, err
	}
	edit := runbook.Message{
		Key: fmt.Sprintf("card:%d:%d", d.ID, d.Revision), Kind: "card", Escalation: d.ID, EditOf: fmt.Sprintf("escalation:%d", d.ID),
		Text: textEscaper.Replace(fmt.Sprintf("%s: %s", stateWord(d.State), summaryOf(d.Escalation))), Mrkdwn: true, Blocks: blocks, CreatedAt: now,
	}
	if d.SecondAt.IsZero() {
		return []runbook.Message{edit}, nil
	}
	other := edit
	other.Key, other.EditOf = edit.Key+ofSecond, fmt.Sprintf("second:%d", d.ID)
	return []runbook.Message{edit, other}, nil
}

func stateWord(s runbook.EscalationState) string {
	switch s {
	case runbook.EscalationAcked:
		return "Acknowledged"
	case runbook.EscalationSnoozed:
		return "Snoozed"
	case runbook.EscalationResolved:
		return "Resolved"
	}
	return "Open"
}

// card is the card of e; why is a line above it, or "".
func (c Cards) card(ctx context.Context, e runbook.Escalation, why string) (string, error) {
	var links []string
	if e.Delivery != 0 {
		alerts, err := c.Memory.Alerts(ctx, e.Delivery, maxLinks)
		if err != nil {
			return "", err
		}
		links = alertLinks(alerts)
	}
	return encode(c.blocks(e, links, why))
}

// encode is blocks as the outbox keeps them.
func encode(blocks []slackgo.Block) (string, error) {
	text, err := json.Marshal(blocks)
	if err != nil {
		return "", fmt.Errorf("encode card: %w", err)
	}
	return string(text), nil
}

// blocksOf is [encode] for what is built from texts alone, which always encode.
func blocksOf(blocks []slackgo.Block) string {
	text, err := encode(blocks)
	if err != nil {
		return ""
	}
	return text
}

func (c Cards) blocks(e runbook.Escalation, links []string, why string) []slackgo.Block {
	head := fmt.Sprintf("%s *%s: %s*", mark(e), stateOrSeverity(e), escaped(e.Title))
	if at := place(e); at != "" {
		head += "\n" + escaped(at)
	}
	var blocks []slackgo.Block
	if why != "" {
		blocks = append(blocks, section(escaped(why)))
	}
	blocks = append(blocks, section(head))
	if e.State == runbook.EscalationOpen {
		e.Default = strings.TrimSpace(e.Default + "\n" + c.Calling.promise(e))
	}
	for _, p := range paragraphs(e) {
		blocks = append(blocks, section("*"+p.label+"*\n"+Mrkdwn(secret.Redact(p.text))))
	}
	footer := standingLine(e)
	if len(links) > 0 {
		footer += "\n" + strings.Join(links, " · ")
	}
	blocks = append(blocks, slackgo.NewContextBlock("", slackgo.NewTextBlockObject(slackgo.MarkdownType, bounded(footer), false, false)))
	if buttons := escalationButtons(e); len(buttons) > 0 {
		blocks = append(blocks, slackgo.NewActionBlock("", buttons...))
	}
	return blocks
}

// escaped is foreign or plain text in a card.
func escaped(s string) string { return textEscaper.Replace(secret.Redact(s)) }

// section is a block of markup, which is shown whole and cut at Slack's bound.
func section(markup string) *slackgo.SectionBlock {
	b := slackgo.NewSectionBlock(slackgo.NewTextBlockObject(slackgo.MarkdownType, bounded(markup), false, false), nil, nil)
	b.Expand = true
	return b
}

// sections are the blocks of a long markup.
func sections(markup string) (all []slackgo.Block) {
	for _, part := range split(markup, maxSection) {
		all = append(all, section(part))
	}
	return all
}

// bounded cuts markup where it hurts least.
func bounded(markup string) string {
	if utf8.RuneCountInString(markup) <= maxSection {
		return markup
	}
	head, _ := cutAt(markup, maxSection-10)
	if strings.Count(head, "```")%2 == 1 {
		head += "\n```"
	}
	return head + " …"
}

// mark is how bad e looks from afar.
func mark(e runbook.Escalation) string {
	switch {
	case e.State == runbook.EscalationResolved:
		return ":white_check_mark:"
	case e.Severity == runbook.Critical:
		return ":rotating_light:"
	case e.Severity == runbook.Info:
		return ":information_source:"
	}
	return ":warning:"
}

func stateOrSeverity(e runbook.Escalation) string {
	if e.State == runbook.EscalationResolved {
		return "Resolved"
	}
	s := string(e.Severity)
	return strings.ToUpper(s[:1]) + s[1:]
}

// standingLine is the state of e for people.
func standingLine(e runbook.Escalation) string {
	opened := fmt.Sprintf("Escalation %d, opened %s", e.ID, e.OpenedAt.UTC().Format("Jan 2, 15:04 UTC"))
	if e.Delivery != 0 {
		opened += ", event " + e.Delivery.String()
	}
	switch e.State {
	case runbook.EscalationAcked:
		return fmt.Sprintf(":eyes: *Acknowledged* by %s at %s · %s", person(e.AckedBy), clock(e.AckedAt), opened)
	case runbook.EscalationSnoozed:
		return fmt.Sprintf(":zzz: *Snoozed* by %s until %s · %s", person(e.AckedBy), clock(e.SnoozedUntil), opened)
	case runbook.EscalationResolved:
		return fmt.Sprintf(":white_check_mark: *Resolved* %s at %s · %s", ender(e.ResolvedBy), clock(e.ResolvedAt), opened)
	}
	return ":red_circle: *Nobody has it yet* · " + opened
}

// person names a person in a card. It rings nobody: cards are only edited
// after somebody acted, and an edit notifies no one.
func person(user string) string {
	if slackUser(user) {
		return "<@" + user + ">"
	}
	return escaped(user)
}

// slackUser reports whether id looks like a Slack user ID.
func slackUser(id string) bool {
	return len(id) > 1 && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "" && (id[0] == 'U' || id[0] == 'W')
}

// ender says who or what ended an escalation.
func ender(by string) string {
	switch by {
	case byAlerts:
		return "because its alerts did"
	case byVerdict:
		return "by the verdict on its event"
	case bySession:
		return "by the session"
	}
	return "by " + person(by)
}

func escalationButtons(e runbook.Escalation) []slackgo.BlockElement {
	value := strconv.FormatInt(e.ID, 10)
	ack := button(actionAck, value, "Acknowledge")
	ack.Style = slackgo.StylePrimary
	snooze := button(actionSnooze, value, "Snooze 30 min")
	resolve := button(actionResolve, value, "Resolve")
	resolve.Confirm = slackgo.NewConfirmationBlockObject(plainText("Is it over?"),
		plainText("It is not repeated any more, and does not open again."), plainText("It is over"), plainText("Not yet"))
	switch e.State {
	case runbook.EscalationResolved:
		return nil
	case runbook.EscalationAcked:
		return []slackgo.BlockElement{snooze, resolve}
	}
	return []slackgo.BlockElement{ack, snooze, resolve}
}

func button(action, value, label string) *slackgo.ButtonBlockElement {
	return slackgo.NewButtonBlockElement(action, value, plainText(label))
}

func plainText(s string) *slackgo.TextBlockObject {
	return slackgo.NewTextBlockObject(slackgo.PlainTextType, s, false, false)
}

// alertLinks are the senders' pages about alerts, each once. An address comes
// from outside: it is shown with its host, so that a person sees where it
// leads.
func alertLinks(alerts []runbook.Occurrence) []string {
	var links []string
	seen := map[string]bool{}
	for _, a := range alerts {
		u, err := url.Parse(a.GeneratorURL)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || seen[a.GeneratorURL] || len(a.GeneratorURL) > 600 {
			continue
		}
		seen[a.GeneratorURL] = true
		links = append(links, link(secret.Redact(a.GeneratorURL), "Alert on "+u.Host))
	}
	return links
}

// richer turns a Markdown text into sections. blocks is "" where the text is
// as good.
func richer(source string) (text, blocks string, err error) {
	source = secret.Redact(source)
	text = Mrkdwn(source)
	if text == textEscaper.Replace(strings.TrimSpace(source)) {
		return "", "", nil
	}
	all := sections(text)
	if len(all) == 0 || len(all) > maxSections {
		return "", "", nil
	}
	blocks, err = encode(all)
	return text, blocks, err
}
