package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/runbook"
	"watchkeeper/session"
	"watchkeeper/state"
)

func newAttach(f *house.Flags) *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "attach",
		Short: "Show the session's terminal, in channels mode",
		Long: "Shows the terminal of the session that watchkeeper up keeps in channels mode. Ctrl-b d leaves it and lets it\n" +
			"go on. What you type goes to the model; with --read-only nothing does.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := open(cmd, f)
			if err != nil {
				return err
			}
			err = attachable(cmd.Context(), h)
			dir := h.Dir.Path("session")
			h.Close()
			if err != nil {
				return err
			}
			return attach(dir, watch)
		},
	}
	cmd.Flags().BoolVarP(&watch, "read-only", "r", false, "only look: no key reaches the session")
	return cmd
}

// attachable says why there is no terminal to show.
func attachable(ctx context.Context, h *house.House) error {
	if _, kept := h.Dir.Holder(state.Session); !kept {
		return errors.New("nobody keeps a session on this state directory; start it with watchkeeper up")
	}
	last, err := h.Store.LastSession(ctx)
	switch {
	case errors.Is(err, runbook.ErrNotFound):
		return errors.New("there is no session yet; see watchkeeper status")
	case err != nil:
		return err
	case !last.EndedAt.IsZero():
		return fmt.Errorf("the session has ended (%s) and the next one has not begun; see watchkeeper status", last.Reason)
	case last.Mode == "stream":
		return fmt.Errorf("the session runs in stream mode, which has no terminal; what it does is in %s, and watchkeeper status says why there are no channels",
			h.Dir.Path("session", "transcript.jsonl"))
	case last.Mode != "channels":
		return fmt.Errorf("no model is on duty (%s), so there is no terminal; see watchkeeper status", last.Mode)
	}
	return nil
}

// attach becomes the terminal's client.
func attach(dir string, watch bool) error {
	path, argv, err := session.AttachCommand(watch)
	if err != nil {
		return err
	}
	if err := os.Chdir(dir); err != nil {
		return err
	}
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "TMUX=") }) // ours may be in another one
	return fmt.Errorf("start %s: %w", path, syscall.Exec(path, argv, env))
}
