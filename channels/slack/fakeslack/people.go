package fakeslack

import (
	"fmt"
	"maps"
	"strings"
	"time"
)

// A User is a member of the workspace.
type User struct {
	ID, Name string
	Bot      bool
	Deleted  bool
	DND      bool // notifications are off now
	TZ       string
}

// A Notification is what rings a phone: a new message in a direct
// conversation, or a mention. Edits ring none, and neither does anything while
// the person's notifications are off.
type Notification struct {
	User, Channel, TS string
	At                time.Time
}

// AddUser adds or changes a member.
func (s *Server) AddUser(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[u.ID] = u
}

// AddChannel adds a channel that the bot is a member of.
func (s *Server) AddChannel(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.channels[id] = newChannel(id, "")
}

// Say lets user write to the bot, and returns the ts. It panics for a user that
// does not exist, like all that acts as people.
func (s *Server) Say(user, text string) string { return s.Reply(user, "", text) }

// Reply lets user write to the bot in a thread; thread "" opens none.
func (s *Server) Reply(user, thread, text string) string {
	return s.SayIn(s.dm(user), user, thread, text)
}

// SayIn lets user write in any channel.
func (s *Server) SayIn(channel, user, thread, text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.write(channel, user, thread, text)
	s.emit(m.event())
	return m.TS
}

// SaySilently lets user write without an event, as if every delivery of it had
// been lost.
func (s *Server) SaySilently(user, thread, text string) string {
	channel := s.dm(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(channel, user, thread, text).TS
}

func (s *Server) write(channel, user, thread, text string) *Message {
	c := s.channels[channel]
	if c == nil {
		panic("fakeslack: no channel " + channel)
	}
	m := &Message{TS: s.nextTS(), Thread: thread, Channel: channel, User: user, Text: escape(text), At: s.now()}
	if u := s.users[user]; u.Bot {
		m.BotID = "B" + user[1:]
	}
	c.messages = append(c.messages, m)
	s.touch()
	return m
}

// ShareFile lets user send a file with a comment.
func (s *Server) ShareFile(user, thread, comment, name string) string {
	channel := s.dm(user)
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.write(channel, user, thread, comment)
	m.Files = []File{{ID: s.nextID("F"), Name: name}}
	e := m.event()
	e["subtype"] = "file_share"
	s.emit(e)
	return m.TS
}

// Edit lets the author change a message.
func (s *Server) Edit(channel, ts, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.find(channel, ts)
	before := m.object()
	m.Text, m.Edited = escape(text), true
	s.emit(s.changeEvent(m, before))
	s.touch()
}

func (s *Server) changeEvent(m *Message, before reply) reply {
	return reply{
		"type": "message", "subtype": "message_changed", "hidden": true, "channel": m.Channel, "channel_type": channelType(m.Channel),
		"message": m.object(), "previous_message": before, "ts": s.nextTS(), "event_ts": s.nextTS(),
	}
}

// Delete lets the author take a message back.
func (s *Server) Delete(channel, ts string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.find(channel, ts)
	m.Deleted = true
	s.emit(reply{
		"type": "message", "subtype": "message_deleted", "hidden": true, "channel": channel, "channel_type": channelType(channel),
		"deleted_ts": ts, "previous_message": m.object(), "ts": s.nextTS(), "event_ts": s.nextTS(),
	})
	s.touch()
}

// Press lets user press the button actionID of a message. It fails if the
// message has no such button, or if nobody acknowledged within the time that
// Slack gives: the person then sees a warning sign.
func (s *Server) Press(user, channel, ts, actionID string) error {
	s.mu.Lock()
	e, err := s.press(user, channel, ts, actionID)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	s.deliver(e)
	select {
	case <-e.acked:
		return nil
	case <-time.After(s.opts.AckTimeout):
		return fmt.Errorf("press %s: the app did not respond", actionID)
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

func (s *Server) press(user, channel, ts, actionID string) (*event, error) {
	m := s.find(channel, ts)
	button := m.button(actionID)
	if button == nil {
		return nil, fmt.Errorf("press %s: message %s has no such button: %s", actionID, ts, m.Blocks)
	}
	action := reply{"action_ts": s.nextTS()}
	maps.Copy(action, button)
	container := reply{"type": "message", "message_ts": ts, "channel_id": channel, "is_ephemeral": false}
	if m.Thread != "" {
		container["thread_ts"] = m.Thread
	}
	return &event{kind: "interactive", acked: make(chan struct{}), payload: reply{
		"type": "block_actions", "user": reply{"id": user, "username": s.users[user].Name, "name": s.users[user].Name, "team_id": Team},
		"api_app_id": App, "token": "verification", "container": container, "trigger_id": s.nextID("Tr"),
		"team": reply{"id": Team, "domain": "fake"}, "enterprise": nil, "is_enterprise_install": false,
		"channel": reply{"id": channel, "name": "directmessage"}, "message": m.object(), "state": reply{"values": reply{}},
		"response_url": "https://hooks.slack.invalid/actions/none", "actions": []any{action},
	}}, nil
}

// DM returns the direct conversation of user with the bot.
func (s *Server) DM(user string) string { return s.dm(user) }

func (s *Server) dm(user string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.openDM(user)
}

func (s *Server) openDM(user string) string {
	if _, known := s.users[user]; !known {
		panic("fakeslack: no user " + user)
	}
	id := "D" + strings.TrimPrefix(user, "U")
	if s.channels[id] == nil {
		s.channels[id] = newChannel(id, user)
	}
	return id
}

// Notifications returns what rang so far.
func (s *Server) Notifications() []Notification {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Notification(nil), s.notifications...)
}

// notify rings the phone of the person of a direct conversation.
func (s *Server) notify(m *Message) {
	c := s.channels[m.Channel]
	if c.user == "" || s.users[c.user].DND {
		return
	}
	if m.Thread != "" && !strings.Contains(m.Text+m.Blocks, "<@"+c.user+">") && !c.wroteIn(m.Thread) {
		return // a thread that the person does not follow
	}
	s.notifications = append(s.notifications, Notification{User: c.user, Channel: m.Channel, TS: m.TS, At: m.At})
}

func openConversation(s *Server, c Call) (reply, string) {
	user := c.Args["users"]
	u, known := s.users[user]
	switch {
	case user == "":
		return nil, "users_list_not_supplied"
	case !known:
		return nil, "user_not_found"
	case u.Bot:
		return nil, "cannot_dm_bot"
	case u.Deleted:
		return nil, "user_disabled"
	}
	id := s.openDM(user)
	return reply{"channel": reply{"id": id, "created": 1700000000, "is_im": true, "user": user}, "no_op": true, "already_open": true}, ""
}

func conversationInfo(s *Server, c Call) (reply, string) {
	ch := s.channels[c.Args["channel"]]
	if ch == nil {
		return nil, "channel_not_found"
	}
	return reply{"channel": reply{"id": ch.id, "is_im": ch.user != "", "user": ch.user, "is_channel": ch.user == ""}}, ""
}

func userInfo(s *Server, c Call) (reply, string) {
	u, known := s.users[c.Args["user"]]
	if !known {
		return nil, "user_not_found"
	}
	return reply{"user": reply{
		"id": u.ID, "team_id": Team, "name": u.Name, "real_name": u.Name, "deleted": u.Deleted, "is_bot": u.Bot, "tz": u.TZ,
		"profile": reply{"display_name": u.Name, "real_name": u.Name},
	}}, ""
}

func dndInfo(s *Server, c Call) (reply, string) {
	u, known := s.users[c.Args["user"]]
	if !known {
		return nil, "user_not_found"
	}
	if !u.DND {
		return reply{"dnd_enabled": false, "next_dnd_start_ts": 1, "next_dnd_end_ts": 1, "snooze_enabled": false}, ""
	}
	now := s.now().Unix()
	return reply{"dnd_enabled": true, "next_dnd_start_ts": now - 3600, "next_dnd_end_ts": now + 3600, "snooze_enabled": false}, ""
}
