package slack

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	slackgo "github.com/slack-go/slack"

	"watchkeeper/runbook"
)

// Reading the history is the net under the connection: what was said while
// nobody listened, and what Slack gave up to deliver. The memory knows what it
// has already, so that reading too much is harmless.
const (
	readEvery  = 5 * time.Minute    // while connected
	readDown   = time.Minute        // while not: people are heard all the same
	overlap    = 10 * time.Minute   // read again, for what came out of order
	rootsSince = 7 * 24 * time.Hour // a thread whose root is older is read if an escalation hangs on it
	pageSize   = 200
	maxPages   = 20
)

// backfill reads the history whenever something may have been missed, until
// ctx is done.
func (l *Link) backfill(ctx context.Context) {
	for ctx.Err() == nil {
		wait := readEvery
		if l.Health().Status != Connected {
			wait = readDown
		}
		l.gap.wait(ctx, wait)
		if err := l.readAll(ctx); err != nil && ctx.Err() == nil {
			pause := max(retryAfter(err), 10*time.Second)
			if isRejected(err) {
				pause = rejectedFor
			}
			l.Log.WarnContext(ctx, "slack history not read", "err", err, "retry_after", pause)
			sleep(ctx, pause)
			l.gap.set()
		}
	}
}

func (l *Link) readAll(ctx context.Context) error {
	me, err := l.Client.Identify(ctx)
	if err != nil {
		return err
	}
	for _, user := range l.People.all() {
		dm, err := l.Client.DM(ctx, user)
		if err != nil {
			return err
		}
		if err := l.readConversation(ctx, dm, me); err != nil {
			return err
		}
	}
	return nil
}

// A reading is one look at a conversation since a mark.
type reading struct {
	channel string
	since   string // ts; what is older is known
	me      Identity
	newest  string // ts of the newest message that was seen
}

// readConversation reads what is new in channel, threads included, and moves
// the mark. The first time there is no mark: what was said before us is not
// for us.
func (l *Link) readConversation(ctx context.Context, channel string, me Identity) error {
	name := "read:" + channel
	mark, err := l.Memory.Note(ctx, name)
	if err != nil {
		return err
	}
	if mark == "" {
		return l.Memory.SetNote(ctx, name, slackTS(time.Now().Add(overlap)))
	}
	r := &reading{channel: channel, since: earlier(mark, overlap), me: me, newest: mark}
	threads, err := l.readRoots(ctx, r)
	if err != nil {
		return err
	}
	for ts := range threads {
		if err := l.readThread(ctx, r, ts); err != nil {
			return err
		}
	}
	if r.newest == mark {
		return nil
	}
	return l.Memory.SetNote(ctx, name, r.newest)
}

// readRoots stores what is new outside threads, and returns the threads in
// which something may be new.
func (l *Link) readRoots(ctx context.Context, r *reading) (map[string]bool, error) {
	threads, err := l.escalationThreads(ctx, r.channel)
	if err != nil {
		return nil, err
	}
	params := &slackgo.GetConversationHistoryParameters{ChannelID: r.channel, Oldest: earlier(r.since, rootsSince), Limit: pageSize}
	for range maxPages {
		page, err := l.Client.api.GetConversationHistoryContext(ctx, params)
		if err != nil {
			return nil, l.Client.wrap("read the history", err)
		}
		for _, m := range page.Messages {
			if m.LatestReply > r.since {
				threads[m.Timestamp] = true
			}
			if err := l.readMessage(ctx, r, m); err != nil {
				return nil, err
			}
		}
		if params.Cursor = page.ResponseMetaData.NextCursor; params.Cursor == "" {
			break
		}
	}
	return threads, nil
}

// escalationThreads returns the threads of channel in which an answer matters
// however old they are.
func (l *Link) escalationThreads(ctx context.Context, channel string) (map[string]bool, error) {
	open, err := l.Memory.Escalations(ctx, runbook.EscalationOpen, runbook.EscalationAcked, runbook.EscalationSnoozed)
	if err != nil {
		return nil, err
	}
	threads := map[string]bool{}
	for _, e := range open {
		if e.Channel == channel && e.Thread != "" && time.Since(e.OpenedAt) > rootsSince {
			threads[e.Thread] = true
		}
	}
	return threads, nil
}

func (l *Link) readThread(ctx context.Context, r *reading, ts string) error {
	params := &slackgo.GetConversationRepliesParameters{ChannelID: r.channel, Timestamp: ts, Oldest: r.since, Limit: pageSize}
	for range maxPages {
		msgs, _, next, err := l.Client.api.GetConversationRepliesContext(ctx, params)
		if slackCode(err) == "thread_not_found" {
			return nil // its root was deleted
		}
		if err != nil {
			return l.Client.wrap("read thread "+ts, err)
		}
		for _, m := range msgs {
			if err := l.readMessage(ctx, r, m); err != nil {
				return err
			}
		}
		if params.Cursor = next; next == "" {
			break
		}
	}
	return nil
}

// readMessage stores a message of the history as if it had been delivered.
func (l *Link) readMessage(ctx context.Context, r *reading, m slackgo.Message) error {
	if m.Timestamp <= r.since {
		return nil
	}
	r.newest = max(r.newest, m.Timestamp)
	e := event{
		Type: "message", SubType: m.SubType, Channel: r.channel, ChannelType: "im", User: m.User, BotID: m.BotID,
		Text: m.Text, TS: m.Timestamp, Thread: m.ThreadTimestamp,
	}
	for _, f := range m.Files {
		e.Files = append(e.Files, attached{Name: f.Name})
	}
	if sortOf(e, r.me, l.People) != isWords {
		return nil
	}
	fresh, err := l.Memory.Hear(ctx, e.heard(fmt.Sprintf("history:%s:%s", r.channel, m.Timestamp), time.Now()))
	if fresh {
		l.Log.InfoContext(ctx, "message found in the history", "user", m.User, "ts", m.Timestamp)
		l.work.set()
	}
	return err
}

// slackTS writes t as a ts. Comparing two of them as text compares the times.
func slackTS(t time.Time) string {
	return fmt.Sprintf("%d.%06d", t.Unix(), t.Nanosecond()/1000)
}

// earlier returns the ts that lies d before another.
func earlier(ts string, d time.Duration) string {
	whole, fraction, _ := strings.Cut(ts, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil {
		return ts
	}
	return fmt.Sprintf("%d.%s", sec-int64(d.Seconds()), fraction)
}
