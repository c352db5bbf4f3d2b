package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// TestedCLI is the version of Claude Code that the tests run. An older one may
// lack what we rely on.
const TestedCLI = "2.1.330"

// Programs are what a session is made of.
type Programs struct {
	Claude  string   // name or path of the CLI
	Mode    string   // session.mode of the configuration
	Env     []string // that the CLI is started with, "NAME=value"
	Folder  string   // with our own programs
	Servers []string // their names
	Version string   // that each must have
}

const programs = place("programs")

// Examine looks at our own programs, at the CLI with its login, and at tmux.
func (p Programs) Examine(ctx context.Context) []Finding {
	if p.Mode == "responder" {
		return []Finding{programs.ok("claude", "not needed: session.mode is responder")}
	}
	found := p.servers(ctx)
	path, err := exec.LookPath(p.Claude)
	if err != nil {
		return append(found, programs.wrong("claude", fmt.Sprintf("%s is not there: %v", p.Claude, err),
			"npm install -g @anthropic-ai/claude-code@"+TestedCLI+", or set session.claude; until then the responder triages without a model"))
	}
	found = append(found, p.cli(ctx, path), p.login(ctx, path))
	if p.Mode != "stream" {
		found = append(found, p.tmux(ctx))
	}
	return found
}

func (p Programs) servers(ctx context.Context) (found []Finding) {
	for _, name := range p.Servers {
		out, err := p.run(ctx, filepath.Join(p.Folder, name), "--version")
		switch {
		case err != nil:
			found = append(found, programs.wrong(name, err.Error(), "put the four programs of one release into one folder: "+p.Folder))
		case !strings.HasSuffix(strings.TrimSpace(out), " "+p.Version):
			found = append(found, programs.wrong(name, fmt.Sprintf("it is %q, and watchkeeper is %s", strings.TrimSpace(out), p.Version),
				"put the four programs of one release into one folder: "+p.Folder))
		}
	}
	if len(found) == 0 {
		found = append(found, programs.ok("servers", "%s, version %s", strings.Join(p.Servers, ", "), p.Version))
	}
	return found
}

var version = regexp.MustCompile(`^(\d+)\.(\d+)\.(\d+)`)

func (p Programs) cli(ctx context.Context, path string) Finding {
	out, err := p.run(ctx, path, "--version")
	if err != nil {
		return programs.wrong("claude", err.Error(), "install it again: npm install -g @anthropic-ai/claude-code@"+TestedCLI)
	}
	has := version.FindString(out)
	switch {
	case has == "":
		return programs.wrong("claude", path+" does not say a version", "set session.claude to the Claude Code CLI")
	case older(has, TestedCLI):
		return programs.wrong("claude", fmt.Sprintf("%s is %s", path, has), "npm install -g @anthropic-ai/claude-code@"+TestedCLI+", which is what the tests run")
	}
	return programs.ok("claude", "%s is %s; %s is tested", path, has, TestedCLI)
}

// older compares two versions of three numbers.
func older(a, b string) bool {
	x, y := version.FindStringSubmatch(a), version.FindStringSubmatch(b)
	for i := 1; i < len(x); i++ {
		m, _ := strconv.Atoi(x[i])
		n, _ := strconv.Atoi(y[i])
		if m != n {
			return m < n
		}
	}
	return false
}

// login asks the CLI itself, which knows every place where a login can be. It
// only looks, and costs nothing: whether the service takes the login is seen at
// the first turn.
func (p Programs) login(ctx context.Context, path string) Finding {
	const fix = "as the user that is on duty: claude auth login; or set CLAUDE_CODE_OAUTH_TOKEN (claude setup-token) or ANTHROPIC_API_KEY"
	out, err := p.run(ctx, path, "auth", "status", "--json")
	var status struct {
		LoggedIn bool   `json:"loggedIn"`
		Method   string `json:"authMethod"`
		Provider string `json:"apiProvider"`
	}
	if json.Unmarshal([]byte(out), &status) != nil || status.Method == "" {
		detail := "claude auth status does not say"
		if err != nil {
			detail += ": " + err.Error()
		}
		return programs.advice("login", detail, fix)
	}
	if !status.LoggedIn {
		return programs.wrong("login", "nobody is logged in", fix)
	}
	if p.Mode == "channels" && status.Provider != "firstParty" {
		return programs.wrong("login", "by "+status.Method+" at "+status.Provider+", which has no channels",
			"log in at Anthropic (claude auth login), or set session.mode to stream")
	}
	return programs.ok("login", "by %s; not tried", status.Method)
}

func (p Programs) tmux(ctx context.Context) Finding {
	const fix = "apt-get install tmux; session.mode stream does without"
	path, err := exec.LookPath("tmux")
	if err == nil {
		out, err := p.run(ctx, path, "-V")
		if err == nil {
			return programs.ok("tmux", "%s", strings.TrimSpace(out))
		}
	}
	if p.Mode == "channels" {
		return programs.wrong("tmux", "it is not there, and channels mode needs a terminal", fix)
	}
	return programs.advice("tmux", "it is not there, so the session runs in stream mode", fix)
}

// run returns what a program prints, also when it fails. The error ends with
// the last line that it wrote to stderr.
func (p Programs) run(ctx context.Context, path string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = p.Env
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	if err == nil {
		return out.String(), nil
	}
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	if last := lines[len(lines)-1]; last != "" {
		err = errors.Join(err, errors.New(last))
	}
	return out.String(), fmt.Errorf("%s: %s", filepath.Base(path), strings.ReplaceAll(err.Error(), "\n", ": "))
}
