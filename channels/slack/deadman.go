package slack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	slackgo "github.com/slack-go/slack"

	"watchkeeper/runbook"
)

// How far the dead-man's switch is kept ahead of now. Slack allows 30 scheduled
// messages in five minutes and channel, deletes none within 60 seconds of its
// time, and never posts one that carries metadata; so there are one or two, far
// enough ahead, and they are known by their text.
const (
	darkAfter  = 15 * time.Minute // of silence the message arrives
	pushEvery  = 5 * time.Minute
	tooClose   = 90 * time.Second // a message so near its time is left alone
	darkRetry  = 30 * time.Second
	darkPrefix = "Watchkeeper has gone dark"
)

// A DarkMemory is what the dead-man's switch needs of the memory.
type DarkMemory interface {
	Send(ctx context.Context, m runbook.Message) error
	Note(ctx context.Context, name string) (string, error)
	SetNote(ctx context.Context, name, value string) error
}

// A Deadman is the alarm that rings when we cannot ring any more: a message
// that Slack holds and sends itself, pushed ahead as long as we live. Only the
// holder of the link's lock runs it. The fields are set before Run and not
// changed.
type Deadman struct {
	Memory DarkMemory
	Client *Client
	People People
	Log    *slog.Logger
}

// Run keeps the message ahead until ctx is done, and returns nil then. It
// leaves the message where it is: after a restart it is pushed ahead again, and
// after a stop it is the truth.
func (d *Deadman) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wait := pushEvery
		if err := d.Step(ctx, time.Now()); err != nil && ctx.Err() == nil {
			wait = max(retryAfter(err), darkRetry)
			if isRejected(err) {
				wait = rejectedFor
			}
			d.Log.WarnContext(ctx, "dead-man's switch not pushed ahead", "err", err, "retry_after", wait)
		}
		sleep(ctx, wait)
	}
	return nil
}

// Step pushes the message of each person on call ahead of now.
func (d *Deadman) Step(ctx context.Context, now time.Time) error {
	var errs []error
	for _, user := range d.People.all() {
		if err := d.push(ctx, user, now); err != nil {
			errs = append(errs, fmt.Errorf("for %s: %w", user, err))
		}
	}
	return errors.Join(errs...)
}

// push schedules the next message before it deletes the last one: if we die in
// between, one comes too early, and none never.
func (d *Deadman) push(ctx context.Context, user string, now time.Time) error {
	channel, err := d.Client.DM(ctx, user)
	if err != nil {
		return err
	}
	if err := d.sayWeAreBack(ctx, user, channel, now); err != nil {
		return err
	}
	due := now.Add(darkAfter)
	text := fmt.Sprintf("%s: <@%s>, there has been no sign of life from it since %s UTC. Alerts may go unnoticed until it is back. "+
		"Look at its machine: watchkeeper status", darkPrefix, user, now.UTC().Format("2006-01-02 15:04"))
	_, _, err = d.Client.api.ScheduleMessageContext(ctx, channel, strconv.FormatInt(due.Unix(), 10),
		slackgo.MsgOptionText(text, false), slackgo.MsgOptionDisableLinkUnfurl(), slackgo.MsgOptionDisableMediaUnfurl())
	if err != nil {
		return d.Client.wrap("schedule the message", err)
	}
	if err := d.Memory.SetNote(ctx, darkNote(channel), strconv.FormatInt(due.Unix(), 10)); err != nil {
		return err
	}
	return d.deleteOlder(ctx, channel, due, now)
}

func darkNote(channel string) string { return "dark:" + channel }

// sayWeAreBack tells the person that the alarm is over, if it rang: the time of
// the last message passed without a push.
func (d *Deadman) sayWeAreBack(ctx context.Context, user, channel string, now time.Time) error {
	note, err := d.Memory.Note(ctx, darkNote(channel))
	if err != nil || note == "" {
		return err
	}
	unix, err := strconv.ParseInt(note, 10, 64)
	if err != nil || now.Unix() < unix {
		return nil //nolint:nilerr // a note that cannot be read says nothing
	}
	rang := time.Unix(unix, 0).UTC()
	return d.Memory.Send(ctx, runbook.Message{
		Key: "back:" + channel + ":" + note, Kind: "message", Channel: user, CreatedAt: now, Urgent: true,
		Text: fmt.Sprintf("Watchkeeper is back. It was silent for %s, until %s UTC. What happened meanwhile and was sent again is being looked at now.",
			runbook.Short(now.Sub(rang.Add(-darkAfter))), now.UTC().Format("15:04")),
	})
}

// deleteOlder deletes what earlier pushes left, of this process or of one that
// died halfway.
func (d *Deadman) deleteOlder(ctx context.Context, channel string, newest, now time.Time) error {
	params := &slackgo.GetScheduledMessagesParameters{Channel: channel, Limit: 100}
	for {
		list, next, err := d.Client.api.GetScheduledMessagesContext(ctx, params)
		if err != nil {
			return d.Client.wrap("list scheduled messages", err)
		}
		for _, m := range list {
			at := time.Unix(int64(m.PostAt), 0)
			if !strings.HasPrefix(m.Text, darkPrefix) || !at.Before(newest.Truncate(time.Second)) || at.Sub(now) < tooClose {
				continue
			}
			_, err := d.Client.api.DeleteScheduledMessageContext(ctx, &slackgo.DeleteScheduledMessageParameters{Channel: channel, ScheduledMessageID: m.ID})
			if err != nil && slackCode(err) != "invalid_scheduled_message_id" {
				return d.Client.wrap("delete the last scheduled message", err)
			}
		}
		if params.Cursor = next; next == "" {
			return nil
		}
	}
}
