package hook

import "encoding/json"

// An Answer is what the client is told. The zero Answer has no objection, and
// leaves the rest to the permissions.
type Answer struct {
	Reason string // why not, for the model; "" has no objection
	End    bool   // the sub-agent is ended, because it does not hear
}

// JSON returns the answer to event as the client reads it from standard
// output; nil if there is nothing to say.
func (a Answer) JSON(event string) ([]byte, error) {
	if a.Reason == "" {
		return nil, nil
	}
	if event == subagentStop {
		return json.Marshal(map[string]string{"decision": "block", "reason": a.Reason})
	}
	said := map[string]any{"hookSpecificOutput": map[string]string{
		"hookEventName": event, "permissionDecision": "deny", "permissionDecisionReason": a.Reason,
	}}
	if a.End {
		said["continue"], said["stopReason"] = false, a.Reason
	}
	return json.Marshal(said)
}
