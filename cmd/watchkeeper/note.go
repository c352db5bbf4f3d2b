package main

import (
	"github.com/spf13/cobra"

	"watchkeeper/session"
)

// newNote is for the hooks of a session in channels mode, see
// [session.Channels]. It prints nothing: what a hook prints, the model reads.
func newNote() *cobra.Command {
	return &cobra.Command{
		Use:    "note FILE",
		Short:  "Keep what the session's hooks say",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return session.Note(args[0], cmd.InOrStdin())
		},
	}
}
