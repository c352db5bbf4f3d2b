// Watchkeeper is the operator's program: it keeps everything on duty (up), and
// shows and checks what is there.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"watchkeeper/cmd/internal/house"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "watchkeeper:", err)
		os.Exit(1)
	}
}

// newRoot returns the command with all its subcommands. Every one of them works
// while the others run, on the same state directory.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "watchkeeper",
		Short:         "An AI SRE for teams too small to have one",
		Version:       house.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	var f house.Flags
	house.AddFlags(root, &f)
	root.AddCommand(newUp(&f), newAttach(&f), newRestart(&f), newNote(), newStatus(&f), newHistory(&f), newBriefing(&f), newLint(&f), newDoctor(&f), newHook(&f), newDemo(),
		newInit(), newBackup(&f), newRestore(&f), newPrune(&f))
	return root
}

// open opens the house for a command that looks and does not serve.
func open(cmd *cobra.Command, f *house.Flags) (*house.House, error) {
	return house.Open(cmd.Context(), *f, f.Log(cmd.ErrOrStderr()))
}
