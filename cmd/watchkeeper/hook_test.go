package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hookCommand is what the settings run for event.
func hookCommand(t *testing.T, event string) string {
	t.Helper()
	text, err := os.ReadFile("../../.claude/settings.json")
	if err != nil {
		t.Fatal(err)
	}
	var settings struct {
		Hooks map[string][]struct {
			Hooks []struct{ Command string }
		}
	}
	if err := json.Unmarshal(text, &settings); err != nil {
		t.Fatal(err)
	}
	if groups := settings.Hooks[event]; len(groups) != 1 || len(groups[0].Hooks) != 1 {
		t.Fatalf("hooks for %s = %+v, want one", event, groups)
	}
	return settings.Hooks[event][0].Hooks[0].Command
}

// program makes a program called watchkeeper in dir that says name and its
// arguments, and exits with code.
func program(t *testing.T, dir, name string, code int) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "watchkeeper")
	if err := os.WriteFile(path, fmt.Appendf(nil, "#!/bin/sh\necho %s \"$@\"\nexit %d\n", name, code), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheHookFindsItsProgramOrSaysNo(t *testing.T) {
	named := program(t, t.TempDir(), "named", 0)
	project, path, none := t.TempDir(), t.TempDir(), t.TempDir()
	program(t, filepath.Join(project, "bin"), "project", 0)
	program(t, path, "path", 0)
	broken := program(t, t.TempDir(), "broken", 1)
	tests := []struct {
		name, program, project, path string
		want                         string // output, or the exit code
	}{
		{"watchkeeper up names it", named, project, path, "named hook"},
		{"a source tree has it in bin", "", project, path, "project hook"},
		{"a workspace has it in the PATH", "", none, path, "path hook"},
		{"it is nowhere", "", none, none, "exit 2"},
		{"it is not where it was", "/nowhere/watchkeeper", project, path, "exit 2"},
		{"it fails", broken, project, path, "exit 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", hookCommand(t, "PreToolUse"))
			cmd.Env = []string{"PATH=" + tt.path, "CLAUDE_PROJECT_DIR=" + tt.project}
			if tt.program != "" {
				cmd.Env = append(cmd.Env, "WATCHKEEPER_PROGRAM="+tt.program)
			}
			out, err := cmd.Output()
			got := strings.TrimSpace(string(out))
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				got = fmt.Sprint("exit ", exit.ExitCode())
			}
			if got != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

// TestNoHookKeepsASubAgentFromStopping: the client takes 2 for "go on", and a
// program that is missing must not make that an endless loop.
func TestNoHookKeepsASubAgentFromStopping(t *testing.T) {
	for _, event := range []string{"SubagentStart", "SubagentStop", "StopFailure"} {
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", hookCommand(t, event))
		cmd.Env = []string{"PATH=" + t.TempDir(), "CLAUDE_PROJECT_DIR=" + t.TempDir()}
		if exit, ok := errors.AsType[*exec.ExitError](cmd.Run()); !ok || exit.ExitCode() == 2 {
			t.Errorf("%s without a program: %v, want an error that blocks nothing", event, exit)
		}
	}
}
