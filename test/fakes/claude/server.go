package claude

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"sync"
)

// server is an MCP server that the CLI has started.
type server struct {
	name  string
	stdin io.WriteCloser

	mu      sync.Mutex
	next    int
	answers map[int]chan json.RawMessage
	ended   bool
}

// message is any message of a server.
type message struct {
	ID     *int            `json:"id"`
	Method string          `json:"method"`
	Result json.RawMessage `json:"result"`
	Params struct {
		Content  string            `json:"content"`
		Meta     map[string]string `json:"meta"`
		ID       string            `json:"request_id"`
		Behavior string            `json:"behavior"`
	} `json:"params"`
}

// start starts the server called name, and takes it as a channel if it is one;
// news is the word of the debug log for that. A server without a command is a
// channel that says nothing.
func (c *cli) start(name, news string) error {
	e := c.config[name]
	c.log(name, "Starting connection with timeout of 30000ms")
	defer c.log(name, "Successfully connected (transport: stdio) in 1ms")
	if e.Command == "" {
		c.register(name, news, true)
		return nil
	}
	cmd := exec.CommandContext(c.ctx, os.ExpandEnv(e.Command), e.Args...)
	cmd.Env = os.Environ()
	for k, v := range e.Env {
		cmd.Env = append(cmd.Env, k+"="+os.ExpandEnv(v))
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	s := &server{name: name, stdin: stdin, answers: map[int]chan json.RawMessage{}}
	c.servers[name] = s
	go func() {
		c.listen(s, stdout)
		_ = cmd.Wait() // how it ended is nobody's business
	}()
	var hello struct {
		Capabilities struct {
			Experimental map[string]any `json:"experimental"`
		} `json:"capabilities"`
	}
	err = s.call("initialize", map[string]any{
		"protocolVersion": "2025-11-25", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "claude", "version": "0"},
	}, &hello)
	if err != nil {
		return err
	}
	s.send(map[string]any{"jsonrpc": "2.0", "method": "notifications/initialized"})
	c.register(name, news, hello.Capabilities.Experimental["claude/channel"] != nil)
	return nil
}

// register takes a server as a channel, or says why not.
func (c *cli) register(name, news string, declared bool) {
	// What a server says itself stands in the log too, and may be anything.
	add(c.debug, fmt.Sprintf("2026-01-02T03:04:05.000Z [ERROR] \"MCP server \\\"%[1]s\\\" Server stderr: MCP server \"%[1]s\": Channel notifications registered\"\n", name))
	if !slices.Contains(c.channels, name) {
		return
	}
	switch {
	case !declared:
		c.log(name, "Channel notifications skipped: server did not declare claude/channel capability")
	case c.set("gate") == "closed":
		c.log(name, "Channel notifications skipped: channels feature is not currently available")
	default:
		c.log(name, "Channel notifications "+news)
	}
}

// listen reads what the server says, until it ends.
func (c *cli) listen(s *server, stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var m message
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			continue
		}
		switch {
		case m.Method == "notifications/claude/channel":
			c.work <- func() { c.event(s.name, m.Params.Content, m.Params.Meta) }
		case m.Method == "notifications/claude/channel/permission":
			c.record(Record{Kind: "permission", Server: s.name, Text: m.Params.Behavior, Meta: map[string]string{"id": m.Params.ID}})
		case m.ID != nil:
			s.answered(*m.ID, m.Result)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for id, a := range s.answers {
		delete(s.answers, id)
		close(a)
	}
}

func (s *server) answered(id int, result json.RawMessage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.answers[id]; ok {
		delete(s.answers, id)
		a <- result
	}
}

func (s *server) send(m map[string]any) {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	_, _ = s.stdin.Write(append(text, '\n')) // a server that has ended is noticed elsewhere
}

// call sends a request and waits for its answer.
func (s *server) call(method string, params map[string]any, result any) error {
	answer := make(chan json.RawMessage, 1)
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return fmt.Errorf("server %s has ended", s.name)
	}
	s.next++
	id := s.next
	s.answers[id] = answer
	s.mu.Unlock()
	s.send(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	text, ok := <-answer
	if !ok {
		return fmt.Errorf("server %s has ended", s.name)
	}
	return json.Unmarshal(text, result)
}

// tool calls a tool as the model does: a server that has ended is started
// first.
func (c *cli) tool(name, tool string, args map[string]any) {
	s, runs := c.servers[name]
	if !runs {
		c.record(Record{Kind: "tool", Server: name, Meta: map[string]string{"tool": tool}})
		return
	}
	s.mu.Lock()
	ended := s.ended
	s.mu.Unlock()
	if ended {
		if err := c.start(name, "re-registered after reconnect"); err != nil {
			c.record(Record{Kind: "tool", Server: name, Text: err.Error()})
			return
		}
		s = c.servers[name]
	}
	var result struct {
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
	}
	err := s.call("tools/call", map[string]any{"name": tool, "arguments": args}, &result)
	r := Record{Kind: "tool", Server: name, Meta: map[string]string{"tool": tool}}
	if err != nil {
		r.Text = err.Error()
	} else if len(result.Content) > 0 {
		r.Text = result.Content[0].Text
	}
	c.record(r)
	c.hook("PostToolUse", map[string]any{"tool_name": "mcp__" + name + "__" + tool, "tool_use_id": "t"})
}

// lost is the message that asks the model to bring a server back.
var lost = regexp.MustCompile(`server (\w+) is lost\. Call (\w+) once`)

// prompt is a turn of the model for a message that was typed.
func (c *cli) prompt(text string) {
	c.record(Record{Kind: "prompt", Text: text})
	c.hook("UserPromptSubmit", map[string]any{"prompt": text})
	if m := lost.FindStringSubmatch(text); m != nil {
		c.tool(m[1], m[2], map[string]any{})
	}
	c.end()
}

// event is a turn of the model for an event of a channel.
func (c *cli) event(server, content string, meta map[string]string) {
	c.record(Record{Kind: "event", Server: server, Text: content, Meta: meta})
	if tool := c.set("permission"); tool != "" && server == "slack" {
		c.servers["slack"].send(map[string]any{
			"jsonrpc": "2.0", "method": "notifications/claude/channel/permission_request",
			"params": map[string]any{"request_id": "abcde", "tool_name": tool, "description": "a permission", "input_preview": `{"a":1}`},
		})
	}
	if c.set("claim") != "" && server == "webhook" {
		c.tool("sre-tools", "incident_history", map[string]any{"delivery": meta["delivery"]})
	}
	if v := c.set("verdict"); v != "" && server == "webhook" {
		c.tool("sre-tools", "log_verdict", map[string]any{
			"delivery": meta["delivery"], "verdict": v, "escalated": false, "summary": "seen before", "evidence": "history",
			"root_cause": "none", "actions": "none",
		})
	}
	c.end()
}

// end ends a turn.
func (c *cli) end() {
	if code := c.set("fail"); code != "" {
		c.hook("StopFailure", map[string]any{"error": code, "last_assistant_message": "API Error: " + code})
		return
	}
	c.hook("Stop", map[string]any{"last_assistant_message": "On duty.", "background_tasks": []any{}})
}
