package claude

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// dirVariable names the folder of a play to the process that plays.
const dirVariable = "FAKE_CLAUDE_DIR"

// A Play is a fake CLI as a test sees it.
type Play struct {
	t    testing.TB
	dir  string
	Path string // of the program
}

// A Record is something that a playing CLI did.
type Record struct {
	Kind   string            `json:"kind"` // start, answered, ready, prompt, event, tool, permission
	PID    int               `json:"pid"`
	Server string            `json:"server,omitempty"`
	Text   string            `json:"text,omitempty"` // prompt, content, the answer, the result of a tool
	Meta   map[string]string `json:"meta,omitempty"`
}

// New returns a Play of this test binary. Its TestMain must call [Main].
func New(t testing.TB) *Play {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &Play{t: t, dir: t.TempDir()}
	p.Path = filepath.Join(p.dir, "claude")
	script := fmt.Sprintf("#!/bin/sh\n%s='%s' exec '%s' \"$@\"\n", dirVariable, p.dir, self)
	if err := os.WriteFile(p.Path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

// Set changes how the CLI behaves from now on: "gate" closed refuses channels;
// "dialogs" are shown at the start, comma-separated, see dialogs.go; "fail" is
// the error code with which turns end; "verdict" is given to every alert, and "claim" claims it first;
// "permission" is the tool for which every event of slack asks a permission;
// "ask" is a question that is shown after every message; "refuse" is why the
// CLI ends at once. "" takes it back.
func (p *Play) Set(name, value string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.dir, name), []byte(value), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// Records returns what was done so far, in order, by all processes of the
// play, if it is of that kind.
func (p *Play) Records(kind string) []Record {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "records.jsonl"))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	var all []Record
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		var r Record
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			p.t.Fatal(err)
		}
		if r.Kind == kind {
			all = append(all, r)
		}
	}
	return all
}
