// Sre-tools is the MCP server with what the session may look at and do:
// clusters, deployments, observability and the incident memory.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"watchkeeper/channels"
	"watchkeeper/cmd/internal/house"
	"watchkeeper/cmd/internal/toolbox"
	"watchkeeper/tools"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "sre-tools:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var f house.Flags
	cmd := &cobra.Command{
		Use:           "sre-tools",
		Short:         "MCP server with what the session may look at and do",
		Long:          "MCP server on stdin and stdout with what a Claude Code session may look at and do.",
		Args:          cobra.NoArgs,
		Version:       house.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), f, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	house.AddFlags(cmd, &f)
	return cmd
}

// run serves MCP until the session closes stdin. Stdout carries the protocol;
// everything for people goes to stderr.
func run(ctx context.Context, f house.Flags, stdin io.Reader, stdout, stderr io.Writer) error {
	h, err := house.Open(ctx, f, f.Log(stderr))
	if err != nil {
		return err
	}
	defer h.Close()
	c, err := toolbox.New(h)
	if err != nil {
		return err
	}
	server := tools.New(house.Version, h.Recorder("sre-tools").Tools(tools.All(c)))
	return channels.Serve(ctx, server, stdin, stdout, h.Log)
}
