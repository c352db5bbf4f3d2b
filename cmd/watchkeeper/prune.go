package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/cmd/internal/house"
)

func newPrune(f *house.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "prune",
		Short: "Forget what is old, as up does once a day",
		Long: "Forgets what is older than retention.raw_days and retention.incident_days, and never what is open. up does\n" +
			"it by itself; this is for those who run without it, or have just made the retention shorter.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := open(cmd, f)
			if err != nil {
				return err
			}
			defer h.Close()
			forgot, err := h.Keeper().Prune(cmd.Context(), time.Now())
			fmt.Fprintf(cmd.OutOrStdout(), "forgot: %s\n", forgot)
			return err
		},
	}
}
