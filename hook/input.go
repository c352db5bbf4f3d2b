package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxInput bounds what the client may tell: a tool's input holds a brief, and a
// report stands in it whole.
const maxInput = 16 << 20

// The events that are answered.
const (
	preToolUse    = "PreToolUse"
	subagentStart = "SubagentStart"
	subagentStop  = "SubagentStop"
	stopFailure   = "StopFailure" // an error of the API ended a turn, and with it a sub-agent
)

// An Input is what the client tells. Fields that it adds with later versions
// are ignored.
type Input struct {
	Event     string          `json:"hook_event_name"`
	Session   string          `json:"session_id"` // the client's own identifier
	AgentID   string          `json:"agent_id"`   // "" is the session itself
	AgentType string          `json:"agent_type"`
	Tool      string          `json:"tool_name"`
	ToolInput json.RawMessage `json:"tool_input"`
	Report    string          `json:"last_assistant_message"`
	Again     bool            `json:"stop_hook_active"` // a report was sent back before
}

// Read reads one Input. What cannot be understood is an error: the caller says
// no then.
func Read(r io.Reader) (Input, error) {
	var in Input
	text, err := io.ReadAll(io.LimitReader(r, maxInput+1))
	switch {
	case err != nil:
		return in, fmt.Errorf("read what the hook is asked: %w", err)
	case len(text) > maxInput:
		return in, fmt.Errorf("the hook is asked about more than %d bytes", maxInput)
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return in, fmt.Errorf("read what the hook is asked: %w; want the JSON of a Claude Code hook on standard input", err)
	}
	if in.Session == "" {
		return in, errors.New("the hook is asked without a session_id; want the JSON of a Claude Code hook on standard input")
	}
	return in, nil
}

// subAgent reports whether a sub-agent asks.
func (in Input) subAgent() bool { return in.AgentID != "" || in.AgentType != "" }

// agent is the kind of sub-agent; "" only for the session itself.
func (in Input) agent() string {
	if in.subAgent() && in.AgentType == "" {
		return "unnamed"
	}
	return in.AgentType
}
