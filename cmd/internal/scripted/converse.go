package scripted

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds one conversation.
const patience = 30 * time.Second

// converse is what a host does, as [Run]'s package comment says. At the end of
// its stdin a server drops what is under way, so the answers come first.
func converse(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: converse FILE")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, ts.Getenv("PROGRAM"))
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"PATH", "HOME", "KUBECONFIG", "WATCHKEEPER_STATE", "WATCHKEEPER_CONFIG"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	stdin, err := cmd.StdinPipe()
	ts.Check(err)
	stdout, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	requests := ts.ReadFile(args[0])
	_, err = io.WriteString(stdin, requests)
	ts.Check(err)
	answers := read(stdout, strings.Count(requests, `"id":`), neg)
	ts.Check(stdin.Close())
	err = cmd.Wait()
	ts.Check(os.WriteFile(ts.MkAbs("answers"), answers, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("log"), log.Bytes(), 0o600))
	if (err != nil) != neg {
		ts.Fatalf("%s ended with %v\n%s%s", cmd.Path, err, answers, &log)
	}
}

// read returns what comes before n requests are answered, or before the end.
func read(r io.Reader, n int, toTheEnd bool) []byte {
	var all bytes.Buffer
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 10<<20)
	for (n > 0 || toTheEnd) && lines.Scan() {
		all.Write(append(lines.Bytes(), '\n'))
		var m struct {
			ID json.RawMessage `json:"id"`
		}
		if json.Unmarshal(lines.Bytes(), &m) == nil && m.ID != nil {
			n--
		}
	}
	return all.Bytes()
}
