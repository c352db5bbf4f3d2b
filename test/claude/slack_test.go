package claude_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"watchkeeper/channels/slack/fakeslack"
	"watchkeeper/runbook"
	"watchkeeper/test/messages"
)

// A phone is what the person on call has at hand.
type phone struct {
	*house
	slack *fakeslack.Server
	model *messages.Script
}

// call starts a house that can reach a phone.
func call(t *testing.T, prepare func(*house), rules ...messages.Rule) phone {
	t.Helper()
	slack, config, tokens := withSlack(t)
	script, api := model(t, rules...)
	return phone{newHouse(t, api, config, tokens, prepare), slack, script}
}

// press presses a button, and fails the test if the app does not respond.
func (p phone) press(user string, m fakeslack.Message, action string) {
	p.t.Helper()
	if err := p.slack.Press(user, m.Channel, m.TS, action); err != nil {
		p.t.Fatal(err)
	}
}

// message returns a message as people see it now.
func (p phone) message(ts string) fakeslack.Message {
	p.t.Helper()
	for _, m := range p.slack.Seen(p.slack.DM(onCall)) {
		if m.TS == ts {
			return m
		}
	}
	p.t.Fatalf("no message %s", ts)
	return fakeslack.Message{}
}

// asked waits for the request that rule answered.
func (p phone) asked(rule string) messages.Request {
	p.t.Helper()
	r, err := p.model.AwaitRule(within(p.t), rule)
	if err != nil {
		p.t.Fatalf("%v\n%s", err, p.log)
	}
	return r
}

func asIs(*house) {}

func reply(tool string, input map[string]any) []messages.Block {
	return []messages.Block{messages.Call(tool, input)}
}

func TestSlackQuestionInAThreadIsAnsweredThere(t *testing.T) {
	const question = "What changed in the last deploy?"
	thought := make(chan struct{})
	p := call(t, asIs,
		messages.Rule{
			Name: "escalate", When: messages.Match{Agent: messages.Main, Text: event(crashLoop)},
			Reply: reply("mcp__slack__escalate", map[string]any{"delivery": "${d}", "severity": "critical", "title": "cart crashes since its release"}),
		},
		messages.Rule{
			Name: "question", When: messages.Match{Agent: messages.Main, Text: `<channel source="slack" event="message"[^>]* thread="(?P<t>[\d.]+)"[^>]*>\n` + strings.ReplaceAll(question, "?", `\?`)},
			Hold: thought, Reply: reply("mcp__slack__reply", map[string]any{"thread": "${t}", "text": "**Only the image**: `1.4.2` became `1.5.0`."}),
		},
		messages.Rule{Name: "answered", When: messages.Match{Agent: messages.Main, ResultOf: "mcp__slack__reply"}},
	)
	p.post(payload(t))
	card := sees(t, p.house, p.slack, "cart crashes since its release")
	asked := p.slack.Reply(onCall, card.TS, question)

	r := p.asked("question")
	for _, want := range []string{`<channel source="slack" event="message" delivery="d`, `user="` + onCall + `"`, `thread="` + card.TS + `"`, `escalation="1"`, ">\n" + question + "\n</channel>"} {
		if !strings.Contains(r.LastText(), want) {
			t.Errorf("the model read %q, want %q in it", r.LastText(), want)
		}
	}
	p.poll("status", func() bool { return p.slack.Status(card.Channel, card.TS) != "" })
	close(thought)
	answer := sees(t, p.house, p.slack, "Only the image")
	if answer.Thread != card.TS || answer.TS <= asked || answer.Text != "*Only the image*: `1.4.2` became `1.5.0`." {
		t.Errorf("answer = %+v, want it under %s, in Slack's markup", answer, card.TS)
	}
	p.poll("end of the status", func() bool { return p.slack.Status(card.Channel, card.TS) == "" })
	p.asked("answered")
	p.poll("acknowledged card", func() bool { return strings.Contains(p.message(card.TS).Blocks, "Acknowledged") })
	if n := p.model.Count("question"); n != 1 {
		t.Errorf("the model read the question %d times, want once", n)
	}
	checkResults(t, p.model)
	p.checkNoToken()
}

func TestSlackPermissionWaitsForTheButton(t *testing.T) {
	tests := []struct {
		name, button, outcome string
		runs                  bool
	}{
		{"approved", "approval_allow", "Approved", true},
		{"denied", "approval_deny", "Denied", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := call(t, askFirst,
				messages.Rule{
					Name: "verdict", When: messages.Match{Agent: messages.Main, Text: event(crashLoop)},
					Reply: reply("mcp__sre-tools__log_verdict", verdict("noise", false)),
				},
				messages.Rule{Name: "after", When: messages.Match{Agent: messages.Main, ResultOf: "mcp__sre-tools__log_verdict"}},
			)
			p.slack.AddUser(fakeslack.User{ID: "U0EVE", Name: "eve"})
			p.post(payload(t))
			card := sees(t, p.house, p.slack, "Permission asked: mcp__sre-tools__log_verdict")
			for _, want := range []string{"cart exits 1 since the release", "kube_problems: cart in CrashLoopBackOff"} {
				if !strings.Contains(card.Blocks, want) {
					t.Errorf("card = %s, want the whole input, with %q", card.Blocks, want)
				}
			}
			p.press("U0EVE", card, tt.button) // nobody else decides
			p.poll("refusal", func() bool { return len(p.slack.Seen(card.Channel)) == 2 })
			if o := p.history()[0]; o.Verdict != "" || p.model.Count("after") != 0 {
				t.Errorf("occurrence = %+v before the button, want the tool to wait", o)
			}

			p.press(onCall, card, tt.button)
			result := p.asked("after").Results()[0]
			p.poll("outcome", func() bool { return strings.Contains(p.message(card.TS).Blocks, tt.outcome) })
			if got := p.history()[0].Verdict; (got == "noise") != tt.runs {
				t.Errorf("verdict = %q, want the tool to run: %t", got, tt.runs)
			}
			if result.Error == tt.runs || !tt.runs && !strings.Contains(result.Text, "The person on call said no") {
				t.Errorf("the model was told %+v", result)
			}
			if strings.Contains(p.message(card.TS).Blocks, "approval_") {
				t.Errorf("the card still has buttons: %s", p.message(card.TS).Blocks)
			}
			p.checkNoToken()
		})
	}
}

func TestSlackPermissionIsAnsweredInWordsToo(t *testing.T) {
	p := call(t, askFirst,
		messages.Rule{
			Name: "verdict", When: messages.Match{Agent: messages.Main, Text: event(crashLoop)},
			Reply: reply("mcp__sre-tools__log_verdict", verdict("noise", false)),
		},
		messages.Rule{Name: "after", When: messages.Match{Agent: messages.Main, ResultOf: "mcp__sre-tools__log_verdict"}},
		messages.Rule{Name: "said", When: messages.Match{Agent: messages.Main, Text: `source="slack"`}},
	)
	p.post(payload(t))
	sees(t, p.house, p.slack, "Permission asked: mcp__sre-tools__log_verdict")
	var q runbook.Approval
	p.poll("question", func() (ok bool) {
		var err error
		q, err = p.memory().Approval(t.Context(), 1)
		return err == nil
	})
	p.slack.Say(onCall, "yes "+q.Code)
	if result := p.asked("after").Results()[0]; result.Error {
		t.Errorf("the model was told %+v, want the result of the tool", result)
	}
	p.slack.Say(onCall, "thanks")
	if r := p.asked("said"); strings.Contains(r.Conversation(), "yes "+q.Code) {
		t.Errorf("the typed answer reached the model: %s", r.LastText())
	}
}

// askFirst makes the tools of sre-tools need a person's permission.
func askFirst(h *house) {
	h.t.Helper()
	path := filepath.Join(h.dir, ".claude", "settings.json")
	text, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	without := strings.Replace(string(text), ",\n      \"mcp__sre-tools\"", "", 1)
	if without == string(text) {
		h.t.Fatalf("settings = %s, want the tools of sre-tools allowed", text)
	}
	if err := os.WriteFile(path, []byte(without), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// checkNoToken looks for the tokens of Slack wherever the house leaves anything:
// the memory and the state directory, the transcript and the CLI's own files,
// what the model was sent, what was logged and said, and the session's
// environment.
func (p phone) checkNoToken() {
	p.t.Helper()
	tokens := []string{p.slack.BotToken(), p.slack.AppToken(), "ticket-"}
	look := func(place string, content []byte) {
		for _, token := range tokens {
			if bytes.Contains(content, []byte(token)) {
				p.t.Errorf("%s holds %s", place, token)
			}
		}
	}
	files := 0
	for _, dir := range []string{p.state, p.dir, p.home()} {
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return nil //nolint:nilerr // it was there a moment ago: the house is at work
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return nil //nolint:nilerr // see above
			}
			files++
			look(path, content)
			return nil
		})
		if err != nil {
			p.t.Error(err)
		}
	}
	if files < 10 {
		p.t.Errorf("%d files were looked at, want the memory, the transcripts and more", files)
	}
	look("the log", []byte(p.log.String()))
	for i, r := range p.model.Requests() {
		look(fmt.Sprint("request ", i), r.Raw)
	}
	for _, m := range p.slack.Seen(p.slack.DM(onCall)) {
		look("message "+m.TS, []byte(m.Text+m.Blocks))
	}
	pids := p.sessions()
	if len(pids) != 1 {
		p.t.Errorf("sessions = %v, want one", pids)
	}
	for _, pid := range pids {
		environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || len(environment) == 0 {
			p.t.Errorf("environment of the session: %v", err)
		}
		look("the environment of the session", environment)
	}
}

// home is the HOME of the CLI.
func (p phone) home() string {
	for _, e := range p.env {
		if dir, ok := strings.CutPrefix(e, "HOME="); ok {
			return dir
		}
	}
	p.t.Fatal("the house has no HOME")
	return ""
}
