package session

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
)

// controls keeps the requests that are under way, in both directions.
type controls struct {
	mu      sync.Mutex
	next    int
	asked   map[string]chan reply         // ours, that the CLI has to answer
	serving map[string]context.CancelFunc // the CLI's, that the approver has to answer
	working sync.WaitGroup
}

type reply struct {
	Subtype  string          `json:"subtype"`
	ID       string          `json:"request_id"`
	Response json.RawMessage `json:"response"`
	Error    string          `json:"error"`
}

// Servers asks the CLI for the state of the MCP servers. It is also the way to
// see that the CLI is alive without a turn of the model. "connected" may be
// old news: the CLI notices a dead server when it calls it.
func (s *Stream) Servers(ctx context.Context) ([]ServerStatus, error) {
	text, err := s.ask(ctx, map[string]any{"subtype": "mcp_status"})
	if err != nil {
		return nil, fmt.Errorf("ask for the servers: %w", err)
	}
	var got struct {
		Servers []ServerStatus `json:"mcpServers"`
	}
	if err := json.Unmarshal(text, &got); err != nil {
		return nil, fmt.Errorf("ask for the servers: %w", err)
	}
	return got.Servers, nil
}

// Reconnect starts the MCP server anew.
func (s *Stream) Reconnect(ctx context.Context, server string) error {
	if _, err := s.ask(ctx, map[string]any{"subtype": "mcp_reconnect", "serverName": server}); err != nil {
		return fmt.Errorf("reconnect server %s: %w", server, err)
	}
	return nil
}

// Interrupt ends the turn of the model; the session waits for the next message
// then.
func (s *Stream) Interrupt(ctx context.Context) error {
	if _, err := s.ask(ctx, map[string]any{"subtype": "interrupt"}); err != nil {
		return fmt.Errorf("interrupt: %w", err)
	}
	return nil
}

// ask sends a control request and waits for its answer.
func (s *Stream) ask(ctx context.Context, request map[string]any) (json.RawMessage, error) {
	answer := make(chan reply, 1)
	s.controls.mu.Lock()
	s.controls.next++
	id := "w" + strconv.Itoa(s.controls.next)
	s.controls.asked[id] = answer
	s.controls.mu.Unlock()
	defer func() {
		s.controls.mu.Lock()
		delete(s.controls.asked, id)
		s.controls.mu.Unlock()
	}()
	if err := s.send(ctx, map[string]any{"type": "control_request", "request_id": id, "request": request}); err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.gone:
		return nil, ErrGone
	case r := <-answer:
		if r.Subtype == "error" {
			return nil, errors.New(cmp.Or(r.Error, "the CLI refused"))
		}
		return r.Response, nil
	}
}

// answered takes the CLI's answer to one of our requests.
func (s *Stream) answered(text json.RawMessage) {
	var r reply
	if json.Unmarshal(text, &r) != nil {
		return
	}
	s.controls.mu.Lock()
	defer s.controls.mu.Unlock()
	if answer, ok := s.controls.asked[r.ID]; ok {
		delete(s.controls.asked, r.ID)
		answer <- r
	}
}

// serve answers a request of the CLI, in its own time.
func (s *Stream) serve(ctx context.Context, id string, text json.RawMessage) {
	var req struct {
		Subtype     string          `json:"subtype"`
		Tool        string          `json:"tool_name"`
		Title       string          `json:"display_name"`
		Description string          `json:"description"`
		Agent       string          `json:"agent_id"`
		ToolUse     string          `json:"tool_use_id"`
		Input       json.RawMessage `json:"input"`
	}
	if err := json.Unmarshal(text, &req); err != nil || req.Subtype != "can_use_tool" {
		s.respond(ctx, map[string]any{"subtype": "error", "request_id": id, "error": "not supported: " + req.Subtype})
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	s.controls.mu.Lock()
	s.controls.serving[id] = cancel
	s.controls.mu.Unlock()
	s.controls.working.Go(func() {
		defer s.withdraw(id)
		d, err := s.approver.Approve(ctx, Request{
			ID: id, Tool: req.Tool, Title: req.Title, Description: req.Description,
			Agent: req.Agent, ToolUse: req.ToolUse, Input: req.Input,
		})
		if ctx.Err() != nil {
			return // nobody waits for the answer
		}
		if err != nil {
			s.log.ErrorContext(ctx, "permission not decided, denied", "tool", req.Tool, "err", err)
			d = Decision{Message: denied}
		}
		s.respond(ctx, map[string]any{"subtype": "success", "request_id": id, "response": decision(d, req.Input)})
	})
}

// withdraw ends the request id of the CLI.
func (s *Stream) withdraw(id string) {
	s.controls.mu.Lock()
	defer s.controls.mu.Unlock()
	if cancel, ok := s.controls.serving[id]; ok {
		delete(s.controls.serving, id)
		cancel()
	}
}

func decision(d Decision, asked json.RawMessage) map[string]any {
	if !d.Allow {
		return map[string]any{"behavior": "deny", "message": cmp.Or(d.Message, denied)}
	}
	input := d.Input
	if input == nil {
		input = asked
	}
	return map[string]any{"behavior": "allow", "updatedInput": input}
}

func (s *Stream) respond(ctx context.Context, response map[string]any) {
	if err := s.send(ctx, map[string]any{"type": "control_response", "response": response}); err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "answer to the CLI not sent", "err", err)
	}
}
