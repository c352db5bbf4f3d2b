package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"watchkeeper/channels/slack"
	"watchkeeper/cmd/internal/house"
	"watchkeeper/cmd/internal/people"
	"watchkeeper/cmd/internal/toolbox"
	"watchkeeper/state"
	"watchkeeper/tools"
)

// errUnwell ends a doctor's visit that found something.
var errUnwell = errors.New("something is missing: the lines that begin with ! say what")

func newDoctor(f *house.Flags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Ask Slack and the clusters whether everything is in place",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return errors.Join(doctorSlack(cmd, f, false), doctorKube(cmd, f))
		},
	}
	var card bool
	slackCmd := &cobra.Command{
		Use:   "slack",
		Short: "Check tokens, scopes, the person on call and Socket Mode",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return doctorSlack(cmd, f, card) },
	}
	slackCmd.Flags().BoolVar(&card, "test-card", false, "send the person on call a card that says it is a test")
	cmd.AddCommand(slackCmd, &cobra.Command{
		Use:   "kube",
		Short: "Check what the agent may do in each cluster, and what it must not",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return doctorKube(cmd, f) },
	})
	return cmd
}

func doctorSlack(cmd *cobra.Command, f *house.Flags, card bool) error {
	h, err := open(cmd, f)
	if err != nil {
		return err
	}
	defer h.Close()
	_, linked := h.Dir.Holder(state.Link)
	c := h.Config
	return report(cmd.OutOrStdout(), slackFindings(slack.Doctor(cmd.Context(), slack.Examination{
		URL: c.Slack.APIURL, Bot: c.Secrets.SlackBot, App: c.Secrets.SlackApp, People: people.OnCall(h), Alone: !linked, TestCard: card,
	})))
}

func doctorKube(cmd *cobra.Command, f *house.Flags) error {
	h, err := open(cmd, f)
	if err != nil {
		return err
	}
	defer h.Close()
	return report(cmd.OutOrStdout(), kubeFindings(tools.Doctor(cmd.Context(), toolbox.Clusters(h.Config))))
}

// A check is one line of the doctor.
type check struct {
	where, what, detail, fix string
	ok                       bool
}

func slackFindings(found []slack.Finding) (out []check) {
	for _, f := range found {
		out = append(out, check{"slack", f.What, f.Detail, f.Fix, f.OK})
	}
	return out
}

func kubeFindings(rows []tools.DoctorRow) (out []check) {
	if len(rows) == 0 {
		return []check{{where: "kube", what: "clusters", detail: "none is configured", ok: true}}
	}
	for _, r := range rows {
		detail := fmt.Sprintf("want %s, got %s", r.Want, r.Got)
		if r.Detail != "" {
			detail += "; " + r.Detail
		}
		out = append(out, check{r.Cluster, r.What, detail, r.Fix, r.OK})
	}
	return out
}

// report prints the lines, with what to do below those that are not well.
func report(w io.Writer, checks []check) error {
	tab := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	var unwell error
	for _, c := range checks {
		mark := " "
		if !c.ok {
			mark, unwell = "!", errUnwell
		}
		fmt.Fprintf(tab, "%s %s\t%s\t%s\n", mark, plain(c.where), plain(c.what), plain(c.detail))
		if c.fix != "" {
			fmt.Fprintf(tab, "  \t\t-> %s\n", plain(c.fix))
		}
	}
	return errors.Join(tab.Flush(), unwell)
}
