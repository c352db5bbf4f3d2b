package runbook

import (
	"errors"
	"time"
)

// ErrDuplicate means that something open has that name already.
var ErrDuplicate = errors.New("already there")

// An EscalationState is where a cry for help stands.
type EscalationState string

// Open nags; Acked is taken by a person; Snoozed nags again later;
// EscalationResolved is over and never reopens.
const (
	EscalationOpen     EscalationState = "open"
	EscalationAcked    EscalationState = "acked"
	EscalationSnoozed  EscalationState = "snoozed"
	EscalationResolved EscalationState = "resolved"
)

// NagEvery is the time from the first message to nag 1, and from nag to nag.
const NagEvery = 10 * time.Minute

// An Escalation is a promise to reach a human, stored before anything is sent.
type Escalation struct {
	ID       int64
	Delivery DeliveryID // 0 if it is about none
	Key      string     // a second escalation under the same key is the same one
	Title    string     // what, one line
	Severity Severity
	Env      Env
	Cluster  string
	Service  string
	Alert    string

	Impact    string // who notices
	Checked   string // what was looked at
	Found     string // with references
	Recommend string // what the human should do
	Default   string // what happens if nobody answers
	OpenedBy  string // "session", "responder" or "watchdog"

	State        EscalationState
	OpenedAt     time.Time
	Nags         int       // sent so far
	NextNagAt    time.Time // UTC; zero: no nag is due (dev, info, acked)
	AckedBy      string
	AckedAt      time.Time
	SnoozedUntil time.Time
	ResolvedAt   time.Time
	ResolvedBy   string
	Channel      string // Slack channel of its thread; "" until sent
	Thread       string // Slack ts of its root; "" until sent
}

// Nags reports whether an escalation of this weight is repeated until somebody
// acknowledges it: critical ones everywhere but on dev.
func Nags(s Severity, e Env) bool { return s == Critical && e.Strict() }

// A Message is one row of the outbox: a text for people, sent exactly once as
// far as they can see.
type Message struct {
	ID         int64
	Key        string // unique; a second message with it is the same one
	Kind       string // "escalation", "nag", "message", "reply", "page", "briefing", …
	Escalation int64  // 0 if it belongs to none
	Channel    string // Slack channel or user; "" is the on-call person
	Thread     string // Slack ts of the thread; "" opens one
	Text       string
	State      string // "queued", "sending", "sent" or "failed"
	Attempts   int
	CreatedAt  time.Time
	NextAt     time.Time // not sent before
	SentAt     time.Time
	TS         string // Slack ts once sent
	Error      string // of the last attempt

	Blocks    string // Block Kit, a JSON array, whose mrkdwn texts are escaped already; "" is Text alone. Text is then the notification
	EditOf    string // Key of the message that this one replaces, once that was sent; "" is a new message
	Mrkdwn    bool   // Text is Slack's markup, escaped already; false is plain text, which is escaped when it is sent
	Urgent    bool   // quiet hours do not hold it back; messages of a critical escalation never wait for the morning
	Broadcast bool   // a message in a thread that is shown outside it too
	More      bool   // a reply after which the answer is still to come

	// About are the escalations of a message that names several, and then
	// belongs to none of their threads; nil otherwise.
	About []int64
}

// An AuditEntry is written before and after everything that changes the world
// outside.
type AuditEntry struct {
	ID       int64
	At       time.Time
	Actor    string // "session", "responder", "human:U0123", "watchdog"
	Action   string // "restart_deployment", "log_verdict", …
	Target   string // cluster/namespace/kind/name, or a delivery
	Phase    string // "before", "after" or "refused"
	Detail   string // redacted
	Delivery DeliveryID
}

// A Said is one line of a conversation, whoever said it.
type Said struct {
	At   time.Time // UTC
	User string    // Slack user ID; "" is us
	Kind string    // of our message; "" is a person's
	Text string
	Sent bool // false while our message still waits to be sent
}

// A Duty is an escalation with what the escalator needs to know about it.
type Duty struct {
	Escalation
	Policed   bool      // its first deadline follows the configuration
	Over      bool      // its alerts fired when it was opened, and neither they nor others of their name, service and cluster do now
	OverSince time.Time // UTC; when the last of these ended; zero if that is not known
	Decided   bool      // its delivery has a verdict
	TouchedAt time.Time // UTC; last sign that somebody works on it
	Repings   int       // times that whoever acknowledged it was asked again
	SecondAt  time.Time // UTC; when the second person was called; zero if they were not
	Revision  int       // grows with every change that its card shows
	Shown     int       // revision of the last card in the outbox

	// Stuck counts the nags since the last that was sent, while Slack takes
	// nothing; 0 while it does.
	Stuck int

	SecondChannel string // where the second person's thread about it is; "" until it was sent
	SecondThread  string // Slack ts of its root
}

// A Nag is the next step of an escalation that nobody acknowledged.
type Nag struct {
	Escalation int64
	Was        time.Time // NextNagAt as it was read: another process that was faster has moved it
	Number     int       // of the last nag that this step counts for
	Next       time.Time // UTC; zero: no other follows
	Replaces   bool      // gives up the nags that still wait to be sent: this one speaks for them
}

// An ApprovalState is where a permission that the session asked for stands.
type ApprovalState string

// Open waits for a person; Withdrawn means that the session no longer wants to
// know.
const (
	ApprovalOpen      ApprovalState = "open"
	ApprovalAllowed   ApprovalState = "allowed"
	ApprovalDenied    ApprovalState = "denied"
	ApprovalExpired   ApprovalState = "expired"
	ApprovalWithdrawn ApprovalState = "withdrawn"
)

// An Approval is a permission that the session asked a person for.
type Approval struct {
	ID          int64
	Code        string // 5 letters a-z without l; unique among the open ones
	Source      string // "channel" (the CLI relays its prompt) or "stream"
	Person      string // Slack user ID of the only one who may answer
	Tool        string
	Description string // may be ""
	Input       string // what the tool is called with, JSON or a part of it; without secrets
	State       ApprovalState
	AskedAt     time.Time
	ExpiresAt   time.Time // UTC; an answer after it counts for nothing
	DecidedAt   time.Time // UTC; zero while it is open
	DecidedBy   string    // Slack user ID; "" if no person decided
}

// A Taking is what a person did to an escalation.
type Taking struct {
	Escalation int64
	State      EscalationState // afterwards: acked, snoozed or resolved
	User       string          // Slack user ID
	At         time.Time
	Until      time.Time // UTC; of a snooze, else zero
	Thread     string    // Slack ts of the thread in which it was done
	Text       string    // for the session
	Messages   []Message // for the other people
}
