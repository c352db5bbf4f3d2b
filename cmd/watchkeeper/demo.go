package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/fatih/color"
	"github.com/spf13/cobra"

	"watchkeeper"
	"watchkeeper/demo"
	"watchkeeper/runbook"
)

// readAlong is the time that a person has for each alert of the demo.
const readAlong = 700 * time.Millisecond

func newDemo() *cobra.Command {
	var exit, plain bool
	var listen string
	var port int
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole thing with sample clusters; needs nothing configured",
		Long: "Show the whole thing: alerts come in over HTTP, are triaged without a model on sample clusters, and reach a person. " +
			"It needs no configuration, no Claude, no Slack and no cluster, and stays up for alerts of your own until Ctrl-C.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := demo.Options{Out: cmd.OutOrStdout(), Exit: exit, Color: !plain && !color.NoColor, Listen: listen}
			// Only errors: the timeline is what there is to read.
			o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelError}))
			if cmd.Flags().Changed("port") {
				if listen != "" {
					return errors.New("--port and --listen say the same thing; give one of them")
				}
				o.Listen = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
			}
			// The default state directory may be a real one, and is not for play.
			if f := cmd.Flag("state"); f != nil && f.Changed {
				o.State = f.Value.String()
			}
			if !exit {
				o.Pause = readAlong
			}
			var err error
			if o.Playbooks, err = builtInPlaybooks(); err != nil {
				return err
			}
			return demo.Run(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&exit, "exit", false, "end with status 0 when every alert has its verdict, with another one if that takes over 60 s")
	flags.StringVar(&listen, "listen", "", "address of the intake (default "+demo.DefaultListen+", or a free port if that is taken)")
	flags.IntVar(&port, "port", 0, "port of the intake on 127.0.0.1; 0 is a free one")
	flags.BoolVar(&plain, "no-color", false, "write no colours (also: NO_COLOR)")
	return cmd
}

// builtInPlaybooks are those that came with the program: the demo does not
// depend on where it is started.
func builtInPlaybooks() (runbook.Playbooks, error) {
	dir, err := fs.Sub(watchkeeper.Workspace, "playbooks")
	if err != nil {
		return nil, err
	}
	all, err := runbook.LoadPlaybooks(dir)
	if err != nil {
		return nil, fmt.Errorf("read the built-in playbooks: %w", err)
	}
	return all, nil
}
