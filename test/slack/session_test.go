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

// thinking is how long an answer takes at most, so that a session may die over
// it.
const thinking = 400 * time.Millisecond

// A session is the host of one life of the program: it reads what it is told,
// and answers each message of a person in its thread.
type session struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   io.Reader
}

// begin starts the program with its log going to log.
func begin(program, config, state string, env []string, log io.Writer) (*session, error) {
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
	return &session{cmd, stdin, out}, cmd.Start()
}

// kill ends the program as a crash does.
func (s *session) kill() { _ = s.cmd.Process.Kill() } // it may be gone already

func (s *session) send(f frame) {
	f.Version = "2.0"
	text, err := json.Marshal(f)
	if err != nil {
		panic(err) // of our own making
	}
	_, _ = s.stdin.Write(append(text, '\n')) // a program that was killed reads nothing
}

// work talks with the program until that ends, and writes down what it heard.
func (s *session) work(n *notebook) error {
	s.send(frame{ID: 1, Method: "initialize", Params: map[string]any{
		"protocolVersion": "2025-11-25", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "test", "version": "1"},
	}})
	asked := map[int]string{} // what was answered, by call
	in := bufio.NewScanner(s.out)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		var r received
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			n.wrong("the program wrote %q: %v", in.Text(), err)
			continue
		}
		switch {
		case r.ID == 1:
			s.send(frame{Method: "notifications/initialized"})
		case r.Method == "notifications/claude/channel":
			n.hear(r.Params.Content, r.Params.Meta)
			time.Sleep(rand.N(thinking))
			if words, ok := strings.CutPrefix(r.Params.Content, "heard-"); ok {
				id := len(asked) + 2
				asked[id] = words
				s.send(frame{ID: id, Method: "tools/call", Params: map[string]any{
					"name": "reply", "arguments": map[string]any{"thread": r.Params.Meta["thread"], "text": "said-" + words},
				}})
			}
		case r.Result.IsError:
			n.wrong("reply to %s: %s", asked[r.ID], r.Result.Content[0].Text)
		}
	}
	return s.cmd.Wait()
}

// A notebook is what the sessions heard, one after the other.
type notebook struct {
	mu         sync.Mutex
	deliveries map[string]map[string]int // times by delivery, by text
	mistakes   []string
}

func (n *notebook) hear(text string, meta map[string]string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.deliveries[text] == nil {
		n.deliveries[text] = map[string]int{}
	}
	n.deliveries[text][meta["delivery"]]++
}

func (n *notebook) wrong(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mistakes = append(n.mistakes, fmt.Sprintf(format, args...))
}

// heard returns in how many deliveries text came, and how often in all.
func (n *notebook) heard(text string) (deliveries, times int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.deliveries[text] {
		deliveries, times = deliveries+1, times+c
	}
	return deliveries, times
}
