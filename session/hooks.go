package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// A note is what we keep of an event of the CLI's hooks: what happens in a
// session whose output only a terminal shows.
type note struct {
	Event   string       `json:"hook_event_name"`
	Session string       `json:"session_id,omitempty"`
	Model   string       `json:"model,omitempty"`
	Agent   string       `json:"agent_id,omitempty"`
	Type    string       `json:"agent_type,omitempty"`
	Tool    string       `json:"tool_name,omitempty"`
	ToolUse string       `json:"tool_use_id,omitempty"`
	Error   string       `json:"error,omitempty"`
	Text    string       `json:"last_assistant_message,omitempty"`
	Tasks   []background `json:"background_tasks,omitempty"`
}

// background is work that goes on after the turn has ended.
type background struct {
	ID          string `json:"id"`
	Type        string `json:"agent_type"`
	Description string `json:"description"`
}

// noted are the events that we ask for.
var noted = []string{"SessionStart", "UserPromptSubmit", "PostToolUse", "SubagentStart", "SubagentStop", "Stop", "StopFailure"}

const (
	maxHook = 8 << 20 // bytes of an event: the result of a tool is in it
	maxText = 2000    // bytes of the model's words that are kept
)

// Note appends what a supervisor wants to know of the event at in to the file
// at path. It is the whole job of the program that the hooks of a session in
// channels mode run, see [Terminal].
func Note(path string, in io.Reader) error {
	var n note
	err := json.NewDecoder(io.LimitReader(in, maxHook)).Decode(&n)
	var other *json.UnmarshalTypeError // a field that means something else in an event that we do not read
	if err != nil && !errors.As(err, &other) {
		return fmt.Errorf("read event of the session: %w", err)
	}
	if len(n.Text) > maxText {
		n.Text = strings.ToValidUTF8(n.Text[:maxText], "") + "…"
	}
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(text, '\n')) // one write: two events at once do not mix
	return errors.Join(err, file.Close())
}

// hookSettings returns the settings of the file base ("" is none) with hooks
// that run observer for every event in noted.
func hookSettings(base string, observer []string) ([]byte, error) {
	settings, err := readObject(base)
	if err != nil {
		return nil, err
	}
	hooks := object(settings["hooks"])
	ours := map[string]any{"hooks": []any{map[string]any{"type": "command", "command": shell(observer), "timeout": 10}}}
	for _, event := range noted {
		there, _ := hooks[event].([]any)
		hooks[event] = append(there, ours)
	}
	settings["hooks"] = hooks
	return json.MarshalIndent(settings, "", "  ")
}

// shell quotes argv for the shell that runs hooks.
func shell(argv []string) string {
	var quoted []string
	for _, a := range argv {
		quoted = append(quoted, "'"+strings.ReplaceAll(a, "'", `'\''`)+"'")
	}
	return strings.Join(quoted, " ")
}

// A reader of notes turns them into what stream mode would have said.
type noteReader struct {
	model   string
	started bool // the CLI is past its first dialogs
	prompts int  // messages that it took
	busy    bool
	agents  []Task // at work
}

func (r *noteReader) read(line string) []Output {
	var n note
	if json.Unmarshal([]byte(line), &n) != nil {
		return nil
	}
	switch n.Event {
	case "SessionStart":
		r.started, r.model = true, n.Model
	case "UserPromptSubmit":
		r.prompts++
		r.busy = true
		return []Output{Init{SessionID: n.Session, Model: r.model}}
	case "PostToolUse":
		return []Output{ToolUse{Agent: n.Agent, ID: n.ToolUse, Name: n.Tool}}
	case "SubagentStart":
		return r.running(append(r.without(n.Agent), Task{ID: n.Agent, Agent: n.Type}))
	case "SubagentStop":
		return r.running(r.without(n.Agent))
	case "Stop":
		return r.stop(n)
	case "StopFailure":
		if n.Agent != "" { // of a sub-agent; the session goes on
			return append([]Output{Failed{Agent: n.Agent, Code: n.Error, Text: n.Text}}, r.running(r.without(n.Agent))...)
		}
		r.busy = false
		return []Output{Failed{Code: n.Error, Text: n.Text}, TurnEnd{Failed: true, Text: n.Text}}
	}
	return nil
}

// stop ends a turn. The CLI lists what goes on in the background, which is
// better than our own count.
func (r *noteReader) stop(n note) []Output {
	r.busy = false
	running := []Task{}
	for _, b := range n.Tasks {
		running = append(running, Task{ID: b.ID, Agent: b.Type, Description: b.Description})
	}
	out := r.running(running)
	if n.Text != "" {
		out = append(out, Said{Text: n.Text})
	}
	return append(out, TurnEnd{Text: n.Text})
}

func (r *noteReader) running(all []Task) []Output {
	r.agents = all
	return []Output{Tasks{Running: all}}
}

func (r *noteReader) without(id string) []Task {
	rest := []Task{}
	for _, a := range r.agents {
		if a.ID != id {
			rest = append(rest, a)
		}
	}
	return rest
}
