package session

import (
	"context"
	"encoding/json"
)

// A Request is a permission that the session asks for, because its settings
// neither allow nor deny the call.
type Request struct {
	ID          string
	Tool        string // such as mcp__sre-tools__restart_deployment
	Title       string // the tool's name for people
	Description string // may be ""
	Agent       string // the sub-agent that asks, "" for the session itself
	ToolUse     string // identifier of the call
	Input       json.RawMessage
}

// A Decision answers a [Request].
type Decision struct {
	Allow   bool
	Message string          // why not; the model reads it, so it says what to do instead
	Input   json.RawMessage // of the call that is allowed; nil is the input that was asked for
}

// An Approver decides what the settings leave open. Approve may take minutes;
// its ctx ends when the session does, or no longer wants an answer. An error is
// a denial.
type Approver interface {
	Approve(ctx context.Context, r Request) (Decision, error)
}

// DenyAll is the Approver that allows nothing. The zero value is ready.
type DenyAll struct{}

// denied tells the model what to do instead of asking again.
const denied = "Not permitted in this session, and asking again will not help. Use the tools that you have; " +
	"if a person must do this, escalate it with what you found and the exact step that you recommend."

// Approve implements [Approver].
func (DenyAll) Approve(context.Context, Request) (Decision, error) {
	return Decision{Message: denied}, nil
}
