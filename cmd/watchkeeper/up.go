package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/cmd/internal/people"
	"watchkeeper/state"
)

// modes are the ways in which a session is run; see session.mode of the
// configuration.
var modes = []string{"auto", "channels", "stream", "responder"}

func newUp(f *house.Flags) *cobra.Command {
	var mode string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Go on duty: receive alerts, keep the session, page people",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if mode != "" && !slices.Contains(modes, mode) {
				return fmt.Errorf("--mode %q: want one of %q", mode, modes)
			}
			h, err := open(cmd, f)
			if err != nil {
				return err
			}
			defer h.Close()
			if mode != "" {
				h.Config.Session.Mode = mode
			}
			return up(cmd.Context(), h, *f, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&mode, "mode", "", "how the session is run (auto, channels, stream, responder); default: session.mode of the configuration")
	return cmd
}

// up hosts every part until ctx is done. A second one on the same state
// directory stands by, and takes over what the first one loses.
func up(ctx context.Context, h *house.House, f house.Flags, out io.Writer) error {
	if err := preflight(h); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.Intake(ctx) })
	g.Go(func() error { return h.Watchdog(ctx, people.Cry(h), h.SessionChecks()...) })
	g.Go(func() error { return h.Upkeep(ctx) })
	g.Go(func() error { return exportTraces(ctx, h) })
	g.Go(func() error { return tellSystemd(ctx, h) })
	way := people.New(h)
	g.Go(func() error { return way.Escalator(ctx) })
	g.Go(func() error { return reachPeople(ctx, h, way, out) })
	g.Go(func() error {
		return h.Dir.Host(ctx, state.Session, h.Log, func(ctx context.Context) error { return duty(ctx, h, f) })
	})
	return g.Wait()
}
