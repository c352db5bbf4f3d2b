package messages_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/test/messages"
)

// serve starts a script of rules on loopback.
func serve(t *testing.T, rules ...messages.Rule) (*messages.Script, string) {
	t.Helper()
	s, err := messages.New(rules...)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv.URL
}

func post(t *testing.T, url, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

const (
	channelTurn = `{"model":"m","system":[{"type":"text","text":"You dispatch."}],"messages":[
		{"role":"user","content":[{"type":"text","text":"<channel source=\"webhook\" delivery=\"d42\">\nx\n</channel>"}]},
		{"role":"system","content":"Environment"}],
		"tools":[{"name":"Agent"},{"name":"Read"}]}`
	resultTurn = `{"model":"m","messages":[
		{"role":"user","content":"go"},
		{"role":"assistant","content":[{"type":"tool_use","id":"t1","name":"mcp__sre-tools__log_verdict","input":{}}]},
		{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"text","text":"stored d42"}]}]}]}`
	reportedTurn = `{"model":"m","messages":[{"role":"user","content":"go"},
		{"role":"system","content":"[SYSTEM NOTIFICATION]\n<task-notification>\nfound it\n</task-notification>"}]}`
	meanwhileTurn = `{"model":"m","messages":[{"role":"user","content":"go"},
		{"role":"system","content":"The user sent a new message while you were working:\nmore"}]}`
)

func TestRules(t *testing.T) {
	say := func(name string, m messages.Match) messages.Rule {
		return messages.Rule{Name: name, When: m, Reply: []messages.Block{messages.Text(name)}}
	}
	tests := []struct {
		name   string
		match  messages.Match
		body   string
		header []string
		want   bool
	}{
		{"the zero match takes everything", messages.Match{}, channelTurn, nil, true},
		{"text is found in the last turn", messages.Match{Text: `<channel .*delivery="d42"`}, channelTurn, nil, true},
		{"text of an earlier turn is not", messages.Match{Text: "go"}, resultTurn, nil, false},
		{"anywhere looks at every turn", messages.Match{Anywhere: "go"}, resultTurn, nil, true},
		{"a system prompt is matched", messages.Match{System: "dispatch"}, channelTurn, nil, true},
		{"a system message is matched as system", messages.Match{System: "Environment"}, channelTurn, nil, true},
		{"a system message is no user text", messages.Match{Text: "Environment"}, channelTurn, nil, false},
		{"what the user said meanwhile is user text", messages.Match{Text: "more"}, meanwhileTurn, nil, true},
		{"the report of a sub-agent meanwhile is user text", messages.Match{Text: "found it"}, reportedTurn, nil, true},
		{"a result is matched by its text", messages.Match{Result: "stored"}, resultTurn, nil, true},
		{"a result is matched by its tool", messages.Match{ResultOf: "mcp__sre-tools__log_verdict"}, resultTurn, nil, true},
		{"a result of another tool is not", messages.Match{ResultOf: "Agent"}, resultTurn, nil, false},
		{"no result is asked for and there is one", messages.Match{NoResult: true}, resultTurn, nil, false},
		{"a tool must be offered", messages.Match{Tool: "Bash"}, channelTurn, nil, false},
		{"a sub-agent is told by its header", messages.Match{Agent: messages.Sub}, channelTurn, []string{"x-claude-code-agent-id", "a1"}, true},
		{"the session is no sub-agent", messages.Match{Agent: messages.Sub}, channelTurn, nil, false},
		{"a sub-agent is not the session", messages.Match{Agent: messages.Main}, channelTurn, []string{"x-claude-code-agent-id", "a1"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, url := serve(t, say("rule", tt.match))
			post(t, url+"/v1/messages?beta=true", tt.body, tt.header...)
			if got := s.Count("rule") == 1; got != tt.want {
				t.Errorf("rule used = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestReplyIsMadeOfTheRequest(t *testing.T) {
	_, url := serve(t, messages.Rule{Do: func(r messages.Request) []messages.Block {
		return []messages.Block{messages.Text(strings.ToUpper(r.Results()[0].Text))}
	}})
	if _, body := post(t, url+"/v1/messages", resultTurn); !strings.Contains(body, `"STORED D42"`) {
		t.Errorf("the answer is %s, want one made of the result", body)
	}
}

func TestReplyUsesWhatTheRuleCaught(t *testing.T) {
	_, url := serve(t, messages.Rule{
		When: messages.Match{Text: `delivery="(?P<delivery>d\d+)"`},
		Reply: []messages.Block{
			messages.Text("looking at ${delivery}"),
			messages.Call("Agent", map[string]any{"prompt": "brief of ${delivery}", "list": []any{"${delivery}", 1}}),
		},
	})
	_, text := post(t, url+"/v1/messages", channelTurn)
	var got struct {
		Content []struct {
			Type, Text, Name string
			Input            map[string]any
		}
		StopReason string `json:"stop_reason"`
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	if got.StopReason != "tool_use" || got.Content[0].Text != "looking at d42" {
		t.Errorf("reply = %s", text)
	}
	want := map[string]any{"prompt": "brief of d42", "list": []any{"d42", 1.0}}
	if diff := cmp.Diff(want, got.Content[1].Input); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
}

func TestStreamHasTheEventsOfTheAPI(t *testing.T) {
	_, url := serve(t, messages.Rule{Reply: []messages.Block{messages.Text("hi"), messages.Call("Read", map[string]any{"a": 1})}})
	_, text := post(t, url+"/v1/messages", strings.Replace(channelTurn, `{"model"`, `{"stream":true,"model"`, 1))
	var got []string
	for sc := bufio.NewScanner(strings.NewReader(text)); sc.Scan(); {
		if name, ok := strings.CutPrefix(sc.Text(), "event: "); ok {
			got = append(got, name)
		}
	}
	block := []string{"content_block_start", "content_block_delta", "content_block_stop"}
	want := append(append(append([]string{"message_start"}, block...), block...), "message_delta", "message_stop")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if !strings.Contains(text, `"partial_json":"{\"a\":1}"`) {
		t.Errorf("no input in\n%s", text)
	}
}

func TestFailureHasStatusTypeAndHeaders(t *testing.T) {
	_, url := serve(t, messages.Rule{Times: 1, Fail: &messages.Failure{Status: 429, Type: "rate_limit_error", Header: map[string]string{"Retry-After": "7"}}})
	status, text := post(t, url+"/v1/messages", channelTurn)
	if status != 429 || !strings.Contains(text, "rate_limit_error") {
		t.Errorf("first answer = %d %s, want the failure", status, text)
	}
	if status, _ = post(t, url+"/v1/messages", channelTurn); status != 200 {
		t.Errorf("second answer = %d, want 200: the rule was for one request", status)
	}
}

func TestOtherPaths(t *testing.T) {
	_, url := serve(t)
	if status, text := post(t, url+"/v1/messages/count_tokens", channelTurn); status != 200 || !strings.Contains(text, "input_tokens") {
		t.Errorf("count_tokens = %d %s", status, text)
	}
	if status, _ := post(t, url+"/v1/models", "{}"); status != 404 {
		t.Errorf("other path = %d, want 404", status)
	}
	if status, _ := post(t, url+"/v1/messages", "not json"); status != 400 {
		t.Errorf("bad body = %d, want 400", status)
	}
}

func TestHeldRuleWaitsAndIsSeenBefore(t *testing.T) {
	hold := make(chan struct{})
	s, url := serve(t, messages.Rule{Name: "held", Hold: hold, Reply: []messages.Block{messages.Text("at last")}})
	done := make(chan string)
	go func() {
		_, text := post(t, url+"/v1/messages", channelTurn)
		done <- text
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := s.AwaitRule(ctx, "held")
	if err != nil {
		t.Fatal(err)
	}
	if r.Model() != "m" || r.Tokens() == 0 || !r.Offers("Agent") {
		t.Errorf("request = model %q, %d tokens, tools %q", r.Model(), r.Tokens(), r.Tools())
	}
	close(hold)
	if text := <-done; !strings.Contains(text, "at last") {
		t.Errorf("reply = %s", text)
	}
}

func TestAwaitSaysWhatCameInstead(t *testing.T) {
	s, url := serve(t, messages.Rule{Name: "other"})
	post(t, url+"/v1/messages", channelTurn)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.AwaitRule(ctx, "missing")
	if err == nil || !strings.Contains(err.Error(), `1 requests, rules "other"`) {
		t.Errorf("error = %v, want one that lists the rules used", err)
	}
}

func TestBadPatternIsNamed(t *testing.T) {
	_, err := messages.New(messages.Rule{Name: "broken", When: messages.Match{Text: "("}})
	if err == nil || !strings.Contains(err.Error(), `rule "broken"`) {
		t.Errorf("error = %v, want one that names the rule", err)
	}
}

func TestConversationIsReadCallByCall(t *testing.T) {
	s, url := serve(t)
	post(t, url+"/v1/messages", resultTurn)
	r := s.Requests()[0]
	uses := r.Uses()
	if len(uses) != 1 || uses[0].Tool != "mcp__sre-tools__log_verdict" || uses[0].Result == nil || uses[0].Result.Text != "stored d42" {
		t.Errorf("Uses() = %+v, want log_verdict with its result", uses)
	}
	if heard := r.Heard(); len(heard) != 1 || heard[0] != "go" {
		t.Errorf("Heard() = %q, want what the user said", heard)
	}
	post(t, url+"/v1/messages", channelTurn)
	if heard := s.Requests()[1].Heard(); len(heard) != 1 || !strings.Contains(heard[0], "d42") {
		t.Errorf("Heard() = %q, want the event and no system message", heard)
	}
}
