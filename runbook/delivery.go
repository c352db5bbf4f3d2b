package runbook

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A DeliveryID names a delivery to people and to the model, as "d42".
// 0 is no delivery.
type DeliveryID int64

// String returns the form that the model sees.
func (d DeliveryID) String() string { return "d" + strconv.FormatInt(int64(d), 10) }

// ParseDelivery reads "d42" or "42".
func ParseDelivery(s string) (DeliveryID, error) {
	n, err := strconv.ParseInt(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s)), "d"), 10, 64)
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("delivery %q is not one; it is written d42, as in the event's delivery attribute", s)
	}
	return DeliveryID(n), nil
}

// A DeliveryState is how far an event has come.
type DeliveryState string

// Queued is stored and owed to the session; Pushed was handed over, which
// proves nothing; Claimed was named by a tool call, so somebody works on it;
// Done has its verdict or needs none; Merged went into a storm digest, whose
// delivery owns its alerts now.
const (
	Queued  DeliveryState = "queued"
	Pushed  DeliveryState = "pushed"
	Claimed DeliveryState = "claimed"
	Done    DeliveryState = "done"
	Merged  DeliveryState = "merged"
)

// An EventKind is the event attribute of a push.
type EventKind string

// Kinds of event. The first group comes from monitoring, the second from
// people.
const (
	EventAlert        EventKind = "alert"
	EventStorm        EventKind = "storm"
	EventResolved     EventKind = "resolved"
	EventUnrecognised EventKind = "unrecognised"
	EventReminder     EventKind = "reminder"
	EventWatch        EventKind = "watch"
	EventCanary       EventKind = "canary" // our own, see [Canary]

	EventMessage          EventKind = "message"
	EventPermissionAnswer EventKind = "permission_answer"
	EventAcked            EventKind = "escalation_acked"
)

// NeedsVerdict reports whether the delivery stays owed until log_verdict
// closes it. The others are done once they were pushed or claimed.
func (k EventKind) NeedsVerdict() bool {
	switch k {
	case EventAlert, EventStorm, EventUnrecognised, EventReminder, EventWatch, EventCanary:
		return true
	}
	return false
}

// Digested reports whether the delivery goes into the digest of a storm. The
// others are few, and say something of their own.
func (k EventKind) Digested() bool { return k == EventAlert || k == EventUnrecognised }

// Redelivery of what nobody claims (DESIGN: 3 minutes, 3 times, then a human).
const (
	ClaimWithin   = 3 * time.Minute  // from push to claim
	MaxPushes     = 3                // before a human is paged
	ClaimAtLast   = time.Minute      // from a push after those to claim, in a fresh session
	DecideWithin  = 30 * time.Minute // from claim to verdict, then a reminder
	MaxReminders  = 2                // before a human is paged
	DecideAtLast  = 2 * time.Hour    // from its arrival, however many sessions have had it
	QuietFor      = 500 * time.Millisecond
	GatherAtMost  = 5 * time.Second
	StormAbove    = 20               // pending events
	StormInterval = 30 * time.Second // between two digests
)

// A Delivery is an event that is owed to the session.
type Delivery struct {
	ID        DeliveryID
	Kind      EventKind
	Channel   string // "webhook" or "slack"
	State     DeliveryState
	Alert     string // name of the alert, or of the group
	Cluster   string
	Service   string // the common one, "several" or ""
	Namespace string
	Severity  Severity // the worst
	Env       Env      // the strictest
	Status    Status   // Firing while at least one alert fires
	Alerts    int      // occurrences in it
	Pushes    int      // times it was handed over
	Reminders int      // times it was pushed again after a claim that led nowhere
	CreatedAt time.Time
	DueAt     time.Time // UTC; not pushed before
	PushedAt  time.Time // UTC; zero if never
	ClaimedAt time.Time // UTC; zero if never
	PagedAt   time.Time // UTC; when a human was told that nobody decides it; zero if never
	Session   int64     // session it was last pushed to; 0 if none

	// Of a message from a person; else "".
	User, Thread, Text string
	Escalation         int64 // 0 if it belongs to none
}

// An AlertGroup counts the occurrences of a delivery that share a name, a
// service, a cluster and a severity: a line of a digest.
type AlertGroup struct {
	Alert, Service, Cluster string
	Severity                Severity
	Count, Firing           int
}
