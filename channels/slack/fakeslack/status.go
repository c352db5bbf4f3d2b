package fakeslack

import "time"

// statusFor is how long a status stays when no message follows.
const statusFor = 2 * time.Minute

// A status is what a thread shows that the bot is doing.
type status struct {
	text string
	set  time.Time
}

func setStatus(s *Server, c Call) (reply, string) {
	ch := s.channels[c.Args["channel_id"]]
	switch {
	case ch == nil:
		return nil, "channel_not_found"
	case s.lookup(ch.id, c.Args["thread_ts"]) == nil:
		return nil, "invalid_thread_ts"
	}
	ch.statuses[c.Args["thread_ts"]] = status{c.Args["status"], s.now()}
	return reply{}, ""
}

// Status returns what a thread shows that the bot is doing, "" for nothing. A
// message of the bot in the thread clears it, as the real Slack does.
func (s *Server) Status(channel, thread string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ch := s.channels[channel]; ch != nil {
		if st := ch.statuses[thread]; s.now().Sub(st.set) < statusFor {
			return st.text
		}
	}
	return ""
}
