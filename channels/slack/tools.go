package slack

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/mcptool"
	"watchkeeper/runbook"
	"watchkeeper/secret"
)

// A ToolMemory is what the tools need of the memory.
type ToolMemory interface {
	Delivery(ctx context.Context, id runbook.DeliveryID) (runbook.Delivery, error)
	Claim(ctx context.Context, id runbook.DeliveryID, now time.Time) (runbook.Delivery, error)

	Escalate(ctx context.Context, e runbook.Escalation, text string) (runbook.Escalation, bool, error)
	Escalation(ctx context.Context, id int64) (runbook.Escalation, error)
	EscalationByKey(ctx context.Context, key string) (runbook.Escalation, error)
	EscalationsOfThread(ctx context.Context, channel, ts string) ([]runbook.Escalation, error)
	Escalations(ctx context.Context, states ...runbook.EscalationState) ([]runbook.Escalation, error)
	Renew(ctx context.Context, e runbook.Escalation, now time.Time) (runbook.Escalation, bool, error)
	AddFinding(ctx context.Context, id int64, finding string) error
	Acknowledge(ctx context.Context, id int64, user string, now time.Time) error
	ResolveEscalation(ctx context.Context, id int64, user string, now time.Time) error
	Touch(ctx context.Context, id int64, now time.Time) error
	SpokeSince(ctx context.Context, user string, then time.Time) (bool, error)

	Send(ctx context.Context, m runbook.Message) error
	SendOnce(ctx context.Context, m runbook.Message, within time.Duration) (bool, error)
	Said(ctx context.Context, thread string, escalation int64, limit int) ([]runbook.Said, error)
	ThreadChannel(ctx context.Context, ts string) (string, error)
	Audit(ctx context.Context, a runbook.AuditEntry) error
}

// bySession is who the audit and a card name for what the session does.
const bySession = "session"

// sameWords is the time in which the same words in the same place are one
// message: a session that was restarted does its last steps again.
const sameWords = 30 * time.Minute

// Tools are the tools of the slack channel. They only write to the memory:
// nothing is lost while Slack cannot be reached. c tells the session what it
// may rely on.
func Tools(m ToolMemory, c Calling) []server.ServerTool {
	t := speech{m, c}
	return []server.ServerTool{
		t.escalate(), t.updateEscalation(), t.listEscalations(), t.sendMessage(), t.reply(), t.readThread(),
	}
}

// A speech is what the tools have in common.
type speech struct {
	memory  ToolMemory
	calling Calling
}

// tool makes a tool of a function. Nothing secret comes back from it either.
func tool[In any](name, description string, h mcptool.Hint, fn func(context.Context, In) (string, error)) server.ServerTool {
	return mcptool.New(name, description, h, func(ctx context.Context, in In) (string, error) {
		text, err := fn(ctx, in)
		if err != nil {
			return "", errors.New(secret.Redact(err.Error()))
		}
		return secret.Redact(text), nil
	})
}

type messageArgs struct {
	Text     string `json:"text" jsonschema:"Markdown; the first line must be understood alone, on a phone's lock screen"`
	Delivery string `json:"delivery,omitempty" jsonschema:"the event it is about, as d42"`
}

func (t speech) sendMessage() server.ServerTool {
	return tool("send_message", "Tell the person on call something that needs no answer: a finding on dev, a proposal, the briefing. "+
		"It is not repeated, and waits for the morning in quiet hours. Not for what needs a person: that is escalate. Not for an answer: that is reply.",
		mcptool.AlwaysLoad, func(ctx context.Context, a messageArgs) (string, error) {
			text, err := words(a.Text)
			if err != nil {
				return "", err
			}
			about := "none"
			if a.Delivery != "" {
				d, err := t.claim(ctx, a.Delivery)
				if err != nil {
					return "", err
				}
				about = d.ID.String()
			}
			fresh, err := t.memory.SendOnce(ctx, runbook.Message{
				Key: "message:" + about + ":" + digest(text), Kind: "message", Text: text, CreatedAt: time.Now(),
			}, sameWords)
			return sentOrSame(fresh, "Stored; it goes to the person on call. An answer arrives as a message event."), err
		})
}

type replyArgs struct {
	Thread string `json:"thread" jsonschema:"thread attribute of the message event, such as 1718000000.000100"`
	Text   string `json:"text" jsonschema:"Markdown; short, the answer first"`
	More   bool   `json:"more,omitempty" jsonschema:"true if the answer is still to come, as after \"Looking.\""`
}

func (t speech) reply() server.ServerTool {
	return tool("reply", "Answer a person in the thread in which they wrote. It goes out at once, in quiet hours too.",
		mcptool.AlwaysLoad, func(ctx context.Context, a replyArgs) (string, error) {
			text, err := words(a.Text)
			if err != nil {
				return "", err
			}
			channel, err := t.memory.ThreadChannel(ctx, a.Thread)
			if err != nil {
				return "", err
			}
			if channel == "" {
				return "", fmt.Errorf("there is no thread %s; copy the thread attribute of the message event, "+
					"or use update_escalation to write into the thread of an escalation", quoted(a.Thread))
			}
			now := time.Now()
			fresh, err := t.memory.SendOnce(ctx, runbook.Message{
				Key: "reply:" + a.Thread + ":" + digest(text), Kind: "reply", Channel: channel, Thread: a.Thread,
				Text: text, Urgent: true, More: a.More, CreatedAt: now,
			}, sameWords)
			if err != nil {
				return "", err
			}
			return sentOrSame(fresh, "Stored; it goes into that thread."), t.touchThread(ctx, channel, a.Thread, now)
		})
}

// touchThread notes that the escalations of a thread are being worked on.
func (t speech) touchThread(ctx context.Context, channel, thread string, now time.Time) error {
	about, err := t.memory.EscalationsOfThread(ctx, channel, thread)
	for _, e := range about {
		err = errors.Join(err, t.memory.Touch(ctx, e.ID, now))
	}
	return err
}

func sentOrSame(fresh bool, sent string) string {
	if fresh {
		return sent
	}
	return "The same words went there a few minutes ago; nothing was sent again."
}

// claim reads the name of a delivery and records that somebody works on it.
func (t speech) claim(ctx context.Context, name string) (runbook.Delivery, error) {
	id, err := runbook.ParseDelivery(name)
	if err != nil {
		return runbook.Delivery{}, err
	}
	d, err := t.memory.Claim(ctx, id, time.Now())
	if errors.Is(err, runbook.ErrNotFound) {
		return d, fmt.Errorf("there is no delivery %s; its number stands in the event, and pending_events lists what is open", id)
	}
	return d, err
}

type readThreadArgs struct {
	Thread     string `json:"thread,omitempty" jsonschema:"thread attribute of a message event"`
	Escalation int64  `json:"escalation,omitempty" jsonschema:"number of an escalation, instead of thread"`
}

func (t speech) readThread() server.ServerTool {
	return tool("read_thread", "Show what was said in a thread, or about an escalation, by people and by us. Use it before you answer a person "+
		"whose thread you do not know.", mcptool.ReadOnly, func(ctx context.Context, a readThreadArgs) (string, error) {
		thread := a.Thread
		if a.Escalation != 0 {
			e, err := t.escalation(ctx, a.Escalation)
			if err != nil {
				return "", err
			}
			thread = e.Thread
		}
		if thread == "" && a.Escalation == 0 {
			return "", errors.New("name a thread or an escalation; list_escalations shows what is open")
		}
		lines, err := t.memory.Said(ctx, thread, a.Escalation, maxSaid)
		if err != nil {
			return "", err
		}
		if len(lines) == 0 {
			return "", fmt.Errorf("nothing was said in thread %s; copy the thread attribute of the message event", quoted(thread))
		}
		return conversation(lines), nil
	})
}
