package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/runbook"
	"watchkeeper/state"
)

// drainWithin is how long a restart waits for investigations under way.
const drainWithin = 10 * time.Minute

func newRestart(f *house.Flags) *cobra.Command {
	var ifOlder time.Duration
	cmd := &cobra.Command{
		Use:   "restart",
		Short: "Start the session afresh; for cron",
		Long: "Asks the process that keeps the session for a fresh one, and waits for it. Investigations under way may\n" +
			"take up to ten minutes to end first. Events that come meanwhile are kept. With --if-older a session that\n" +
			"was restarted already, such as by session.restart_at, is left alone.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := open(cmd, f)
			if err != nil {
				return err
			}
			defer h.Close()
			last, err := h.Store.LastSession(cmd.Context())
			if age := time.Since(last.StartedAt); err == nil && last.EndedAt.IsZero() && age < ifOlder {
				fmt.Fprintf(cmd.OutOrStdout(), "session #%d is %s old; nothing to do\n", last.ID, runbook.Short(age))
				return nil
			}
			return restart(cmd.Context(), h)
		},
	}
	cmd.Flags().DurationVar(&ifOlder, "if-older", 0, "only when the session is older, such as 1h")
	return cmd
}

func restart(ctx context.Context, h *house.House) error {
	who, ok := h.Dir.Holder(state.Session)
	if !ok || who.PID == 0 {
		return errors.New("nobody keeps a session on this state directory; start it with watchkeeper up")
	}
	before, err := h.Store.LastSession(ctx)
	if err != nil && !errors.Is(err, runbook.ErrNotFound) {
		return err
	}
	if err := syscall.Kill(who.PID, syscall.SIGHUP); err != nil {
		return fmt.Errorf("ask %s (pid %d): %w", who.Program, who.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, drainWithin+2*time.Minute)
	defer cancel()
	watch, err := h.Store.Watch(ctx)
	if err != nil {
		return err
	}
	defer watch.Close()
	for {
		now, err := h.Store.LastSession(ctx)
		if err == nil && now.ID > before.ID {
			return nil
		}
		if err := watch.Wait(ctx, time.Second); err != nil {
			return fmt.Errorf("no new session yet (see watchkeeper status): %w", err)
		}
	}
}
