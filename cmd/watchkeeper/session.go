package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"watchkeeper/agents"
	"watchkeeper/cmd/internal/house"
	"watchkeeper/cmd/internal/people"
	"watchkeeper/session"
)

// servers are the programs of the three MCP servers; they stand beside this
// one.
var servers = []string{"webhook-channel", "slack-channel", "sre-tools"}

// Bounds of the transcript: 32 MiB a file, this one and three older ones.
const (
	transcriptSize = 32 << 20
	transcriptKeep = 3
)

// A keptSession is the supervisor of a session with what it writes to.
type keptSession struct {
	supervisor *session.Supervisor
	transcript *session.Transcript
}

// Close closes the transcript.
func (k keptSession) Close() error { return k.transcript.Close() }

// newSession prepares a session in the mode of the configuration; nothing runs
// yet.
func newSession(h *house.House, f house.Flags, floor *floor) (keptSession, error) {
	mcp := h.Dir.Path("session", "mcp.json")
	servers, also, err := mcpServers(h, f)
	if err != nil {
		return keptSession{}, err
	}
	if err := session.WriteMCPConfig(mcp, servers...); err != nil {
		return keptSession{}, err
	}
	defined, err := subAgents(h)
	if err != nil {
		return keptSession{}, err
	}
	settings, err := settingsFile(h)
	if err != nil {
		return keptSession{}, err
	}
	command := session.Command{
		Path: h.Config.Session.Claude, Dir: h.Workspace, Env: sessionEnv(h, also), MCPConfig: mcp,
		Settings: settings, Model: h.Config.Session.Model, Agents: defined,
		Tools: []string{"Agent", "ToolSearch"}, // not even Read: a file of this machine is no evidence
	}
	if err := command.Validate(); err != nil {
		return keptSession{}, err
	}
	transcript, err := session.OpenTranscript(h.Dir.Path("session", "transcript.jsonl"), transcriptSize, transcriptKeep)
	if err != nil {
		return keptSession{}, err
	}
	config := session.Config{
		Command: command, Store: h.Store, Log: h.Log, Transcript: transcript, Drain: drained(h), Approver: approver{h},
		Briefing: func(ctx context.Context) (string, error) { return briefing(ctx, h) },
		Unheard:  unheard(h), Asking: h.Store.Asking,
	}
	floor.launch(&config)
	return keptSession{transcript: transcript, supervisor: session.NewSupervisor(config)}, nil
}

// An approver lets the person on call decide what the settings leave open.
type approver struct{ house *house.House }

// Approve implements [session.Approver].
func (a approver) Approve(ctx context.Context, r session.Request) (session.Decision, error) {
	allow, message, err := people.Permission(ctx, a.house, r.Tool, r.Description, r.Input)
	return session.Decision{Allow: allow, Message: message}, err
}

// briefing is the first message of a session.
func briefing(ctx context.Context, h *house.House) (string, error) {
	page, err := h.Briefing(ctx, time.Now(), 7)
	if err != nil {
		return "", err
	}
	return page + "\nYou are on duty. Events follow as CLAUDE.md describes them; what is pending is pushed again. Wait for them.", nil
}

// mcpServers returns the servers of the session, and the names of the secrets
// that they need from the environment. The Slack tokens are not among them:
// the link to Slack is held by this process.
func mcpServers(h *house.House, f house.Flags) (all []session.Server, also []string, err error) {
	args := []string{"--state", h.Dir.String()}
	if h.Config.Path != "" {
		args = append(args, "--config", h.Config.Path)
	}
	if f.Verbose {
		args = append(args, "--verbose")
	}
	var errs []error
	for _, s := range []session.Server{
		{Name: "webhook", Command: "webhook-channel", AlwaysLoad: true},
		{Name: "slack", Command: "slack-channel", AlwaysLoad: true},
		{Name: "sre-tools", Command: "sre-tools", Timeout: 3 * time.Minute},
	} {
		var err error
		s.Command, err = serverPath(s.Command)
		errs = append(errs, err)
		s.Args = args
		if s.Name == "sre-tools" {
			s.Env, also = toolSecrets(os.LookupEnv)
		}
		s.Env = traced(h, s.Env)
		all = append(all, s)
	}
	return all, also, errors.Join(errs...)
}

// toolSecrets names the secrets of sre-tools, as [session.Server] wants them:
// by the file that holds them, else by the variable.
func toolSecrets(lookup func(string) (string, bool)) (env map[string]string, also []string) {
	env = map[string]string{}
	for _, name := range []string{"SIGNOZ_API_KEY", "GITLAB_TOKEN"} {
		if path, ok := lookup(name + "_FILE"); ok && path != "" {
			env[name+"_FILE"] = path
		} else if v, ok := lookup(name); ok && v != "" {
			env[name] = "${" + name + "}"
			also = append(also, name)
		}
	}
	return env, also
}

// subAgents defines the sub-agents whose model the configuration names.
func subAgents(h *house.House) (string, error) {
	c := h.Config.Session
	text, err := agents.Definitions(os.DirFS(h.Workspace), agents.Choice{Models: c.Agents.Models, Default: c.SubAgentModel})
	if err != nil {
		return "", fmt.Errorf("session.agents.models: %w", err)
	}
	return text, nil
}

// sessionEnv is the environment of the CLI.
func sessionEnv(h *house.House, also []string) []string {
	return append(session.Environ(os.Environ(), also...), hookEnv(h)...)
}

// serverPath returns the program called name that stands beside this one.
func serverPath(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", name, err)
	}
	if target, err := filepath.EvalSymlinks(self); err == nil {
		self = target
	}
	path := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("find %s: %w; the four programs belong into one folder", name, err)
	}
	return path, nil
}
