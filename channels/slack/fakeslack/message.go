package fakeslack

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"
)

// A Message is one message as the workspace holds it.
type Message struct {
	TS, Thread, Channel string // Thread is "" outside a thread
	User, BotID         string
	Text                string // as Slack stores it: & < > are escaped
	Blocks              string // JSON array; "" if there are none
	Metadata            string // JSON object; "" if there is none
	Files               []File
	Reactions           []string
	Edited              bool
	Deleted             bool
	Broadcast           bool
	Unfurl              bool // a link in it is fetched and shown
	At                  time.Time
}

// A File is attached to a message.
type File struct {
	ID, Name, Title, Content string
}

type channel struct {
	id, user string // user "" is no direct conversation
	messages []*Message
	posted   []time.Time // the last posts of the bot
	statuses map[string]status
}

func newChannel(id, user string) *channel {
	return &channel{id: id, user: user, statuses: map[string]status{}}
}

// wroteIn reports whether the person of a direct conversation takes part in a
// thread.
func (c *channel) wroteIn(thread string) bool {
	return slices.ContainsFunc(c.messages, func(m *Message) bool {
		return m.User == c.user && (m.Thread == thread || m.TS == thread)
	})
}

// Seen returns what people see in a channel, in order: threads included,
// deleted messages not.
func (s *Server) Seen(channel string) []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.channels[channel]
	if c == nil {
		return nil
	}
	var seen []Message
	for _, m := range c.messages {
		if !m.Deleted {
			seen = append(seen, *m)
		}
	}
	sort.SliceStable(seen, func(i, j int) bool { return seen[i].TS < seen[j].TS })
	return seen
}

func (s *Server) find(channel, ts string) *Message {
	if c := s.channels[channel]; c != nil {
		for _, m := range c.messages {
			if m.TS == ts && !m.Deleted {
				return m
			}
		}
	}
	panic(fmt.Sprintf("fakeslack: no message %s in %s", ts, channel))
}

func (s *Server) lookup(channel, ts string) *Message {
	if c := s.channels[channel]; c != nil {
		for _, m := range c.messages {
			if m.TS == ts && !m.Deleted {
				return m
			}
		}
	}
	return nil
}

// object is the message as the Web API returns it.
func (m *Message) object() reply {
	o := reply{"type": "message", "user": m.User, "ts": m.TS, "text": m.Text, "team": Team}
	set := func(name string, value any, on bool) {
		if on {
			o[name] = value
		}
	}
	set("thread_ts", m.Thread, m.Thread != "")
	set("bot_id", m.BotID, m.BotID != "")
	set("app_id", App, m.User == BotUser)
	set("bot_profile", reply{"id": m.BotID, "app_id": App, "name": "watchkeeper"}, m.User == BotUser)
	set("blocks", json.RawMessage(m.Blocks), m.Blocks != "")
	set("edited", reply{"user": m.User, "ts": m.TS}, m.Edited)
	set("subtype", "thread_broadcast", m.Broadcast)
	if len(m.Files) > 0 {
		files := make([]reply, len(m.Files))
		for i, f := range m.Files {
			files[i] = reply{"id": f.ID, "name": f.Name, "title": f.Title, "filetype": "text", "size": len(f.Content)}
		}
		o["files"] = files
	}
	return o
}

// event is the message as the Events API sends it.
func (m *Message) event() reply {
	o := m.object()
	o["channel"], o["channel_type"], o["event_ts"] = m.Channel, channelType(m.Channel), m.TS
	return o
}

func channelType(id string) string {
	if strings.HasPrefix(id, "D") {
		return "im"
	}
	return "channel"
}

// button returns the button of a message with an action_id, or nil.
func (m *Message) button(actionID string) map[string]any {
	var found map[string]any
	for _, block := range m.blocks() {
		walk(block, func(o map[string]any) {
			if o["type"] == "button" && o["action_id"] == actionID {
				found = map[string]any{"block_id": block["block_id"]}
				maps.Copy(found, o)
			}
		})
	}
	return found
}

func (m *Message) blocks() []map[string]any {
	var blocks []map[string]any
	_ = json.Unmarshal([]byte(m.Blocks), &blocks) // was checked when it was posted
	return blocks
}

// walk calls fn for every object in v.
func walk(v any, fn func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		fn(v)
		for _, child := range v {
			walk(child, fn)
		}
	case []any:
		for _, child := range v {
			walk(child, fn)
		}
	}
}

func postMessage(s *Server, c Call) (reply, string) {
	ch, code := s.target(c)
	if code != "" {
		return nil, code
	}
	if thread := c.Args["thread_ts"]; thread != "" && s.lookup(ch.id, thread) == nil {
		return nil, "thread_not_found"
	}
	if !s.mayPost(ch) {
		return nil, "ratelimited"
	}
	m, code := s.compose(ch.id, c)
	if code != "" {
		return nil, code
	}
	s.post(m)
	return reply{"channel": ch.id, "ts": m.TS, "message": m.object()}, ""
}

// post adds a message of the bot, rings, and echoes it as an event.
func (s *Server) post(m *Message) {
	c := s.channels[m.Channel]
	c.messages = append(c.messages, m)
	delete(c.statuses, m.Thread)
	s.notify(m)
	s.emit(m.event())
	s.touch()
}

// target finds the channel of a call; a user stands for the direct
// conversation.
func (s *Server) target(c Call) (*channel, string) {
	id := c.Args["channel"]
	if _, known := s.users[id]; known {
		id = s.openDM(id)
	}
	if ch := s.channels[id]; ch != nil {
		return ch, ""
	}
	return nil, "channel_not_found"
}

// mayPost holds one message a second to a channel, after a burst.
func (s *Server) mayPost(c *channel) bool {
	if s.opts.Burst < 0 {
		return true
	}
	now := s.now()
	window := time.Duration(s.opts.Burst) * time.Second
	c.posted = slices.DeleteFunc(c.posted, func(t time.Time) bool { return now.Sub(t) >= window })
	if len(c.posted) >= s.opts.Burst {
		return false
	}
	c.posted = append(c.posted, now)
	return true
}

// Bounds of a message.
const (
	maxText       = 40_000
	maxUpdateText = 4_000
)

func (s *Server) compose(channel string, c Call) (*Message, string) {
	text, blocks, metadata := c.Args["text"], c.Args["blocks"], c.Args["metadata"]
	switch {
	case text == "" && (blocks == "" || blocks == "[]"):
		return nil, "no_text"
	case utf8.RuneCountInString(text) > maxText:
		return nil, "msg_too_long"
	}
	blocks, code := checkBlocks(blocks, s.nextID)
	if code == "" {
		code = checkMetadata(metadata)
	}
	if code != "" {
		return nil, code
	}
	return &Message{
		TS: s.nextTS(), Thread: c.Args["thread_ts"], Channel: channel, User: BotUser, BotID: BotID, Text: text, Blocks: blocks,
		Metadata: metadata, Broadcast: c.flag("reply_broadcast") && c.Args["thread_ts"] != "", At: s.now(),
		Unfurl: c.Args["unfurl_links"] != "false" && strings.Contains(text+blocks, "http"),
	}, ""
}

func updateMessage(s *Server, c Call) (reply, string) {
	ch, code := s.target(c)
	if code != "" {
		return nil, code
	}
	m := s.lookup(ch.id, c.Args["ts"])
	switch {
	case m == nil:
		return nil, "message_not_found"
	case m.User != BotUser:
		return nil, "cant_update_message"
	case utf8.RuneCountInString(c.Args["text"]) > maxUpdateText:
		return nil, "msg_too_long"
	case c.Args["text"] == "" && c.Args["blocks"] == "":
		return nil, "no_text"
	}
	blocks, code := checkBlocks(c.Args["blocks"], s.nextID)
	if code == "" {
		code = checkMetadata(c.Args["metadata"])
	}
	if code != "" {
		return nil, code
	}
	before := m.object()
	m.Text, m.Blocks, m.Edited = c.Args["text"], blocks, true
	if c.Args["metadata"] != "" {
		m.Metadata = c.Args["metadata"]
	}
	s.emit(s.changeEvent(m, before))
	return reply{"channel": ch.id, "ts": m.TS, "text": m.Text, "message": m.object()}, ""
}

func deleteMessage(s *Server, c Call) (reply, string) {
	m := s.lookup(c.Args["channel"], c.Args["ts"])
	if m == nil {
		return nil, "message_not_found"
	}
	m.Deleted = true
	return reply{"channel": m.Channel, "ts": m.TS}, ""
}

func addReaction(s *Server, c Call) (reply, string) {
	m := s.lookup(c.Args["channel"], c.Args["timestamp"])
	switch {
	case m == nil:
		return nil, "message_not_found"
	case c.Args["name"] == "":
		return nil, "no_reaction"
	case slices.Contains(m.Reactions, c.Args["name"]):
		return nil, "already_reacted"
	}
	m.Reactions = append(m.Reactions, c.Args["name"])
	return reply{}, ""
}

// history returns the messages of a channel, newest first; of threads only the
// roots and what was broadcast.
func history(s *Server, c Call) (reply, string) {
	ch := s.channels[c.Args["channel"]]
	if ch == nil {
		return nil, "channel_not_found"
	}
	found := s.between(ch, c, func(m *Message) bool { return m.Thread == "" || m.Broadcast || m.Thread == m.TS })
	slices.Reverse(found)
	return s.page(ch, c, found)
}

// replies returns a thread, its root first and then the oldest.
func replies(s *Server, c Call) (reply, string) {
	ch, root := s.channels[c.Args["channel"]], c.Args["ts"]
	if ch == nil {
		return nil, "channel_not_found"
	}
	if s.lookup(ch.id, root) == nil {
		return nil, "thread_not_found"
	}
	found := s.between(ch, c, func(m *Message) bool { return m.Thread == root && m.TS != root })
	if c.Args["cursor"] == "" {
		found = append([]*Message{s.lookup(ch.id, root)}, found...) // whatever oldest says
	}
	return s.page(ch, c, found)
}

// between selects messages by oldest, latest and keep, oldest first.
func (s *Server) between(ch *channel, c Call, keep func(*Message) bool) []*Message {
	oldest, latest, inclusive := c.Args["oldest"], c.Args["latest"], c.flag("inclusive")
	var found []*Message
	for _, m := range ch.messages {
		out := oldest != "" && less(m.TS, oldest) || latest != "" && less(latest, m.TS) ||
			!inclusive && (m.TS == oldest || m.TS == latest)
		if !m.Deleted && !out && keep(m) {
			found = append(found, m)
		}
	}
	sort.SliceStable(found, func(i, j int) bool { return found[i].TS < found[j].TS })
	return found
}

// less compares two ts, which people may write without a fraction.
func less(a, b string) bool {
	as, af, _ := strings.Cut(a, ".")
	bs, bf, _ := strings.Cut(b, ".")
	if len(as) != len(bs) {
		return len(as) < len(bs)
	}
	return as < bs || as == bs && af < bf
}

// page cuts a list by cursor and limit, and adds what the list shows of
// threads.
func (s *Server) page(ch *channel, c Call, all []*Message) (reply, string) {
	start := c.number("cursor", 0)
	start = min(start, len(all))
	end := min(start+c.number("limit", 100), len(all))
	list := make([]reply, 0, end-start)
	for _, m := range all[start:end] {
		o := m.object()
		if c.flag("include_all_metadata") && m.Metadata != "" {
			o["metadata"] = json.RawMessage(m.Metadata)
		}
		addThread(ch, m, o)
		list = append(list, o)
	}
	next := ""
	if end < len(all) {
		next = fmt.Sprint(end)
	}
	return reply{"messages": list, "has_more": next != "", "response_metadata": reply{"next_cursor": next}}, ""
}

// addThread tells of a root what its thread holds.
func addThread(ch *channel, root *Message, o reply) {
	n, latest := 0, ""
	for _, m := range ch.messages {
		if m.Thread == root.TS && m.TS != root.TS && !m.Deleted {
			n, latest = n+1, max(latest, m.TS)
		}
	}
	if n > 0 {
		o["thread_ts"], o["reply_count"], o["latest_reply"] = root.TS, n, latest
	}
}
