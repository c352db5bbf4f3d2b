package messages

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// agentHeader names the sub-agent that a request belongs to.
const agentHeader = "X-Claude-Code-Agent-Id"

// A Request is one call of the API, as it was received.
type Request struct {
	Path   string
	Header http.Header
	Raw    []byte // the body
	Rule   string // name of the rule that answered; "" if none did
	body   body
}

// body is the part of a request that tests look at.
type body struct {
	Model    string          `json:"model"`
	Stream   bool            `json:"stream"`
	System   content         `json:"system"`
	Messages []message       `json:"messages"`
	Tools    []offered       `json:"tools"`
	Metadata json.RawMessage `json:"metadata"`
}

type message struct {
	Role    string  `json:"role"`
	Content content `json:"content"`
}

type offered struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// content is a string or a list of blocks; a string becomes one text block.
type content []part

type part struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	IsError   bool            `json:"is_error"`
	Content   content         `json:"content"`
}

// UnmarshalJSON implements [json.Unmarshaler].
func (c *content) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*c = content{{Type: "text", Text: s}}
		return nil
	}
	var parts []part
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	*c = parts
	return nil
}

func (c content) text() string {
	var lines []string
	for _, p := range c {
		if p.Type == "text" {
			lines = append(lines, p.Text)
		}
	}
	return strings.Join(lines, "\n")
}

// A Result is what a tool gave back, as the model sees it.
type Result struct {
	Tool  string // its name
	Text  string
	Error bool
}

// Model returns the model that was asked for.
func (r Request) Model() string { return r.body.Model }

// AgentID returns the identifier of the sub-agent, "" for the session itself.
func (r Request) AgentID() string { return r.Header.Get(agentHeader) }

// SubAgent reports whether a sub-agent asks.
func (r Request) SubAgent() bool { return r.AgentID() != "" }

// instructions opens the block by which the CLI hands over CLAUDE.md, in front
// of what the user says first.
const instructions = "<system-reminder>\nCodebase and user instructions are shown below."

func (p part) instructs() bool { return strings.HasPrefix(p.Text, instructions) }

// System returns the system prompt, the system messages and CLAUDE.md.
func (r Request) System() string {
	parts := []string{r.body.System.text()}
	for _, m := range r.body.Messages {
		for _, p := range m.Content {
			if p.instructs() {
				parts = append(parts, p.Text)
			}
		}
		if m.Role == "system" {
			parts = append(parts, m.Content.text())
		}
	}
	return strings.Join(parts, "\n")
}

// midTurn opens the system message by which the CLI hands over what the user
// said while the model was at work.
const midTurn = "The user sent a new message while you were working:"

// taskNote opens the end of a sub-agent, which the CLI hands over as a system
// message too if the model is at work.
const taskNote = "<task-notification>"

// said reports whether the user's side said m.
func (m message) said() bool {
	text := m.Content.text()
	return m.Role == "user" || strings.Contains(text, midTurn) || strings.Contains(text, taskNote)
}

// lastTurn is what the user side said after the model's last turn.
func (r Request) lastTurn() content {
	var turn content
	for _, m := range slices.Backward(r.body.Messages) {
		if m.Role == "assistant" {
			break
		}
		if m.said() {
			turn = append(slices.DeleteFunc(slices.Clone(m.Content), part.instructs), turn...)
		}
	}
	return turn
}

// LastText returns the text of the user's last turn, without tool results.
func (r Request) LastText() string { return r.lastTurn().text() }

// Results returns the tool results of the user's last turn.
func (r Request) Results() []Result {
	var out []Result
	for _, p := range r.lastTurn() {
		if p.Type == "tool_result" {
			out = append(out, Result{Tool: r.toolOf(p.ToolUseID), Text: p.Content.text(), Error: p.IsError})
		}
	}
	return out
}

// A Use is one call of a tool in the conversation, with what came of it.
type Use struct {
	Tool   string
	Input  json.RawMessage
	Result *Result // nil until there is one
}

// Uses returns every call of a tool in the messages, oldest first.
func (r Request) Uses() []Use {
	var all []Use
	at := map[string]int{}
	for _, m := range r.body.Messages {
		for _, p := range m.Content {
			switch p.Type {
			case "tool_use":
				at[p.ID] = len(all)
				all = append(all, Use{Tool: p.Name, Input: p.Input})
			case "tool_result":
				if i, ok := at[p.ToolUseID]; ok {
					all[i].Result = &Result{Tool: all[i].Tool, Text: p.Content.text(), Error: p.IsError}
				}
			}
		}
	}
	return all
}

// Heard returns what the user's side said, oldest first, without tool results
// and without what the CLI tells as the system.
func (r Request) Heard() []string {
	var all []string
	for _, m := range r.body.Messages {
		if text := m.Content.text(); text != "" && m.said() {
			all = append(all, text)
		}
	}
	return all
}

func (r Request) toolOf(id string) string {
	for _, m := range r.body.Messages {
		for _, p := range m.Content {
			if p.Type == "tool_use" && p.ID == id {
				return p.Name
			}
		}
	}
	return ""
}

func (r Request) resultText() string {
	var lines []string
	for _, res := range r.Results() {
		lines = append(lines, res.Text)
	}
	return strings.Join(lines, "\n")
}

func (r Request) answers(tool string) bool {
	return slices.ContainsFunc(r.Results(), func(res Result) bool { return res.Tool == tool })
}

// Tools returns the names of the tools that the request offers.
func (r Request) Tools() []string {
	names := make([]string, len(r.body.Tools))
	for i, t := range r.body.Tools {
		names[i] = t.Name
	}
	return names
}

// Offers reports whether tool is among them.
func (r Request) Offers(tool string) bool { return slices.Contains(r.Tools(), tool) }

// Conversation returns every text, tool input and tool result of the messages,
// a block after the other.
func (r Request) Conversation() string {
	var b strings.Builder
	for _, m := range r.body.Messages {
		write(&b, m.Content)
	}
	return b.String()
}

func write(b *strings.Builder, c content) {
	for _, p := range c {
		if p.instructs() {
			continue
		}
		b.WriteString(p.Text)
		b.Write(p.Input)
		write(b, p.Content)
		b.WriteByte('\n')
	}
}

// Tokens estimates the size of the messages, at four bytes a token; the system
// prompt, CLAUDE.md and the tools do not grow and are not counted.
func (r Request) Tokens() int { return len(r.Conversation()) / 4 }
