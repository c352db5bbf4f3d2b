package claude_test

import (
	"testing"

	"watchkeeper/test/messages"
)

// TestSeedEveryAgentHasItsModel shows that the model of the dispatcher and of
// each sub-agent is the operator's choice, and that a sub-agent keeps its page
// and its tools when its model is chosen.
func TestSeedEveryAgentHasItsModel(t *testing.T) {
	script, api := model(t, append([]messages.Rule{{
		Name: "both", When: messages.Match{Agent: messages.Main, Text: `event="alert"`}, Times: 1,
		Do: func(r messages.Request) []messages.Block {
			var out []messages.Block
			for _, name := range []string{"investigator", "verifier", "scribe"} {
				out = append(out, messages.Call("Agent", map[string]any{
					"subagent_type": name, "description": name, "prompt": "I ask the " + name + " about delivery " + taggedIn(r.LastText())[0]["delivery"],
				}))
			}
			return out
		},
	}}, newClerk().rules()...)...)
	h := newHouse(t, api, "", func(h *house) {
		h.set("session: {", `session: {model: claude-dispatch-1, sub_agent_model: claude-other-1, agents: {models: {investigator: claude-look-1, verifier: claude-verify-1}}, `)
	})
	h.post(body(crash))
	main, err := script.AwaitRule(within(t), "both")
	if err != nil {
		t.Fatal(err)
	}
	if main.Model() != "claude-dispatch-1" {
		t.Errorf("the dispatcher runs on %s", main.Model())
	}
	for name, want := range map[string]string{"investigator": "claude-look-1", "verifier": "claude-verify-1", "scribe": "claude-other-1"} {
		r, err := script.Await(within(t), func(r messages.Request) bool {
			return r.SubAgent() && containsAll(r.Conversation(), []string{"I ask the " + name})
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Model() != want {
			t.Errorf("the %s runs on %s, want %s", name, r.Model(), want)
		}
		if page := map[string]string{
			"investigator": "You investigate one alert", "verifier": "You are the second pair of eyes", "scribe": "You write for people",
		}[name]; !containsAll(r.System(), []string{page}) {
			t.Errorf("the %s has lost its page: %.300s", name, r.System())
		}
		if !r.Offers("mcp__sre-tools__incident_history") || r.Offers("mcp__sre-tools__restart_deployment") || r.Offers("mcp__slack__escalate") {
			t.Errorf("the %s is offered %q", name, r.Tools())
		}
	}
}
