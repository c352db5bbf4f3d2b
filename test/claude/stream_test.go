package claude_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"watchkeeper/session"
	"watchkeeper/test/messages"
)

// alert is an event as the pump writes it.
const alert = "<channel source=\"webhook\" event=\"alert\" delivery=\"d42\">\nfirst time\n</channel>"

// stream is a running session and what it says.
type stream struct {
	*session.Stream
	t   *testing.T
	out chan session.Output
}

// run starts the real CLI, and ends it with the test.
func run(t *testing.T, c session.Command, a session.Approver) *stream {
	t.Helper()
	s := &stream{t: t, out: make(chan session.Output, 1000)}
	var err error
	s.Stream, err = session.Start(c, session.Options{Approver: a, Log: logTo(t), Observe: func(o session.Output) { s.out <- o }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	return s
}

// until returns what was said up to the first output for which ok holds.
func (s *stream) until(what string, ok func(session.Output) bool) []session.Output {
	s.t.Helper()
	var all []session.Output
	for {
		o := await(s.t, what, s.out)
		all = append(all, o)
		if ok(o) {
			return all
		}
	}
}

func (s *stream) turn() []session.Output {
	s.t.Helper()
	return s.until("end of the turn", func(o session.Output) bool { _, ok := o.(session.TurnEnd); return ok })
}

func of[T session.Output](all []session.Output) []T {
	var out []T
	for _, o := range all {
		if v, ok := o.(T); ok {
			out = append(out, v)
		}
	}
	return out
}

func (s *stream) tell(text string) {
	s.t.Helper()
	if err := s.Send(s.t.Context(), text); err != nil {
		s.t.Fatal(err)
	}
}

func TestEventReachesTheModelAndASubAgent(t *testing.T) {
	script, api := model(t,
		messages.Rule{
			Name: "dispatch", When: messages.Match{Agent: messages.Main, Text: `<channel source="webhook" .*delivery="(?P<d>d\d+)"`, NoResult: true},
			Reply: []messages.Block{messages.Call("Agent", map[string]any{"description": "look", "prompt": "Look at ${d}.", "subagent_type": "investigator"})},
		},
		messages.Rule{
			Name: "history", When: messages.Match{Agent: messages.Sub, Text: `Look at (?P<d>d\d+)`, NoResult: true},
			Reply: []messages.Block{messages.Call("mcp__sre-tools__incident_history", map[string]any{"delivery": "${d}"})},
		},
		messages.Rule{
			Name: "report", When: messages.Match{Agent: messages.Sub, Result: `HISTORY of d42`},
			Reply: []messages.Block{messages.Text("REPORT: noise")},
		},
		messages.Rule{Name: "decide", When: messages.Match{Agent: messages.Main, Text: "REPORT: noise"}, Reply: []messages.Block{messages.Text("decided")}},
	)
	s := run(t, command(t, api, apiKey), nil)
	s.tell(alert)
	all := s.until("decision", func(o session.Output) bool { said, ok := o.(session.Said); return ok && said.Text == "decided" })
	tasks := of[session.Tasks](all)
	if len(tasks) < 2 || len(tasks[0].Running) != 1 || tasks[0].Running[0].Agent != "investigator" || len(tasks[len(tasks)-1].Running) != 0 {
		t.Errorf("tasks = %+v, want one investigator that comes and goes", tasks)
	}
	if results := of[session.ToolResult](all); !slices.ContainsFunc(results, func(r session.ToolResult) bool {
		return r.Agent != "" && r.Text == "HISTORY of d42" && !r.Error
	}) {
		t.Errorf("results = %+v, want the history in the sub-agent", results)
	}
	r, err := script.AwaitRule(within(t), "dispatch")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.LastText(), alert) || !strings.Contains(r.System(), "RUNBOOK") {
		t.Errorf("the model read %q", r.LastText())
	}
	for _, tool := range []string{"Bash", "Write", "Edit", "WebFetch", "WebSearch", "NotebookEdit"} {
		if r.Offers(tool) {
			t.Errorf("the session is offered %s", tool)
		}
	}
}

// chooser allows what it is told to and remembers what it was asked.
type chooser struct {
	allow bool
	asked chan session.Request
}

func (c chooser) Approve(_ context.Context, r session.Request) (session.Decision, error) {
	c.asked <- r
	return session.Decision{Allow: c.allow, Message: "ask Ada"}, nil
}

func TestPermissionIsAskedAndKept(t *testing.T) {
	tests := []struct {
		name  string
		allow bool
		want  string
	}{
		{"allowed", true, "HISTORY of d42"},
		{"denied", false, "ask Ada"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, api := model(t,
				messages.Rule{
					When:  messages.Match{Text: "restart", NoResult: true},
					Reply: []messages.Block{messages.Call("mcp__sre-tools__restart_deployment", map[string]any{"delivery": "d42"})},
				})
			asked := make(chan session.Request, 1)
			s := run(t, command(t, api, apiKey), chooser{tt.allow, asked})
			s.tell("restart it")
			results := of[session.ToolResult](s.turn())
			r := await(t, "permission request", asked)
			if r.Tool != "mcp__sre-tools__restart_deployment" || !json.Valid(r.Input) || !strings.Contains(string(r.Input), "d42") {
				t.Errorf("request = %+v", r)
			}
			if len(results) != 1 || results[0].Text != tt.want || results[0].Error == tt.allow {
				t.Errorf("results = %+v, want %q", results, tt.want)
			}
		})
	}
}

func TestMessagesOfABusySessionArriveWithTheNextResult(t *testing.T) {
	hold := make(chan struct{})
	script, api := model(t,
		messages.Rule{
			Name: "first", When: messages.Match{Text: "first", NoResult: true}, Hold: hold,
			Reply: []messages.Block{messages.Call("mcp__sre-tools__incident_history", map[string]any{"delivery": "d1"})},
		},
		messages.Rule{Name: "both", When: messages.Match{Text: "second", Result: "HISTORY"}},
	)
	s := run(t, command(t, api, apiKey), nil)
	s.tell("first")
	if _, err := script.AwaitRule(within(t), "first"); err != nil {
		t.Fatal(err)
	}
	s.tell("second")
	if _, err := s.Servers(within(t)); err != nil { // answered in order: the CLI has read the message
		t.Fatal(err)
	}
	close(hold)
	if _, err := script.AwaitRule(within(t), "both"); err != nil {
		t.Error(err)
	}
}

func TestServersAreSeenAndReconnected(t *testing.T) {
	_, api := model(t)
	s := run(t, command(t, api, apiKey), nil)
	s.tell("hello")
	s.turn()
	servers, err := s.Servers(within(t))
	if err != nil || len(servers) != 1 || servers[0] != (session.ServerStatus{Name: "sre-tools", Status: "connected"}) {
		t.Errorf("Servers() = %+v, %v", servers, err)
	}
	if err := s.Reconnect(within(t), "sre-tools"); err != nil {
		t.Error(err)
	}
	if err := s.Reconnect(within(t), "nobody"); err == nil {
		t.Error("a server that is not there was reconnected")
	}
}

func TestTurnIsInterrupted(t *testing.T) {
	hold := make(chan struct{})
	t.Cleanup(func() { close(hold) })
	script, api := model(t, messages.Rule{Name: "held", When: messages.Match{Text: "wait"}, Hold: hold})
	s := run(t, command(t, api, apiKey), nil)
	s.tell("wait")
	if _, err := script.AwaitRule(within(t), "held"); err != nil {
		t.Fatal(err)
	}
	if err := s.Interrupt(within(t)); err != nil {
		t.Fatal(err)
	}
	s.turn()
}
