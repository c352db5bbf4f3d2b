package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// An Output is something that the CLI said. It is one of [Init], [Used],
// [Said], [ToolUse], [ToolResult], [Failed], [TurnEnd], [Retry], [Limit] and
// [Tasks].
type Output interface{ output() }

// Init opens every turn.
type Init struct {
	SessionID string
	Model     string
	Tools     []string
	Servers   []ServerStatus
}

// A ServerStatus is how the CLI gets on with an MCP server: "connected",
// "pending", "failed" or "needs-auth".
type ServerStatus struct {
	Name   string `json:"name"`
	Status string `json:"status"`
	Error  string `json:"error"`
}

// Used is how many tokens a request sent, with the cached ones: the size of the
// context. Agent is the sub-agent's identifier, "" for the session itself; so
// everywhere below.
type Used struct {
	Agent  string
	Tokens int
}

// Said is text of the model.
type Said struct{ Agent, Text string }

// ToolUse is a call that the model wants.
type ToolUse struct {
	Agent, ID, Name string
	Input           json.RawMessage
}

// ToolResult is what came of a call.
type ToolResult struct {
	Agent, ID, Text string
	Error           bool
}

// Failed is an error of the API that the CLI gave up on. The process lives on
// and takes the next message.
type Failed struct {
	Agent  string
	Code   string // such as authentication_failed, rate_limit or server_error
	Status int    // HTTP; 0 if no request was made
	Text   string // for people
}

// TurnEnd ends a turn of the session; it waits for the next message then.
type TurnEnd struct {
	Failed bool
	Status int     // HTTP status of the failure; 0 if there is none
	Text   string  // the last words, or the failure for people
	Cost   float64 // US dollars since the session began
	Denied int     // permission requests that were denied
}

// Retry says that a request failed and is sent again.
type Retry struct {
	Attempt, Max int
	Delay        time.Duration // until the next attempt
	Status       int           // HTTP
	Code         string        // as in [Failed]
}

// Limit is news of the plan's usage limit.
type Limit struct {
	Rejected bool
	Resets   time.Time // UTC; zero if unknown
	Kind     string    // such as five_hour
}

// Tasks lists the sub-agents that run in the background; it comes whenever
// that changes.
type Tasks struct{ Running []Task }

// A Task is one sub-agent at work.
type Task struct {
	ID          string `json:"task_id"`
	Agent       string `json:"subagent_type"`
	Description string `json:"description"`
}

func (Init) output()       {}
func (Used) output()       {}
func (Said) output()       {}
func (ToolUse) output()    {}
func (ToolResult) output() {}
func (Failed) output()     {}
func (TurnEnd) output()    {}
func (Retry) output()      {}
func (Limit) output()      {}
func (Tasks) output()      {}

// line is everything of a line that we read.
type line struct {
	Type      string `json:"type"`
	Subtype   string `json:"subtype"`
	SessionID string `json:"session_id"`
	AgentID   string `json:"agent_id"`

	// control
	RequestID string          `json:"request_id"`
	Request   json.RawMessage `json:"request"`
	Response  json.RawMessage `json:"response"`

	// init
	Model   string         `json:"model"`
	Tools   []string       `json:"tools"`
	Servers []ServerStatus `json:"mcp_servers"`

	// assistant and user
	Message struct {
		Content blocks `json:"content"`
		Usage   struct {
			Input   int `json:"input_tokens"`
			Created int `json:"cache_creation_input_tokens"`
			Read    int `json:"cache_read_input_tokens"`
		} `json:"usage"`
	} `json:"message"`
	Error    string `json:"error"` // also of api_retry
	APIError bool   `json:"is_api_error_message"`
	Status   int    `json:"api_error_status"`

	// result
	IsError bool              `json:"is_error"`
	Result  string            `json:"result"`
	Cost    float64           `json:"total_cost_usd"`
	Denials []json.RawMessage `json:"permission_denials"`

	// api_retry
	Attempt     int     `json:"attempt"`
	MaxRetries  int     `json:"max_retries"`
	RetryDelay  float64 `json:"retry_delay_ms"`
	ErrorStatus int     `json:"error_status"`

	// rate_limit_event
	Limit struct {
		Status  string `json:"status"`
		Resets  int64  `json:"resetsAt"`
		Kind    string `json:"rateLimitType"`
		Overage bool   `json:"isUsingOverage"`
	} `json:"rate_limit_info"`

	// background_tasks_changed
	Tasks []Task `json:"tasks"`
}

type block struct {
	Type      string          `json:"type"`
	Text      string          `json:"text"`
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Input     json.RawMessage `json:"input"`
	ToolUseID string          `json:"tool_use_id"`
	Content   blocks          `json:"content"`
	IsError   bool            `json:"is_error"`
}

// blocks is a list of blocks, or a string, which stands for one text.
type blocks []block

// UnmarshalJSON implements [json.Unmarshaler].
func (b *blocks) UnmarshalJSON(text []byte) error {
	if len(text) > 0 && text[0] == '"' {
		var s string
		err := json.Unmarshal(text, &s)
		*b = blocks{{Type: "text", Text: s}}
		return err
	}
	var list []block
	err := json.Unmarshal(text, &list)
	*b = list
	return err
}

func (b blocks) text() string {
	var parts []string
	for _, p := range b {
		if p.Type == "text" {
			parts = append(parts, p.Text)
		}
	}
	return strings.Join(parts, "\n")
}

// parse reads a line. A line of a kind that we do not know is no error: the CLI
// adds some with every version.
func parse(text []byte) (line, []Output, error) {
	var l line
	var other *json.UnmarshalTypeError // a field that means something else in a line we do not read
	if err := json.Unmarshal(text, &l); err != nil && !errors.As(err, &other) {
		return l, nil, fmt.Errorf("read line of the CLI: %w", err)
	}
	switch l.Type {
	case "assistant":
		return l, l.assistant(), nil
	case "user":
		return l, l.results(), nil
	case "result":
		return l, []Output{TurnEnd{Failed: l.IsError, Status: l.Status, Text: l.Result, Cost: l.Cost, Denied: len(l.Denials)}}, nil
	case "rate_limit_event":
		lim := Limit{Rejected: l.Limit.Status == "rejected" && !l.Limit.Overage, Kind: l.Limit.Kind}
		if l.Limit.Resets > 0 {
			lim.Resets = time.Unix(l.Limit.Resets, 0).UTC()
		}
		return l, []Output{lim}, nil
	case "system":
		return l, l.system(), nil
	}
	return l, nil, nil
}

func (l line) system() []Output {
	switch l.Subtype {
	case "init":
		return []Output{Init{SessionID: l.SessionID, Model: l.Model, Tools: l.Tools, Servers: l.Servers}}
	case "api_retry":
		return []Output{Retry{
			Attempt: l.Attempt, Max: l.MaxRetries, Status: l.ErrorStatus, Code: l.Error,
			Delay: time.Duration(l.RetryDelay) * time.Millisecond,
		}}
	case "background_tasks_changed":
		return []Output{Tasks{Running: l.Tasks}}
	}
	return nil
}

func (l line) assistant() []Output {
	if l.APIError || l.Error != "" {
		return []Output{Failed{Agent: l.AgentID, Code: l.Error, Status: l.Status, Text: l.Message.Content.text()}}
	}
	u := l.Message.Usage
	out := []Output{Used{Agent: l.AgentID, Tokens: u.Input + u.Created + u.Read}}
	for _, b := range l.Message.Content {
		switch b.Type {
		case "text":
			out = append(out, Said{Agent: l.AgentID, Text: b.Text})
		case "tool_use":
			out = append(out, ToolUse{Agent: l.AgentID, ID: b.ID, Name: b.Name, Input: b.Input})
		}
	}
	return out
}

func (l line) results() []Output {
	var out []Output
	for _, b := range l.Message.Content {
		if b.Type == "tool_result" {
			out = append(out, ToolResult{Agent: l.AgentID, ID: b.ToolUseID, Text: b.Content.text(), Error: b.IsError})
		}
	}
	return out
}
