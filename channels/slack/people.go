package slack

import (
	"context"
	"slices"
	"time"

	"watchkeeper/runbook"
)

// People are those who may talk to the session, by Slack user ID.
type People struct {
	OnCall string // who is reached; "" sends nothing
	Second string // who is called when OnCall does not answer; "" is nobody

	// Quiet reports whether what is not critical is held back at t; nil is
	// never.
	Quiet func(t time.Time) bool
}

// Has reports whether user is one of the people on call.
func (p People) Has(user string) bool { return user != "" && slices.Contains(p.all(), user) }

// all lists the people on call, each once.
func (p People) all() []string {
	var all []string
	for _, u := range []string{p.OnCall, p.Second} {
		if u != "" && !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	return all
}

func (p People) quiet(t time.Time) bool { return p.Quiet != nil && p.Quiet(t) }

// Actions do what people ask for by a button or a thread reply. Every call may
// come again after a crash and must then change nothing. An error is tried
// again a few times.
type Actions interface {
	// Press handles a button that a person on call pressed.
	Press(ctx context.Context, p runbook.Press) error
	// Replied is told that a person on call wrote in the thread of an
	// escalation, which counts as an acknowledgement. The text reaches the
	// session all the same.
	Replied(ctx context.Context, e runbook.Escalation, h runbook.Heard) error
}

// Answers takes the typed answers to permission prompts, "yes abcde" and "no
// abcde". What it is offered never reaches the conversation, known or not.
type Answers interface {
	// Answer decides the prompt id (5 lower-case letters) as user asked. It
	// reports false for a prompt that is unknown, expired or decided.
	Answer(ctx context.Context, user, id string, allow bool) (known bool, err error)
}
