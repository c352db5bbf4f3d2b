package hook_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"watchkeeper/hook"
)

var noon = time.Date(2026, 4, 17, 12, 0, 0, 0, time.UTC)

func gate(t *testing.T) hook.Gate {
	t.Helper()
	return hook.Gate{Book: hook.Book{Dir: filepath.Join(t.TempDir(), "agents")}, Limits: hook.Limits{AtOnce: 3, Calls: 4, Within: 10 * time.Minute}}
}

// ask asks as the client does: fields are those that the event adds.
func ask(t *testing.T, g hook.Gate, now time.Time, event string, fields map[string]any) hook.Answer {
	t.Helper()
	all := map[string]any{"hook_event_name": event, "session_id": "5f0c-1", "cwd": "/w", "from_the_future": []int{1}}
	maps.Copy(all, fields)
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	in, err := hook.Read(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := g.Answer(in, now)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func agentFields(more map[string]any) map[string]any {
	all := map[string]any{"agent_id": "a1", "agent_type": "investigator"}
	maps.Copy(all, more)
	return all
}

func TestTheWall(t *testing.T) {
	start := func(kind string) map[string]any {
		return map[string]any{"description": "look", "prompt": "look", "subagent_type": kind}
	}
	tests := []struct {
		name  string
		agent string // kind; "" is the dispatcher
		tool  string
		input map[string]any
		want  string // substring of the reason; "" has no objection
	}{
		{"the dispatcher starts an investigator", "", "Agent", start("investigator"), ""},
		{"by the older name", "", "Task", start("verifier"), ""},
		{"the dispatcher records", "", "mcp__sre-tools__log_verdict", nil, ""},
		{"the dispatcher writes", "", "mcp__sre-tools__restart_deployment", nil, ""},
		{"the dispatcher writes through the plugin", "", "mcp__plugin_watchkeeper_sre-tools__restart_deployment", nil, ""},
		{"the dispatcher speaks", "", "mcp__slack__escalate", nil, ""},
		{"the dispatcher finds tools", "", "ToolSearch", nil, ""},
		{"the dispatcher does not investigate", "", "mcp__sre-tools__kube_logs", nil, "start an investigator"},
		{"no shell", "", "Bash", map[string]any{"command": "id"}, "not a tool of the dispatcher"},
		{"no files", "", "Read", nil, "not a tool of the dispatcher"},
		{"no web", "", "WebFetch", nil, "not a tool of the dispatcher"},
		{"no tool that nobody knows yet", "", "FromTheFuture", nil, "not a tool of the dispatcher"},
		{"no server of others", "", "mcp__github__push", nil, "not a tool of the dispatcher"},
		{"no tool of others under our name", "", "mcp__sre-tools__kubectl", nil, "not a tool of the dispatcher"},
		{"no plugin of others under our name", "", "mcp__plugin_evil_sre-tools__restart_deployment", nil, "not a tool of the dispatcher"},
		{"no agent with every tool", "", "Agent", start("general-purpose"), "none of investigator, verifier, scribe"},
		{"no agent without a kind", "", "Agent", start(""), "none of investigator"},
		{"no agent elsewhere", "", "Agent", map[string]any{"subagent_type": "investigator", "isolation": "remote"}, "without isolation"},
		{"an investigator reads", "investigator", "mcp__sre-tools__first_look", nil, ""},
		{"a verifier reads", "verifier", "mcp__sre-tools__kube_get", nil, ""},
		{"an investigator does not restart", "investigator", "mcp__sre-tools__restart_deployment", nil, "you only read"},
		{"an investigator does not delete", "investigator", "mcp__sre-tools__delete_stuck_pod", nil, "you only read"},
		{"an investigator does not escalate", "investigator", "mcp__slack__escalate", nil, "you only read"},
		{"an investigator does not decide", "investigator", "mcp__sre-tools__log_verdict", nil, "you only read"},
		{"an investigator starts nobody", "investigator", "Agent", start("investigator"), "you only read"},
		{"another agent may nothing", "general-purpose", "mcp__sre-tools__kube_get", nil, "no agent of this runbook"},
		{"a fork may nothing", "fork", "mcp__slack__escalate", nil, "no agent of this runbook"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fields := map[string]any{"tool_name": tt.tool, "tool_input": tt.input}
			if tt.agent != "" {
				fields["agent_id"], fields["agent_type"] = "a1", tt.agent
			}
			got := ask(t, gate(t), noon, "PreToolUse", fields).Reason
			if !strings.Contains(got, tt.want) || (tt.want == "") != (got == "") {
				t.Errorf("%s by %q: %q, want %q", tt.tool, tt.agent, got, tt.want)
			}
		})
	}
}

func TestASubAgentWithoutAKindMayNothing(t *testing.T) {
	fields := map[string]any{"agent_id": "a1", "tool_name": "mcp__sre-tools__restart_deployment"}
	if got := ask(t, gate(t), noon, "PreToolUse", fields).Reason; !strings.Contains(got, "no agent of this runbook") {
		t.Errorf("reason = %q, want a no", got)
	}
}

func TestReadRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for _, text := range []string{"", "no", `{"hook_event_name":"PreToolUse","tool_name":"Bash"}`, `{"session_id":7}`, `[]`} {
		if in, err := hook.Read(strings.NewReader(text)); err == nil {
			t.Errorf("Read(%q) = %+v, want an error", text, in)
		}
	}
	if a, err := gate(t).Answer(hook.Input{Event: "Renamed", Session: "s"}, noon); err == nil || a.Reason == "" {
		t.Errorf("Answer to an unknown event = %+v, %v, want a no", a, err)
	}
}

func TestCallsAreBounded(t *testing.T) {
	g := gate(t)
	call := agentFields(map[string]any{"tool_name": "mcp__sre-tools__kube_get"})
	for i := range 4 {
		if a := ask(t, g, noon, "PreToolUse", call); a.Reason != "" {
			t.Fatalf("call %d: %q, want it allowed", i+1, a.Reason)
		}
	}
	for i := range 5 {
		if a := ask(t, g, noon, "PreToolUse", call); a.End || !strings.Contains(a.Reason, "your 4 calls are used up") || !strings.Contains(a.Reason, "GAPS") {
			t.Fatalf("call %d beyond the limit: %+v, want it refused", i+1, a)
		}
	}
	if a := ask(t, g, noon, "PreToolUse", call); !a.End {
		t.Errorf("the sixth call in vain: %+v, want the sub-agent ended", a)
	}
	other := map[string]any{"agent_id": "a2", "agent_type": "investigator", "tool_name": "mcp__sre-tools__kube_get"}
	if a := ask(t, g, noon, "PreToolUse", other); a.Reason != "" {
		t.Errorf("another sub-agent: %+v, want its own count", a)
	}
}

func TestTimeIsBounded(t *testing.T) {
	g := gate(t)
	ask(t, g, noon, "SubagentStart", agentFields(nil))
	call := agentFields(map[string]any{"tool_name": "mcp__sre-tools__kube_get"})
	if a := ask(t, g, noon.Add(10*time.Minute), "PreToolUse", call); a.Reason != "" {
		t.Errorf("within the time: %+v", a)
	}
	if a := ask(t, g, noon.Add(10*time.Minute+time.Second), "PreToolUse", call); !strings.Contains(a.Reason, "your 10m0s are over") {
		t.Errorf("after the time: %+v, want it refused", a)
	}
}

func TestSubAgentsAtOnceAreBounded(t *testing.T) {
	g := gate(t)
	start := map[string]any{"tool_name": "Agent", "tool_input": map[string]any{"subagent_type": "investigator"}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	allowed := 0
	for range 8 { // the calls of one turn ask at the same time
		wg.Go(func() {
			if a := ask(t, g, noon, "PreToolUse", start); a.Reason == "" {
				mu.Lock()
				allowed++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if allowed != 3 {
		t.Fatalf("%d of 8 sub-agents may start at once, want 3", allowed)
	}
	for i := range 3 {
		ask(t, g, noon, "SubagentStart", map[string]any{"agent_id": fmt.Sprint("a", i), "agent_type": "investigator"})
	}
	if a := ask(t, g, noon.Add(2*time.Minute), "PreToolUse", start); !strings.Contains(a.Reason, "3 sub-agents are at work") {
		t.Errorf("a fourth: %+v, want it refused", a)
	}
	ask(t, g, noon.Add(2*time.Minute), "SubagentStop", map[string]any{"agent_id": "a1", "agent_type": "investigator", "last_assistant_message": good})
	if a := ask(t, g, noon.Add(2*time.Minute), "PreToolUse", start); a.Reason != "" {
		t.Errorf("after one has stopped: %+v, want it allowed", a)
	}
	ask(t, g, noon.Add(2*time.Minute), "StopFailure", map[string]any{"error": "server_error"}) // of the session itself
	if a := ask(t, g, noon.Add(2*time.Minute), "PreToolUse", start); a.Reason == "" {
		t.Error("one more than may run was allowed")
	}
	ask(t, g, noon.Add(2*time.Minute), "StopFailure", map[string]any{"agent_id": "a2", "agent_type": "investigator", "error": "server_error"})
	if a := ask(t, g, noon.Add(2*time.Minute), "PreToolUse", start); a.Reason != "" {
		t.Errorf("after the API has failed one: %+v, want it allowed", a)
	}
	if a := ask(t, g, noon.Add(time.Hour), "PreToolUse", start); a.Reason != "" {
		t.Errorf("an hour after the others went without a word: %+v, want it allowed", a)
	}
}

const good = "VERDICT: noise\nDELIVERY: d1\nEVIDENCE:\n- 3 of 3 ready (kube_problems)\nGAPS:\n- none\n"

func TestAReportIsSentBackTwiceAtMost(t *testing.T) {
	g := gate(t)
	bad := agentFields(map[string]any{"last_assistant_message": "All is fine."})
	for i := range 2 {
		a := ask(t, g, noon, "SubagentStop", bad)
		if !strings.Contains(a.Reason, "no line VERDICT") || !strings.Contains(a.Reason, "EVIDENCE is empty") || !strings.Contains(a.Reason, "GAPS is empty") {
			t.Fatalf("stop %d: %q, want all that is missing", i+1, a.Reason)
		}
	}
	if a := ask(t, g, noon, "SubagentStop", bad); a.Reason != "" {
		t.Errorf("third stop: %+v, want it let go", a)
	}
	if a := ask(t, gate(t), noon, "SubagentStop", agentFields(map[string]any{"last_assistant_message": good})); a.Reason != "" {
		t.Errorf("a good report: %+v", a)
	}
	if a := ask(t, gate(t), noon, "SubagentStop", map[string]any{"agent_id": "a1", "agent_type": "Explore"}); a.Reason != "" {
		t.Errorf("an agent of others: %+v", a)
	}
}

func TestAPartialReportMustSayThatItIsOne(t *testing.T) {
	g := gate(t)
	for range 5 {
		ask(t, g, noon, "PreToolUse", agentFields(map[string]any{"tool_name": "mcp__sre-tools__kube_get"}))
	}
	if a := ask(t, g, noon, "SubagentStop", agentFields(map[string]any{"last_assistant_message": good})); !strings.Contains(a.Reason, "GAPS says none") {
		t.Errorf("no gaps after the limit: %+v, want it sent back", a)
	}
	partial := strings.Replace(good, "- none", "- traces: no call was left", 1)
	if a := ask(t, g, noon, "SubagentStop", agentFields(map[string]any{"last_assistant_message": partial})); a.Reason != "" {
		t.Errorf("an honest partial report: %+v", a)
	}
}

func TestWithoutABookTheWallStandsAndNobodyIsHeldUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g := hook.Gate{Book: hook.Book{Dir: file}, Limits: hook.Limits{AtOnce: 1, Calls: 1, Within: time.Minute}}
	in := hook.Input{Event: "PreToolUse", Session: "s", AgentID: "a", AgentType: "investigator", Tool: "mcp__sre-tools__kube_get"}
	for range 3 {
		if a, err := g.Answer(in, noon); err == nil || a.Reason != "" {
			t.Errorf("a reading call: %+v, %v, want it allowed with an error for the log", a, err)
		}
	}
	in.Tool = "Bash"
	if a, _ := g.Answer(in, noon); a.Reason == "" {
		t.Error("Bash was allowed")
	}
	stop := hook.Input{Event: "SubagentStop", Session: "s", AgentID: "a", AgentType: "investigator", Report: "fine", Again: true}
	if a, _ := g.Answer(stop, noon); a.Reason != "" {
		t.Errorf("a report that was sent back already: %+v, want it let go", a)
	}
}

func TestAnswersAreWhatTheClientReads(t *testing.T) {
	for _, tt := range []struct {
		event string
		a     hook.Answer
		want  string
	}{
		{"PreToolUse", hook.Answer{}, ""},
		{"PreToolUse", hook.Answer{Reason: "no"}, `{"hookSpecificOutput":{"hookEventName":"PreToolUse","permissionDecision":"deny","permissionDecisionReason":"no"}}`},
		{"PreToolUse", hook.Answer{Reason: "no", End: true}, `{"continue":false,"hookSpecificOutput":{"hookEventName":"PreToolUse","permissionDecision":"deny","permissionDecisionReason":"no"},"stopReason":"no"}`},
		{"SubagentStop", hook.Answer{Reason: "no"}, `{"decision":"block","reason":"no"}`},
	} {
		if got, err := tt.a.JSON(tt.event); err != nil || string(got) != tt.want {
			t.Errorf("%+v.JSON(%s) = %s, %v, want %s", tt.a, tt.event, got, err, tt.want)
		}
	}
}
