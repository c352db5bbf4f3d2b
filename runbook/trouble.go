package runbook

import "time"

// A Trouble is something that is wrong with the watch itself and not with what
// is watched: no session, a sender that fell silent, a canary that did not come
// back.
type Trouble struct {
	ID         int64
	Key        string    // what it is about, such as "session" or "sender:signoz"; at most one is open for each
	Since      time.Time // UTC; when it began, as it was first seen
	Escalation int64     // by which a person was told
}

// A Canary is an event of our own that travels the whole way: HTTP, memory,
// session, verdict.
type Canary struct {
	ID        int64
	Nonce     string // by which the intake knows that it is ours
	SentAt    time.Time
	Delivery  DeliveryID // 0 until the intake has taken it
	DecidedAt time.Time  // zero until its verdict
	LostAt    time.Time  // when it was given up; zero if it was not
}

// CanaryAlert is the name under which a canary travels, CanaryLabel the label
// that holds its nonce, and CanarySource its sender.
const (
	CanaryAlert  = "Watchkeeper canary"
	CanaryLabel  = "watchkeeper_canary"
	CanarySource = "canary"
)
