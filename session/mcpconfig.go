package session

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A Server is one MCP server of the session.
//
// Secrets. A server inherits the environment of the CLI, and so does whatever
// else the CLI starts. A secret is therefore not in that environment if it can
// be helped: Env names, for this server alone, the file that holds it
// (NAME_FILE, a path that is safe to see). Where the operator has it only in
// the environment, Env says "${NAME}", which the CLI expands, and the name must
// be passed to [Environ]. The value itself is never written into the file.
type Server struct {
	Name       string
	Command    string // absolute path of the program
	Args       []string
	Env        map[string]string
	AlwaysLoad bool          // its tools are in every turn instead of behind the tool search
	Timeout    time.Duration // of one call; 0 is the CLI's default
}

// entry is how the CLI wants a server written.
type entry struct {
	Type       string            `json:"type"`
	Command    string            `json:"command"`
	Args       []string          `json:"args"`
	Env        map[string]string `json:"env,omitempty"`
	AlwaysLoad bool              `json:"alwaysLoad,omitempty"`
	Timeout    int64             `json:"timeout,omitempty"` // milliseconds
}

// MCPConfig returns the file that tells the CLI about servers.
func MCPConfig(servers ...Server) ([]byte, error) {
	entries, errs := map[string]entry{}, []error(nil)
	for _, s := range servers {
		if _, twice := entries[s.Name]; twice || s.Name == "" {
			errs = append(errs, fmt.Errorf("server %q: every server needs a name of its own", s.Name))
		}
		if !filepath.IsAbs(s.Command) {
			errs = append(errs, fmt.Errorf("server %s: %q is not an absolute path; the CLI runs in the workspace", s.Name, s.Command))
		}
		args := s.Args
		if args == nil {
			args = []string{}
		}
		entries[s.Name] = entry{
			Type: "stdio", Command: s.Command, Args: args, Env: s.Env,
			AlwaysLoad: s.AlwaysLoad, Timeout: s.Timeout.Milliseconds(),
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return json.MarshalIndent(map[string]any{"mcpServers": entries}, "", "  ")
}

// WriteMCPConfig writes the file of servers to path, readable by nobody else.
// It replaces the file at once, so that a reader never sees half of it.
func WriteMCPConfig(path string, servers ...Server) error {
	text, err := MCPConfig(servers...)
	if err != nil {
		return fmt.Errorf("write MCP configuration: %w", err)
	}
	if err := writeFile(path, append(text, '\n')); err != nil {
		return fmt.Errorf("write MCP configuration: %w", err)
	}
	return nil
}

func writeFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		os.Remove(tmp.Name()) //nolint:errcheck // the first error matters
	}
	return err
}
