package slack

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	slackgo "github.com/slack-go/slack"

	"watchkeeper/runbook"
)

// metadataType marks our messages; their payload holds the key and the part.
const metadataType = "watchkeeper_message"

// skew is how far our clock and Slack's may lie apart.
const skew = 10 * time.Minute

// What of a message is in Slack already.
type arrived struct {
	parts map[int]string // ts by part
	file  bool
}

// find looks for a message whose sending ended in the dark, by the key in the
// metadata.
func (s *Sender) find(ctx context.Context, m runbook.Outgoing, channel string) (arrived, error) {
	found := arrived{parts: map[int]string{}}
	look := func(msgs []slackgo.Message) {
		for _, msg := range msgs {
			found.note(m.Key, msg)
		}
	}
	oldest := slackTS(m.CreatedAt.Add(-skew))
	if m.Thread != "" {
		if err := s.pagesOfThread(ctx, channel, m.Thread, oldest, look); err != nil || len(found.parts) > 0 {
			return found, err
		}
		// It may stand outside the thread, if that was deleted.
	}
	if err := s.pagesOfChannel(ctx, channel, oldest, look); err != nil || found.parts[0] == "" {
		return found, err
	}
	// The file of a long message hangs under its first part.
	return found, s.pagesOfThread(ctx, channel, found.parts[0], oldest, look)
}

func (a *arrived) note(key string, msg slackgo.Message) {
	for _, f := range msg.Files {
		a.file = a.file || f.Name == fileName(key)
	}
	if msg.Metadata.EventType != metadataType || msg.Metadata.EventPayload["key"] != key {
		return
	}
	part, _ := msg.Metadata.EventPayload["part"].(float64)
	a.parts[int(part)] = msg.Timestamp
}

func (s *Sender) pagesOfChannel(ctx context.Context, channel, oldest string, look func([]slackgo.Message)) error {
	params := &slackgo.GetConversationHistoryParameters{ChannelID: channel, Oldest: oldest, Limit: pageSize, IncludeAllMetadata: true}
	for range maxPages {
		page, err := s.Client.api.GetConversationHistoryContext(ctx, params)
		if err != nil {
			return s.Client.wrap("look for a message", err)
		}
		look(page.Messages)
		if params.Cursor = page.ResponseMetaData.NextCursor; params.Cursor == "" {
			break
		}
	}
	return nil
}

func (s *Sender) pagesOfThread(ctx context.Context, channel, thread, oldest string, look func([]slackgo.Message)) error {
	params := &slackgo.GetConversationRepliesParameters{ChannelID: channel, Timestamp: thread, Oldest: oldest, Limit: pageSize, IncludeAllMetadata: true}
	for range maxPages {
		msgs, _, next, err := s.Client.api.GetConversationRepliesContext(ctx, params)
		if slackCode(err) == "thread_not_found" {
			return nil
		}
		if err != nil {
			return s.Client.wrap("look for a message", err)
		}
		look(msgs)
		if params.Cursor = next; next == "" {
			break
		}
	}
	return nil
}

// attach sends a text that is too long as a file in thread. A file carries no
// metadata: its name is its key.
func (s *Sender) attach(ctx context.Context, m runbook.Outgoing, channel, thread, text string) error {
	_, err := s.Client.api.UploadFileContext(ctx, slackgo.UploadFileParameters{
		Filename: fileName(m.Key), Title: "The whole message", Content: text, FileSize: len(text), Channel: channel, ThreadTimestamp: thread,
	})
	return s.Client.wrap("attach a file", err)
}

func fileName(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "watchkeeper-" + hex.EncodeToString(sum[:6]) + ".txt"
}
