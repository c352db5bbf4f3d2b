package fakeslack

import (
	"slices"
	"strconv"
	"time"
)

// Rules of scheduled messages.
const (
	maxAhead    = 120 * 24 * time.Hour
	window      = 5 * time.Minute
	maxInWindow = 30
	tooLate     = time.Minute // before it is posted, a message cannot be deleted
)

// A scheduled message is posted by Slack itself when its time comes.
type scheduled struct {
	id, channel string
	at, created time.Time
	message     *Message
}

func scheduleMessage(s *Server, c Call) (reply, string) {
	ch, code := s.target(c)
	if code != "" {
		return nil, code
	}
	unix, err := strconv.ParseInt(c.Args["post_at"], 10, 64)
	at, now := time.Unix(unix, 0), s.now()
	switch {
	case err != nil:
		return nil, "invalid_time"
	case !at.After(now):
		return nil, "time_in_past"
	case at.Sub(now) > maxAhead:
		return nil, "time_too_far"
	case s.inWindow(ch.id, at) >= maxInWindow:
		return nil, "restricted_too_many"
	}
	m, code := s.compose(ch.id, c)
	if code != "" {
		return nil, code
	}
	e := &scheduled{id: s.nextID("Q"), channel: ch.id, at: at, created: now, message: m}
	s.scheduled = append(s.scheduled, e)
	return reply{"channel": ch.id, "scheduled_message_id": e.id, "post_at": unix, "message": m.object()}, ""
}

func (s *Server) inWindow(channel string, at time.Time) (n int) {
	for _, e := range s.scheduled {
		if e.channel == channel && e.at.Truncate(window).Equal(at.Truncate(window)) {
			n++
		}
	}
	return n
}

func deleteScheduled(s *Server, c Call) (reply, string) {
	for i, e := range s.scheduled {
		if e.id == c.Args["scheduled_message_id"] && e.channel == c.Args["channel"] && e.at.Sub(s.now()) >= tooLate {
			s.scheduled = slices.Delete(s.scheduled, i, i+1)
			return reply{}, ""
		}
	}
	return nil, "invalid_scheduled_message_id"
}

func listScheduled(s *Server, c Call) (reply, string) {
	list := []reply{}
	for _, e := range s.scheduled {
		if ch := c.Args["channel"]; ch == "" || ch == e.channel {
			list = append(list, reply{
				"id": e.id, "channel_id": e.channel, "post_at": e.at.Unix(), "date_created": e.created.Unix(), "text": e.message.Text,
			})
		}
	}
	return reply{"scheduled_messages": list, "response_metadata": reply{"next_cursor": ""}}, ""
}

// Scheduled returns when the messages that are scheduled for a channel will be
// posted, the earliest first.
func (s *Server) Scheduled(channel string) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	var at []time.Time
	for _, e := range s.scheduled {
		if e.channel == channel {
			at = append(at, e.at)
		}
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// runSchedule posts what falls due until the server is closed.
func (s *Server) runSchedule() {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
			s.mu.Lock()
			s.postDue()
			s.mu.Unlock()
		}
	}
}

// postDue posts what is due. A message with metadata is dropped instead.
func (s *Server) postDue() {
	now := s.now()
	s.scheduled = slices.DeleteFunc(s.scheduled, func(e *scheduled) bool {
		if e.at.After(now) {
			return false
		}
		if e.message.Metadata == "" {
			e.message.TS, e.message.At = s.nextTS(), now
			s.post(e.message)
		}
		return true
	})
}
