package slack

import (
	"encoding/json"
	"html"
	"regexp"
	"strings"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/secret"
)

// maxHeard bounds what is kept of a message, in characters.
const maxHeard = 8000

// An envelope is one frame of Socket Mode.
type envelope struct {
	ID             string          `json:"envelope_id"`
	Type           string          `json:"type"`
	Reason         string          `json:"reason"`
	NumConnections int             `json:"num_connections"`
	Payload        json.RawMessage `json:"payload"`
}

// envelopeID finds the identifier in a frame that cannot be parsed: what is
// never acknowledged comes again, and again.
var envelopeID = regexp.MustCompile(`"envelope_id"\s*:\s*"([^"\\]{1,200})"`)

// parseEnvelope reads a frame. ok is false if only its identifier, or nothing,
// could be read.
func parseEnvelope(raw []byte) (e envelope, ok bool) {
	if err := json.Unmarshal(raw, &e); err == nil && e.Type != "" {
		return e, true
	}
	if m := envelopeID.FindSubmatch(raw); m != nil {
		return envelope{ID: string(m[1])}, false
	}
	return envelope{ID: e.ID}, false
}

// read decodes the payload, and reports whether that worked.
func (e envelope) read(into any) bool { return json.Unmarshal(e.Payload, into) == nil }

// A callback is the payload of an event.
type callback struct {
	EventID string `json:"event_id"`
	Event   event  `json:"event"`
}

// An event is what we read of a message event, and of a message of the history.
type event struct {
	Type        string     `json:"type"`
	SubType     string     `json:"subtype"`
	Channel     string     `json:"channel"`
	ChannelType string     `json:"channel_type"`
	User        string     `json:"user"`
	BotID       string     `json:"bot_id"`
	Text        string     `json:"text"`
	TS          string     `json:"ts"`
	Thread      string     `json:"thread_ts"`
	Files       []attached `json:"files"`
	Message     *edited    `json:"message"`
	Previous    *edited    `json:"previous_message"`
}

type edited struct {
	User   string `json:"user"`
	BotID  string `json:"bot_id"`
	Text   string `json:"text"`
	TS     string `json:"ts"`
	Thread string `json:"thread_ts"`
}

type attached struct {
	Name string `json:"name"`
}

// An eventSort is what an event is to us.
type eventSort int

const (
	isOther     eventSort = iota // no message of a person: joins, deletions, topics
	isEcho                       // our own
	isBot                        // of another app
	isElsewhere                  // outside a direct conversation
	isStranger                   // of somebody who is not on call
	isEdit                       // a person on call changed a message
	isWords                      // of a person on call, for the session
)

// sortOf tells what e is. me is our bot.
func sortOf(e event, me Identity, people People) eventSort {
	if e.Type != "message" {
		return isOther
	}
	if e.ChannelType != "im" {
		return isElsewhere
	}
	if e.SubType == "message_changed" {
		return sortOfEdit(e, people)
	}
	switch {
	case e.User != "" && e.User == me.User, e.BotID != "" && e.BotID == me.BotID:
		return isEcho
	case e.BotID != "", e.SubType == "bot_message":
		return isBot
	case !personal[e.SubType] || e.User == "" || e.TS == "":
		return isOther
	case !people.Has(e.User):
		return isStranger
	}
	return isWords
}

// personal are the subtypes of what a person wrote.
var personal = map[string]bool{"": true, "file_share": true, "thread_broadcast": true, "me_message": true}

// sortOfEdit tells a person's change of the words from the changes that Slack
// makes itself, such as a preview of a link.
func sortOfEdit(e event, people People) eventSort {
	if e.Message == nil || e.Previous == nil || e.Message.BotID != "" || e.Message.Text == e.Previous.Text || !people.Has(e.Message.User) {
		return isOther
	}
	return isEdit
}

// heard is what the memory keeps of a person's words.
func (e event) heard(id string, now time.Time) runbook.Heard {
	lines := []string{plain(e.Text)}
	for _, f := range e.Files {
		lines = append(lines, "[file attached, not readable here: "+plain(f.Name)+"]")
	}
	thread := e.Thread
	if thread == e.TS {
		thread = "" // the root of a thread
	}
	return runbook.Heard{
		EventID: id, Channel: e.Channel, TS: e.TS, User: e.User, Thread: thread,
		Text: cutRunes(secret.Redact(strings.TrimSpace(strings.Join(lines, "\n"))), maxHeard), ReceivedAt: now,
	}
}

// markup is a mention, a link or a command in Slack's text.
var markup = regexp.MustCompile(`<([^<>]*)>`)

// plain turns Slack's text into what the person saw.
func plain(text string) string {
	text = markup.ReplaceAllStringFunc(text, func(m string) string {
		target, label, labelled := strings.Cut(m[1:len(m)-1], "|")
		switch {
		case strings.HasPrefix(target, "@"):
			return target
		case strings.HasPrefix(target, "#") && labelled:
			return "#" + label
		case strings.HasPrefix(target, "!"):
			return "@" + strings.TrimPrefix(target, "!")
		case labelled && label != target && "http://"+label != target && "https://"+label != target:
			return label + " (" + target + ")"
		}
		return target
	})
	return html.UnescapeString(text)
}

func cutRunes(s string, limit int) string {
	r := []rune(s)
	if len(r) <= limit {
		return s
	}
	return string(r[:limit-1]) + "…"
}

// answer is a typed answer to a permission prompt.
var answer = regexp.MustCompile(`(?i)^\s*(y|yes|n|no)\s+([a-km-z]{5})\s*$`)

// parseAnswer reads "yes abcde" and "no abcde", and reports false for anything
// else.
func parseAnswer(text string) (id string, allow, ok bool) {
	m := answer.FindStringSubmatch(text)
	if m == nil {
		return "", false, false
	}
	return strings.ToLower(m[2]), strings.HasPrefix(strings.ToLower(m[1]), "y"), true
}

// A click is the payload of a press of one or more buttons.
type click struct {
	Type      string `json:"type"`
	TriggerID string `json:"trigger_id"`
	User      struct {
		ID string `json:"id"`
	} `json:"user"`
	Container struct {
		ChannelID string `json:"channel_id"`
		MessageTS string `json:"message_ts"`
		ThreadTS  string `json:"thread_ts"`
	} `json:"container"`
	Actions []struct {
		ActionID string `json:"action_id"`
		Value    string `json:"value"`
		ActionTS string `json:"action_ts"`
	} `json:"actions"`
}

// presses lists what was pressed.
func (c click) presses(now time.Time) []runbook.Press {
	var all []runbook.Press
	for _, a := range c.Actions {
		all = append(all, runbook.Press{
			Key:  strings.Join([]string{c.Container.ChannelID, c.Container.MessageTS, c.User.ID, a.ActionID, a.ActionTS}, "/"),
			User: c.User.ID, Action: a.ActionID, Value: cutRunes(a.Value, 2000), Channel: c.Container.ChannelID,
			TS: c.Container.MessageTS, Thread: c.Container.ThreadTS, ReceivedAt: now,
		})
	}
	return all
}
