package runbook

import "time"

// A Heard is one message of a person, as Slack delivered it. It is stored
// before Slack is told that it arrived.
type Heard struct {
	ID         int64  // 0 until stored
	EventID    string // Slack's identifier of the event; the same when Slack sends it again
	Channel    string // Slack channel
	TS         string // Slack ts, which with the channel is the message's identity
	User       string // Slack user ID
	Thread     string // Slack ts of the thread's root; "" outside a thread
	Text       string // as the person wrote it, without Slack's escapes
	ReceivedAt time.Time
}

// Root returns the ts of the thread in which an answer belongs: the message's
// own if it opened none.
func (h Heard) Root() string {
	if h.Thread != "" {
		return h.Thread
	}
	return h.TS
}

// A Press is one press of a button by a person. It is stored before Slack is
// told that it arrived.
type Press struct {
	ID         int64  // 0 until stored
	Key        string // the same when Slack sends the press again
	User       string // Slack user ID
	Action     string // action_id of the button
	Value      string // value of the button
	Channel    string // Slack channel
	TS         string // Slack ts of the message with the button
	Thread     string // Slack ts of that message's thread; "" if it is in none
	ReceivedAt time.Time
}

// An Outgoing is a message of the outbox with what the memory knows about the
// place where it belongs.
type Outgoing struct {
	Message         // Channel and Thread are resolved as far as the memory can
	Critical bool   // urgent, or of a critical escalation
	EditTS   string // Slack ts of the message to replace; "" posts a new one
}
