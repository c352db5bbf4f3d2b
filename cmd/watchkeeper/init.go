package main

import (
	"bytes"
	_ "embed" // the first configuration
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"watchkeeper"
)

//go:embed starter.yaml
var starter []byte

func newInit() *cobra.Command {
	var beside bool
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Make a workspace: runbook, playbooks, agents, settings, configuration",
		Long: "Writes the built-in workspace to DIR. A file that is there already is never changed: what differs from the\n" +
			"built-in version is named, and --beside puts that version next to it as NAME.new, to compare after an upgrade.\n" +
			"The exit code is 0 when the workspace is complete, with or without files that were kept.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			w := &workspaceWriter{dir: dir, beside: beside}
			if err := w.writeAll(); err != nil {
				return fmt.Errorf("make the workspace: %w; what was written is whole, run it again", err)
			}
			w.report(cmd.OutOrStdout())
			return nil
		},
	}
	cmd.Flags().BoolVar(&beside, "beside", false, "put the built-in version of every file that differs next to it, as NAME.new")
	return cmd
}

// A workspaceWriter makes a workspace. Every file is complete before it gets
// its name, so a killed one leaves a workspace that another run completes.
type workspaceWriter struct {
	dir     string
	beside  bool
	tmp     string   // folder in dir
	written int      // files that were not there
	kept    []string // files that differ from the built-in ones
}

// runbookFile comes last: up refuses a workspace without it, and so never runs
// in half of one.
const runbookFile = "CLAUDE.md"

// unfinished is the folder in which files are written before they get their
// name.
const unfinished = ".init-*"

func (w *workspaceWriter) writeAll() (err error) {
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return err
	}
	left, _ := filepath.Glob(filepath.Join(w.dir, unfinished)) // the pattern is fine
	for _, old := range left {
		if err := os.RemoveAll(old); err != nil { // a killed run's
			return err
		}
	}
	if w.tmp, err = os.MkdirTemp(w.dir, unfinished); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(w.tmp)) }()
	if err := errors.Join(w.write("watchkeeper.yaml", starter), w.write(".gitignore", []byte("/var/\n"))); err != nil {
		return err
	}
	err = fs.WalkDir(watchkeeper.Workspace, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == runbookFile {
			return err
		}
		return w.builtIn(name)
	})
	return errors.Join(err, w.builtIn(runbookFile))
}

func (w *workspaceWriter) builtIn(name string) error {
	text, err := watchkeeper.Workspace.ReadFile(name)
	if err != nil {
		return err
	}
	return w.write(name, text)
}

// write gives name its text, unless there is a file of that name.
func (w *workspaceWriter) write(name string, text []byte) error {
	path := filepath.Join(w.dir, filepath.FromSlash(name))
	has, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(has, text):
		return nil
	case err == nil:
		w.kept = append(w.kept, name)
		if !w.beside || name == "watchkeeper.yaml" || name == ".gitignore" {
			return nil
		}
		return w.place(path+".new", text, os.Rename)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	w.written++
	return w.place(path, text, os.Link) // a link never replaces
}

// place writes text to a file of its own and gives it the name path by move.
func (w *workspaceWriter) place(path string, text []byte, move func(from, to string) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(w.tmp, "file-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return err
	}
	return move(f.Name(), path)
}

func (w *workspaceWriter) report(out io.Writer) {
	fmt.Fprintf(out, "%s: %d files written, %d kept as they are\n", w.dir, w.written, len(w.kept))
	slices.Sort(w.kept)
	for _, name := range w.kept {
		fmt.Fprintf(out, "  kept %s: it differs from the built-in one\n", name)
	}
	if w.written == 0 {
		return
	}
	fmt.Fprintf(out, `
Next:
  1. Edit %[1]s: clusters, and who is on call. What is left out has a default.
  2. Make the Slack app (docs/slack.md) and name the files of its tokens: SLACK_BOT_TOKEN_FILE, SLACK_APP_TOKEN_FILE.
  3. Log Claude Code in, as the user that will be on duty: claude auth login
  4. cd %[2]s && watchkeeper doctor    says what is missing, and what to do about it
  5. watchkeeper up                 or the unit of deploy/systemd (docs/operations.md)
`, filepath.Join(w.dir, "watchkeeper.yaml"), w.dir)
}
