package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/cmd/internal/house"
)

func newBriefing(f *house.Flags) *cobra.Command {
	var days int
	cmd := &cobra.Command{
		Use:   "briefing",
		Short: "Print the page that a fresh session starts with",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if days < 1 {
				return fmt.Errorf("--days %d: want at least 1", days)
			}
			h, err := open(cmd, f)
			if err != nil {
				return err
			}
			defer h.Close()
			page, err := h.Briefing(cmd.Context(), time.Now(), days)
			if err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), page)
			return nil
		},
	}
	cmd.Flags().IntVar(&days, "days", 7, "how far back")
	return cmd
}
