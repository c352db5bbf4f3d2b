package slack_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// binary returns the path of the built program.
func binary(t *testing.T) string {
	t.Helper()
	if os.Getenv("WATCHKEEPER_REQUIRE_CHAOS") == "" {
		t.Skip("SKIPPED, NOT TESTED: it takes four minutes, at the pace of Slack; run make test-slack")
	}
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", "slack-channel"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v; run make build", err)
	}
	return path
}

// A frame is one JSON-RPC message.
type frame struct {
	Version string `json:"jsonrpc"`
	ID      int    `json:"id,omitempty"`
	Method  string `json:"method,omitempty"`
	Params  any    `json:"params,omitempty"`
}

// A received is what the program wrote: a notification or a result.
type received struct {
	ID     int    `json:"id"`
	Method string `json:"method"`
	Params struct {
		Content string            `json:"content"`
		Meta    map[string]string `json:"meta"`
	} `json:"params"`
	Result struct {
		IsError bool `json:"isError"`
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
	} `json:"result"`
}

// thinking is how long an answer takes at most, so that the program may die
// over it.
const thinking = 400 * time.Millisecond

// A life is one process of the program, with its ends in our hands.
type life struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   io.Reader
}

// begin starts the program with its log going to log.
func begin(program, config, state string, env []string, log io.Writer) (*life, error) {
	cmd := exec.Command(program, "--config", config, "--state", state, "--verbose")
	cmd.Env, cmd.Stderr = env, log
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &life{cmd, stdin, out}, cmd.Start()
}

// kill ends the program as a crash does.
func (l *life) kill() { _ = l.cmd.Process.Kill() } // it may be gone already

func (l *life) send(f frame) {
	f.Version = "2.0"
	text, err := json.Marshal(f)
	if err != nil {
		panic(err) // of our own making
	}
	_, _ = l.stdin.Write(append(text, '\n')) // a program that was killed reads nothing
}

// A session is the host of the program, life after life, as Claude Code is. It
// answers each message of a person in its thread. A call that a life did not
// answer is made again in the next one.
type session struct {
	mu         sync.Mutex
	deliveries map[string]map[string]int // times by delivery, by text
	mistakes   []string

	owed  []*call       // that no life has accepted yet
	calls map[int]*call // of this life, by number
}

// A call is one use of a tool.
type call struct {
	tool string
	args map[string]any
}

// work talks with one life of the program until that ends.
func (s *session) work(l *life) error {
	s.calls = map[int]*call{}
	l.send(frame{ID: 1, Method: "initialize", Params: map[string]any{
		"protocolVersion": "2025-11-25", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "test", "version": "1"},
	}})
	in := bufio.NewScanner(l.out)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var r received
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			s.wrong("the program wrote %q: %v", in.Text(), err)
			continue
		}
		switch {
		case r.ID == 1:
			l.send(frame{Method: "notifications/initialized"})
			for _, c := range s.owed {
				s.make(l, c)
			}
		case r.Method == "notifications/claude/channel":
			s.hear(l, r.Params.Content, r.Params.Meta)
		case r.Result.IsError:
			s.wrong("%+v: %s", s.calls[r.ID], r.Result.Content[0].Text)
		default:
			s.owed = slices.DeleteFunc(s.owed, func(c *call) bool { return c == s.calls[r.ID] })
		}
	}
	return l.cmd.Wait()
}

// hear takes an event, and answers it if it is new.
func (s *session) hear(l *life, text string, meta map[string]string) {
	words, ok := strings.CutPrefix(text, "heard-")
	if !ok || s.note(text, meta["delivery"]) > 1 {
		return
	}
	time.Sleep(rand.N(thinking))
	c := &call{"reply", map[string]any{"thread": meta["thread"], "text": "said-" + words}}
	s.owed = append(s.owed, c)
	s.make(l, c)
}

func (s *session) make(l *life, c *call) {
	id := len(s.calls) + 2
	s.calls[id] = c
	l.send(frame{ID: id, Method: "tools/call", Params: map[string]any{"name": c.tool, "arguments": c.args}})
}

// note writes down that text came in a delivery, and returns how often it has
// come.
func (s *session) note(text, delivery string) (times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deliveries[text] == nil {
		s.deliveries[text] = map[string]int{}
	}
	s.deliveries[text][delivery]++
	for _, n := range s.deliveries[text] {
		times += n
	}
	return times
}

func (s *session) wrong(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mistakes = append(s.mistakes, fmt.Sprintf(format, args...))
}

// heard returns in how many deliveries text came, and how often in all.
func (s *session) heard(text string) (deliveries, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.deliveries[text] {
		deliveries, times = deliveries+1, times+n
	}
	return deliveries, times
}
