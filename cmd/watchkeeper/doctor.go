package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/doctor"
)

// errUnwell ends a doctor's visit that found something.
var errUnwell = errors.New("something must be mended: the lines that begin with ! say what, and how")

func newDoctor(f *house.Flags) *cobra.Command {
	var asJSON bool
	visit := func(use, short string, examine func(*patient, context.Context) []doctor.Finding) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				p, err := newPatient(cmd, f)
				if err != nil {
					return err
				}
				found := append(p.configuration(), examine(p, cmd.Context())...)
				if asJSON {
					return reportJSON(cmd.OutOrStdout(), found)
				}
				return report(cmd.OutOrStdout(), found)
			},
		}
	}
	cmd := visit("doctor", "Look at everything that is needed, and say what to do about what is wrong", (*patient).everything)
	cmd.Long = "Looks at the programs, the login, the workspace, the machine, the memory, the intake and its senders, Slack, the\n" +
		"clusters, SigNoz and GitLab. It changes nothing. A line with ! must be mended (exit code 1), one with ? is advice."
	cmd.PersistentFlags().BoolVar(&asJSON, "json", false, "one JSON object")
	var card bool
	slackCmd := visit("slack", "Check tokens, scopes, the person on call and Socket Mode", func(p *patient, ctx context.Context) []doctor.Finding {
		p.testCard = card
		return p.slack(ctx)
	})
	slackCmd.Flags().BoolVar(&card, "test-card", false, "send the person on call a card that says it is a test")
	cmd.AddCommand(slackCmd,
		visit("kube", "Check what the agent may do in each cluster, and what it must not", (*patient).kube))
	return cmd
}

// report prints the lines, with what to do below those that are not well.
func report(w io.Writer, found []doctor.Finding) error {
	marks := map[doctor.Level]string{doctor.OK: " ", doctor.Advice: "?", doctor.Wrong: "!"}
	tab := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, f := range found {
		fmt.Fprintf(tab, "%s %s\t%s\t%s\n", marks[f.Level], plain(f.Where), plain(f.What), plain(f.Detail))
		if f.Fix != "" {
			fmt.Fprintf(tab, "  \t\t-> %s\n", plain(f.Fix))
		}
	}
	return errors.Join(tab.Flush(), unwell(found))
}

func reportJSON(w io.Writer, found []doctor.Finding) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	err := out.Encode(struct {
		OK       bool             `json:"ok"`
		Findings []doctor.Finding `json:"findings"`
	}{unwell(found) == nil, found})
	return errors.Join(err, unwell(found))
}

func unwell(found []doctor.Finding) error {
	for _, f := range found {
		if f.Level == doctor.Wrong {
			return errUnwell
		}
	}
	return nil
}
