package slack_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"watchkeeper/channels"
	"watchkeeper/channels/slack"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// A cli speaks MCP with a relay as the Claude Code CLI does.
type cli struct {
	t     *testing.T
	store *sqlite.Store
	in    io.Writer
	out   chan string // lines of the server
	stop  func()      // ends the relay
}

func newCLI(t *testing.T) *cli {
	t.Helper()
	store := newMemory(t)
	server := channels.NewServer("slack", "test", "", slack.Tools(store, slack.Calling{})...)
	approvals := &slack.Approvals{Memory: store, People: slack.People{OnCall: "U1"}, Log: discard()}
	relay := slack.NewRelay(server, approvals, discard())
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	background(t, func(ctx context.Context) error {
		context.AfterFunc(ctx, func() { inW.Close(); outR.Close() })
		return channels.Serve(ctx, server, inR, outW, discard())
	})
	c := &cli{t: t, store: store, in: inW, out: make(chan string, 100)}
	c.stop = background(t, relay.Run)
	go func() {
		lines := bufio.NewScanner(outR)
		for lines.Scan() {
			c.out <- lines.Text()
		}
	}()
	c.send(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	mustContain(t, c.read(), `"claude/channel":{}`, `"claude/channel/permission":{}`)
	c.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return c
}

func (c *cli) send(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cli) read() string {
	c.t.Helper()
	select {
	case line := <-c.out:
		return line
	case <-time.After(10 * time.Second):
		c.t.Fatal("the server said nothing for 10 s")
		return ""
	}
}

func (c *cli) prompt(id string) {
	c.t.Helper()
	c.send(`{"jsonrpc":"2.0","method":"notifications/claude/channel/permission_request","params":{"request_id":"` + id +
		`","tool_name":"Bash","description":"list files","input_preview":"{\"command\":\"ls\"}"}}`)
}

// asked returns the open question with code, once it is stored.
func (c *cli) asked(code string) (q runbook.Approval) {
	c.t.Helper()
	eventually(c.t, "question "+code, func() bool {
		var err error
		q, err = c.store.OpenApproval(c.t.Context(), code)
		return err == nil
	})
	return q
}

func TestPromptIsRelayedAndAnswered(t *testing.T) {
	for behavior, allow := range map[string]bool{"allow": true, "deny": false} {
		t.Run(behavior, func(t *testing.T) {
			c := newCLI(t)
			c.prompt("abcde")
			q := c.asked("abcde")
			if q.Tool != "Bash" || q.Input != `{"command":"ls"}` || q.Source != "channel" || q.Person != "U1" {
				t.Errorf("question = %+v, want what the CLI asked", q)
			}
			approvals := &slack.Approvals{Memory: c.store, People: slack.People{OnCall: "U1"}, Log: discard()}
			if known, err := approvals.Answer(t.Context(), "U1", "abcde", allow); !known || err != nil {
				t.Fatalf("Answer = %v, %v", known, err)
			}
			var got struct {
				Method string
				Params map[string]string
			}
			if err := json.Unmarshal([]byte(c.read()), &got); err != nil {
				t.Fatal(err)
			}
			if got.Method != "notifications/claude/channel/permission" || got.Params["request_id"] != "abcde" || got.Params["behavior"] != behavior {
				t.Errorf("answer = %+v, want %s for abcde", got, behavior)
			}
		})
	}
}

func TestPromptOfASessionThatEndsIsWithdrawn(t *testing.T) {
	c := newCLI(t)
	c.prompt("nope!") // no identifier of a prompt
	c.prompt("fghij")
	q := c.asked("fghij")
	c.stop()
	got, err := c.store.Approval(t.Context(), q.ID)
	if err != nil || got.State != runbook.ApprovalWithdrawn {
		t.Errorf("question = %+v, %v, want it withdrawn", got, err)
	}
	if _, err := c.store.Approval(t.Context(), q.ID+1); !errors.Is(err, runbook.ErrNotFound) || q.ID != 1 {
		t.Errorf("question %d stored (%v), want the unreadable prompt dropped", q.ID, err)
	}
	m, err := c.store.Message(t.Context(), "approval:1:outcome")
	if err != nil || !strings.Contains(m.Text, "No longer needed") {
		t.Errorf("card = %+v, %v, want it to say so", m, err)
	}
}
