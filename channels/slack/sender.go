package slack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	slackgo "github.com/slack-go/slack"

	"watchkeeper/runbook"
	"watchkeeper/secret"
)

// An Outbox is what the sender needs of the memory.
type Outbox interface {
	Supersede(ctx context.Context, now time.Time) error
	Outgoing(ctx context.Context, now time.Time) ([]runbook.Outgoing, error)
	ThreadChannel(ctx context.Context, ts string) (string, error)
	MarkSending(ctx context.Context, id int64, now time.Time) error
	MarkSent(ctx context.Context, id int64, channel, ts string, now time.Time) error
	MarkRetry(ctx context.Context, id int64, reason string, next time.Time) error
	MarkFailed(ctx context.Context, id int64, reason string) error
}

const (
	lookEvery = 200 * time.Millisecond // at the outbox
	settleFor = 5 * time.Second        // until an attempt whose end is unknown can be looked for
	longest   = time.Minute            // between two attempts
	noOneFor  = time.Minute            // before a message without a recipient is looked at again
)

// A Sender moves the outbox to Slack. Only the holder of the link's lock runs
// it. The fields are set before Run and not changed.
//
// An attempt whose end is unknown, because the answer was lost or the process
// died, is settled by the history: each message carries its key in its
// metadata. Only when Slack does not have it, it is sent again.
type Sender struct {
	Memory Outbox
	Client *Client
	People People
	Log    *slog.Logger

	// Render turns a message that is neither markup nor a card yet into
	// Slack's markup, escaped, and into a card (Block Kit, a JSON array) if it
	// should be one; blocks "" is none. It is asked at each attempt, edits
	// included, so that a card shows how things stand when it is sent. nil,
	// nothing at all, and an error send the text as it is.
	Render func(ctx context.Context, m runbook.Message) (mrkdwn, blocks string, err error)

	Every  time.Duration // between two messages to one conversation; 0 is what Slack allows
	Settle time.Duration // after an attempt whose end is unknown; 0 is 5 s

	pace    *pacer
	mu      sync.Mutex
	trouble string
}

// Trouble returns why nothing can be sent until a person acts, "" if there is
// no such reason. It is safe for concurrent use.
func (s *Sender) Trouble() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}

// Run sends what is owed until ctx is done, and returns nil then.
func (s *Sender) Run(ctx context.Context) error {
	if s.Every == 0 {
		s.Every = perMessage
	}
	if s.Settle == 0 {
		s.Settle = settleFor
	}
	s.pace = newPacer(s.Every)
	for ctx.Err() == nil {
		wait := min(lookEvery, s.Every)
		if err := s.step(ctx); err != nil && ctx.Err() == nil {
			s.Log.ErrorContext(ctx, "outbox not sent", "err", err)
			wait = time.Second
		}
		sleep(ctx, wait)
	}
	return nil
}

// step sends what may go now. A conversation whose first message must wait
// keeps the later ones waiting, so that they stay in order; so all of a step
// goes by one reading of the clock.
func (s *Sender) step(ctx context.Context) error {
	now := time.Now()
	if err := s.Memory.Supersede(ctx, now); err != nil {
		return fmt.Errorf("tidy the outbox: %w", err)
	}
	due, err := s.Memory.Outgoing(ctx, now)
	if err != nil {
		return fmt.Errorf("look at the outbox: %w", err)
	}
	waiting := map[string]bool{}
	for _, m := range due {
		if ended(ctx) || s.pace.held.After(now) {
			return nil
		}
		if s.held(m, now) {
			continue
		}
		lane, err := s.lane(ctx, m)
		if err != nil {
			return err
		}
		if lane == "" || waiting[lane] || !s.ready(m, lane, now) {
			waiting[lane] = true
			continue
		}
		if err := s.send(ctx, m, lane); err != nil {
			return err
		}
		waiting[lane] = true // the next one after the pause of the conversation
	}
	return nil
}

// ready reports whether m may go at now. One that was being sent when its
// process died is given time to show up in Slack.
func (s *Sender) ready(m runbook.Outgoing, lane string, now time.Time) bool {
	if m.State == "sending" && now.Before(m.NextAt.Add(s.Settle)) {
		return false
	}
	return s.pace.ready(lane, now) == 0
}

// held reports whether quiet hours hold m back at now. What is critical goes, and so
// do edits, which ring nobody, and answers to somebody who is awake.
func (s *Sender) held(m runbook.Outgoing, now time.Time) bool {
	awake := m.Kind == "reply" || m.Kind == KindNotice
	return !m.Critical && !awake && m.EditTS == "" && s.People.quiet(now)
}

// lane returns the conversation that m belongs to, "" if it cannot be known
// yet. What went wrong is recorded with the message.
func (s *Sender) lane(ctx context.Context, m runbook.Outgoing) (string, error) {
	channel := m.Channel
	if channel == "" && m.Thread != "" {
		known, err := s.Memory.ThreadChannel(ctx, m.Thread)
		if err != nil {
			return "", fmt.Errorf("look for thread %s: %w", m.Thread, err)
		}
		channel = known
	}
	if channel == "" {
		channel = s.People.OnCall
	}
	if channel == "" {
		return "", s.Memory.MarkRetry(ctx, m.ID, "nobody is on call: set oncall.slack_user", time.Now().Add(noOneFor))
	}
	if !strings.HasPrefix(channel, "U") && !strings.HasPrefix(channel, "W") {
		return channel, nil
	}
	dm, err := s.Client.DM(ctx, channel)
	if err == nil {
		return dm, nil
	}
	if permanent(err) {
		// A wrong setting must not cost a message: it waits until that is mended.
		s.setTrouble(err.Error())
		s.Log.ErrorContext(ctx, "person cannot be reached", "user", channel, "err", err)
		return "", s.Memory.MarkRetry(ctx, m.ID, err.Error(), time.Now().Add(noOneFor))
	}
	return "", s.failed(ctx, m, channel, err)
}

// send makes one attempt. Its outcome is in the memory when it returns; an
// error is the memory's own.
func (s *Sender) send(ctx context.Context, m runbook.Outgoing, channel string) error {
	there := arrived{}
	if m.Attempts > 0 && m.EditTS == "" {
		found, err := s.find(ctx, m, channel)
		if err != nil {
			return s.failed(ctx, m, channel, err)
		}
		there = found
	}
	if err := s.Memory.MarkSending(ctx, m.ID, time.Now()); err != nil {
		return err
	}
	m.Attempts++
	ts, err := s.deliver(ctx, m, channel, there)
	s.pace.used(channel, time.Now())
	if err != nil && ended(ctx) {
		return nil // the row says that it was being sent; the next process looks
	}
	if err != nil {
		return s.failed(ctx, m, channel, err)
	}
	s.setTrouble("")
	return s.Memory.MarkSent(ctx, m.ID, channel, ts, time.Now())
}

// deliver posts or edits m, except for the parts that are there already, and
// returns the ts of its first part.
func (s *Sender) deliver(ctx context.Context, m runbook.Outgoing, channel string, there arrived) (string, error) {
	asWritten := m.Text
	m = s.rendered(ctx, m)
	if m.EditTS != "" {
		return s.update(ctx, m, channel)
	}
	d := s.draft(ctx, m, asWritten)
	first := there.parts[0]
	for i := range d.texts {
		if there.parts[i] != "" {
			continue
		}
		if i > 0 {
			sleep(ctx, s.Every)
		}
		ts, err := s.post(ctx, m, channel, d, i)
		if err != nil {
			return "", err
		}
		if i == 0 {
			first = ts
		}
	}
	if d.file == "" || there.file {
		return first, nil
	}
	return first, s.attach(ctx, m, channel, cmpThread(m.Thread, first), d.file)
}

// rendered is m in Slack's markup, if somebody can make that of it.
func (s *Sender) rendered(ctx context.Context, m runbook.Outgoing) runbook.Outgoing {
	if s.Render == nil || m.Blocks != "" || m.Mrkdwn {
		return m
	}
	text, blocks, err := s.Render(ctx, m.Message)
	if err != nil {
		s.Log.ErrorContext(ctx, "message not rendered, sent as text", "key", m.Key, "err", err)
		return m
	}
	if text == "" && blocks == "" {
		return m // it is well as it is
	}
	m.Text, m.Blocks, m.Mrkdwn = text, blocks, true
	return m
}

// A draft is a message as it goes to Slack.
type draft struct {
	texts  []string
	blocks []slackgo.Block // of the first part
	file   string          // whole text, when it is too long for the parts
}

// draft cuts m into what Slack takes. asWritten is its text before it was
// rendered, as a file shows it.
func (s *Sender) draft(ctx context.Context, m runbook.Outgoing, asWritten string) draft {
	text := outText(m.Text, m.Mrkdwn, s.People)
	if m.Blocks != "" {
		blocks, err := outBlocks(m.Blocks, s.People)
		if err == nil && len(blocks) > 0 {
			return draft{texts: []string{cutRunes(text, maxPart)}, blocks: blocks}
		}
		s.Log.ErrorContext(ctx, "card cannot be read, sent as text", "key", m.Key, "err", err)
	}
	parts := split(text, maxPart)
	if len(parts) == 0 {
		parts = []string{"(empty)"}
	}
	if len(parts) > maxParts {
		return draft{texts: summary(parts), file: secret.Redact(asWritten)}
	}
	return draft{texts: parts}
}

func (s *Sender) post(ctx context.Context, m runbook.Outgoing, channel string, d draft, part int) (string, error) {
	options := s.options(d.texts[part], m.Key, part)
	if part == 0 && len(d.blocks) > 0 {
		options = append(options, slackgo.MsgOptionBlocks(d.blocks...))
	}
	if m.Thread != "" {
		options = append(options, slackgo.MsgOptionTS(m.Thread))
		if m.Broadcast && part == 0 {
			options = append(options, slackgo.MsgOptionBroadcast())
		}
	}
	_, ts, err := s.Client.api.PostMessageContext(ctx, channel, options...)
	switch code := slackCode(err); {
	case len(d.blocks) > 0 && strings.HasPrefix(code, "invalid_blocks"):
		s.Log.ErrorContext(ctx, "slack refuses the card, sent as text", "key", m.Key)
		d.blocks = nil
		return s.post(ctx, m, channel, d, part)
	case m.Thread != "" && threadGone[code]:
		s.Log.WarnContext(ctx, "thread is gone, sent outside it", "key", m.Key)
		m.Thread = ""
		return s.post(ctx, m, channel, d, part)
	}
	return ts, s.Client.wrap("post a message", err)
}

// threadGone are the answers for a thread whose root was deleted.
var threadGone = map[string]bool{"thread_not_found": true, "cannot_reply_to_message": true, "message_not_found": true}

func (s *Sender) update(ctx context.Context, m runbook.Outgoing, channel string) (string, error) {
	text := cutRunes(outText(m.Text, m.Mrkdwn, s.People), maxEdit)
	options := s.options(text, m.EditOf, 0)
	if m.Blocks != "" {
		blocks, err := outBlocks(m.Blocks, s.People)
		if err != nil {
			return "", fmt.Errorf("read the card: %w", err)
		}
		options = append(options, slackgo.MsgOptionBlocks(blocks...))
	}
	_, ts, _, err := s.Client.api.UpdateMessageContext(ctx, channel, m.EditTS, options...)
	return ts, s.Client.wrap("edit a message", err)
}

// options are those of every message: nothing in it is fetched by Slack, which
// would let a link in a log line call home, and its key is in its metadata.
func (s *Sender) options(text, key string, part int) []slackgo.MsgOption {
	return []slackgo.MsgOption{
		slackgo.MsgOptionText(text, false), slackgo.MsgOptionDisableLinkUnfurl(), slackgo.MsgOptionDisableMediaUnfurl(),
		slackgo.MsgOptionMetadata(slackgo.SlackMetadata{EventType: metadataType, EventPayload: map[string]any{"key": key, "part": part}}),
	}
}

// failed records why an attempt failed and when the next one is made, or that
// there is none.
func (s *Sender) failed(ctx context.Context, m runbook.Outgoing, channel string, err error) error {
	if ended(ctx) {
		return nil // not the message's fault
	}
	reason := s.Client.clean(err.Error())
	next, again := s.next(m, channel, err)
	if !again {
		s.Log.ErrorContext(ctx, "message given up", "key", m.Key, "kind", m.Kind, "err", reason)
		return s.Memory.MarkFailed(ctx, m.ID, reason)
	}
	s.Log.WarnContext(ctx, "message not sent yet", "key", m.Key, "err", reason, "attempt", m.Attempts, "retry_after", time.Until(next).Round(time.Millisecond))
	return s.Memory.MarkRetry(ctx, m.ID, reason, next)
}

// next returns when to try again after err, and false if that is of no use.
func (s *Sender) next(m runbook.Outgoing, channel string, err error) (time.Time, bool) {
	now := time.Now()
	if rejected, ok := errors.AsType[*RejectedError](err); ok {
		s.setTrouble(rejected.Error())
		next := now.Add(longest)
		s.pace.holdAll(next)
		return next, true
	}
	if wait := retryAfter(err); wait > 0 {
		s.pace.holdAll(now.Add(wait))
		return now.Add(wait), true
	}
	if permanent(err) {
		return time.Time{}, false
	}
	next := now.Add(min(s.Settle<<min(max(m.Attempts-1, 0), 6), max(longest, s.Settle)))
	s.pace.hold(channel, next)
	return next, true
}

func (s *Sender) setTrouble(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = text
}

// unclear are the answers of Slack after which the message may be there all
// the same, or may do better the next time.
var unclear = map[string]bool{
	"internal_error": true, "fatal_error": true, "service_unavailable": true, "request_timeout": true, "team_added_to_org": true,
	"ratelimited": true, "rate_limited": true, "message_limit_exceeded": true, "accesslimited": true,
}

// permanent reports whether Slack read the message and will not have it.
func permanent(err error) bool {
	if code := slackCode(err); code != "" {
		return !unclear[code]
	}
	status, ok := errors.AsType[slackgo.StatusCodeError](err)
	return ok && status.Code >= 400 && status.Code < 500 && status.Code != 408 && status.Code != 429
}

// ended reports whether we are being shut down.
func ended(ctx context.Context) bool { return ctx.Err() != nil }

// cmpThread returns the thread in which more about a message belongs.
func cmpThread(thread, ts string) string {
	if thread != "" {
		return thread
	}
	return ts
}
