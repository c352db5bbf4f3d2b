package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/channels"
	"watchkeeper/channels/slack"
	"watchkeeper/cmd/internal/house"
	"watchkeeper/cmd/internal/people"
	"watchkeeper/cmd/internal/toolbox"
	"watchkeeper/lint"
	"watchkeeper/runbook"
	"watchkeeper/tools"
)

func newLint(f *house.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "lint",
		Short: "Check CLAUDE.md, the agents and the playbooks like code",
		Long: "Checks the runbook of the workspace: front matter, tools and files that it names, contradictions with the\n" +
			"policy, size, and alerts of the last 30 days that no playbook matches. It needs neither a configuration nor a\n" +
			"state directory, and makes none.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := house.Visit(cmd.Context(), *f, f.Log(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			defer h.Close()
			found, err := lintWorkspace(cmd.Context(), h)
			if err != nil {
				return fmt.Errorf("lint %s: %w", h.Workspace, err)
			}
			errors := 0
			for _, f := range found {
				fmt.Fprintln(cmd.OutOrStdout(), f)
				if f.Level == lint.Error {
					errors++
				}
			}
			if errors > 0 {
				return fmt.Errorf("the runbook has %d errors", errors)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d warnings, no errors\n", h.Workspace, len(found))
			return nil
		},
	}
}

func lintWorkspace(ctx context.Context, h *house.House) ([]lint.Finding, error) {
	known, err := offered(h)
	if err != nil {
		return nil, err
	}
	recent, err := recentAlerts(ctx, h)
	if err != nil {
		return nil, err
	}
	return lint.Check(lint.Runbook{Files: os.DirFS(h.Workspace), Tools: known, Policy: h.Config.Policy.Rules(), Alerts: recent})
}

// offered are the tools that the three servers offer to a session.
func offered(h *house.House) ([]lint.Tool, error) {
	c, err := toolbox.New(h)
	if err != nil {
		return nil, err
	}
	all, err := lint.Tools("sre-tools", tools.All(c)...)
	if err != nil {
		return nil, err
	}
	hook, err := lint.Tools("webhook", channels.PendingEvents(h.Store))
	if err != nil {
		return nil, err
	}
	talk, err := lint.Tools("slack", slack.Tools(h.Store, people.Calling(h))...)
	return append(append(all, hook...), talk...), err
}

// recentAlerts counts what fired in the last month, by name and service. Where
// no memory is, nothing did.
func recentAlerts(ctx context.Context, h *house.House) ([]lint.Alert, error) {
	if h.Store == nil {
		return nil, nil
	}
	type key struct{ name, service string }
	seen := map[key]int{}
	var out []lint.Alert
	err := h.Store.Occurrences(ctx, time.Now().Add(-runbook.Month), "", 0, func(o runbook.Occurrence) bool {
		k := key{o.Name, o.Service}
		i, ok := seen[k]
		if !ok {
			i = len(out)
			seen[k] = i
			out = append(out, lint.Alert{Name: o.Name, Service: o.Service, Labels: o.Labels})
		}
		out[i].Times++
		return true
	})
	return out, err
}
