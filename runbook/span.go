package runbook

import "time"

// A Span is one step on the way of a delivery, as tracing shows it. It holds
// no argument of a tool and no text of an alert or a person.
type Span struct {
	Delivery DeliveryID // 0 if it belongs to none that is known
	Name     string
	Program  string            // that took the step
	Began    time.Time         // UTC, nanosecond precision
	Ended    time.Time         // UTC, not before Began
	Facts    map[string]string // such as tool and cluster
	Failed   bool

	Trace string // 32 hexadecimal digits, given by the memory; "" if it has none yet
	ID    int64  // in the memory; 0 for what is read off other rows
}

// A Journey is a delivery that is done: the root of its spans.
type Journey struct {
	Delivery
	Trace     string    // 32 hexadecimal digits
	DoneAt    time.Time // UTC, millisecond precision
	Verdict   Verdict   // "" if it needs none
	Escalated bool
}

// A Sent is a message about a traced delivery that has reached a person.
type Sent struct {
	ID            int64
	Delivery      DeliveryID
	Trace, Kind   string
	Stored, Shown time.Time // UTC, millisecond precision
}
