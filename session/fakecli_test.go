package session_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"watchkeeper/session"
	"watchkeeper/test/fakes/claude"
)

// TestMain lets the test binary play the CLI, and a server that the CLI
// starts.
func TestMain(m *testing.M) {
	switch os.Getenv("SESSION_TEST_ROLE") {
	case "cli":
		fakeCLI()
	case "note":
		if err := session.Note(os.Args[1], os.Stdin); err != nil {
			os.Exit(7)
		}
	case "server":
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
		fmt.Println("ready")
		time.Sleep(time.Hour) // until the group is killed
	default:
		claude.Main() // the interactive one, if this is it
		os.Exit(m.Run())
	}
}

// command starts the fake CLI. env are more variables, "NAME=value".
func command(t *testing.T, env ...string) session.Command {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return session.Command{Path: path, Dir: t.TempDir(), MCPConfig: "/none.json", Env: append(env, "SESSION_TEST_ROLE=cli")}
}

func emit(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// turn is what the CLI prints for a turn of the model.
func turn(text string) {
	emit(`{"type":"system","subtype":"init","session_id":"s1","model":"m","tools":["Agent"],"mcp_servers":[{"name":"slack","status":"connected"}]}`)
	emit(`{"type":"assistant","message":{"content":[{"type":"text","text":%s}],"usage":{"input_tokens":7,"cache_read_input_tokens":3}},"session_id":"s1"}`, quoted(text))
	emit(`{"type":"result","subtype":"success","is_error":false,"result":%s,"total_cost_usd":0.5}`, quoted(text))
}

// failure is what it prints when the API refuses.
func failure(code string, status int) {
	emit(`{"type":"assistant","message":{"content":[{"type":"text","text":"API Error"}]},"error":%q,"is_api_error_message":true,"api_error_status":%d}`, code, status)
	emit(`{"type":"result","subtype":"success","is_error":true,"api_error_status":%d,"result":"API Error"}`, status)
}

// fakeCLI does as each message says.
func fakeCLI() {
	if os.Getenv("SESSION_TEST_SERVER") != "" {
		startServer()
	}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var l struct {
			Type      string
			RequestID string `json:"request_id"`
			Request   struct{ Subtype string }
			Response  struct{ Response json.RawMessage }
			Message   struct{ Content []struct{ Text string } }
		}
		if json.Unmarshal(in.Bytes(), &l) != nil {
			os.Exit(9)
		}
		switch l.Type {
		case "control_request":
			emit(`{"type":"control_response","response":{"subtype":"success","request_id":%q,"response":{"mcpServers":[{"name":"slack","status":"connected"}]}}}`, l.RequestID)
		case "control_response":
			turn("answer " + string(l.Response.Response))
		case "user":
			obey(l.Message.Content[0].Text)
		}
	}
	if os.Getenv("SESSION_TEST_DEAF") != "" {
		signal.Ignore(syscall.SIGINT)
		time.Sleep(time.Hour) // until it is killed
	}
}

func obey(text string) {
	verb, rest, _ := strings.Cut(text, " ")
	switch verb {
	case "env":
		turn(strings.Join(os.Environ(), " "))
	case "args":
		turn(strings.Join(os.Args[1:], " "))
	case "ask":
		emit(`{"type":"control_request","request_id":"p1","request":{"subtype":"can_use_tool","tool_name":%q,"display_name":"T","input":{"a":1},"tool_use_id":"t1"}}`, rest)
	case "hook":
		emit(`{"type":"control_request","request_id":"p2","request":{"subtype":"hook_callback"}}`)
	case "withdraw":
		emit(`{"type":"control_cancel_request","request_id":"p1"}`)
	case "fail":
		failure(rest, 400)
	case "limit":
		emit(`{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":%s,"rateLimitType":"five_hour"}}`, rest)
		failure("rate_limit", 429)
	case "retry":
		emit(`{"type":"system","subtype":"api_retry","attempt":4,"max_retries":10,"retry_delay_ms":4000,"error_status":401,"error":%q}`, rest)
	case "garbage":
		emit("this is no JSON")
		emit(`{"type":"from_the_future","error":{"odd":true}}`)
		turn("after garbage")
	case "die":
		fmt.Fprintln(os.Stderr, "dying as told")
		os.Exit(3)
	case "deaf":
		time.Sleep(time.Hour) // reads no more
	case "noise":
		for i := range 500 {
			fmt.Fprintln(os.Stderr, "noise", i, strings.Repeat("x", 5000))
		}
		turn("noisy")
	default:
		turn("heard " + text)
	}
}

// startServer leaves a child behind that ends only when it is killed.
func startServer() {
	c := exec.Command(os.Args[0])
	c.Env = []string{"SESSION_TEST_ROLE=server"}
	out, err := c.StdoutPipe()
	if err != nil || c.Start() != nil {
		os.Exit(8)
	}
	bufio.NewReader(out).ReadString('\n')
}
