package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/runbook"
)

func newHistory(f *house.Flags) *cobra.Command {
	var q historyQuery
	var since string
	cmd := &cobra.Command{
		Use:   "history",
		Short: "List what alerts came in and how they ended, newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			age, err := parseAge(since)
			if err != nil {
				return fmt.Errorf("--since: %w", err)
			}
			if err := runbook.ValidGlob(q.alert); err != nil {
				return fmt.Errorf("--alert %q: %w", q.alert, err)
			}
			h, err := open(cmd, f)
			if err != nil {
				return err
			}
			defer h.Close()
			q.since = time.Now().Add(-age)
			return history(cmd, h, q)
		},
	}
	cmd.Flags().StringVar(&since, "since", "7d", "how far back: 90m, 12h, 7d, 2w")
	cmd.Flags().StringVar(&q.alert, "alert", "", "only alerts whose name matches this glob")
	cmd.Flags().IntVar(&q.limit, "limit", 0, "at most so many; 0 is all")
	cmd.Flags().BoolVar(&q.json, "json", false, "one JSON object a line")
	return cmd
}

type historyQuery struct {
	since time.Time
	alert string
	limit int
	json  bool
}

func history(cmd *cobra.Command, h *house.House, q historyQuery) error {
	show, flush := historyTable(cmd.OutOrStdout())
	if q.json {
		show, flush = historyLines(cmd.OutOrStdout())
	}
	var wrong error
	err := h.Store.Occurrences(cmd.Context(), q.since, q.alert, q.limit, func(o runbook.Occurrence) bool {
		wrong = show(o)
		return wrong == nil
	})
	if err == nil {
		err = wrong
	}
	if err != nil {
		return fmt.Errorf("list history: %w", err)
	}
	return flush()
}

// occurrence is a line of history --json. Times are RFC 3339 in UTC.
type occurrence struct {
	Source      string                `json:"source"`
	Fingerprint string                `json:"fingerprint"`
	StartsAt    time.Time             `json:"starts_at"`
	EndsAt      *time.Time            `json:"ends_at"` // null while firing, or when the sender gave none
	Alert       string                `json:"alert"`
	Severity    runbook.Severity      `json:"severity"`
	SeverityRaw string                `json:"severity_raw"`
	Service     string                `json:"service"`
	Cluster     string                `json:"cluster"`
	Namespace   string                `json:"namespace"`
	Env         runbook.Env           `json:"env"`
	Status      runbook.Status        `json:"status"`
	Count       int                   `json:"count"`
	Flaps       int                   `json:"flaps"`
	ReceivedAt  time.Time             `json:"received_at"`
	Delivery    string                `json:"delivery"`
	State       runbook.DeliveryState `json:"state"`
	Verdict     runbook.Verdict       `json:"verdict"` // "" until decided
	Escalated   bool                  `json:"escalated"`
	NoData      bool                  `json:"no_data"`
	Test        bool                  `json:"test"`
}

func historyLines(w io.Writer) (show func(runbook.Occurrence) error, flush func() error) {
	out := json.NewEncoder(w)
	return func(o runbook.Occurrence) error {
		line := occurrence{
			Source: o.Source, Fingerprint: o.Fingerprint, StartsAt: o.StartsAt, Alert: o.Name, Severity: o.Severity,
			SeverityRaw: o.SeverityRaw, Service: o.Service, Cluster: o.Cluster, Namespace: o.Namespace, Env: o.Env,
			Status: o.Status, Count: o.Count, Flaps: o.Flaps, ReceivedAt: o.ReceivedAt, Delivery: o.Delivery.String(),
			State: o.State, Verdict: o.Verdict, Escalated: o.Escalated, NoData: o.NoData, Test: o.Test,
		}
		if !o.EndsAt.IsZero() {
			line.EndsAt = &o.EndsAt
		}
		return out.Encode(line)
	}, func() error { return nil }
}

func historyTable(w io.Writer) (show func(runbook.Occurrence) error, flush func() error) {
	tab := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tab, "RECEIVED (UTC)\tALERT\tSERVICE\tCLUSTER\tSEVERITY\tSTATUS\tVERDICT")
	return func(o runbook.Occurrence) error {
		verdict := string(o.Verdict)
		if verdict == "" {
			verdict = "(" + string(o.State) + ")"
		}
		if o.Escalated {
			verdict += ", escalated"
		}
		_, err := fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", o.ReceivedAt.Format("2006-01-02 15:04:05"), plain(o.Name),
			plain(o.Service), plain(o.Cluster), o.Severity, o.Status, verdict)
		return err
	}, tab.Flush
}

// plain keeps what senders wrote from moving the cursor of a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}

// parseAge reads a Go duration, or a number of days (7d) or weeks (2w).
func parseAge(s string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": runbook.Day, "w": runbook.Week} {
		if n, err := strconv.ParseFloat(strings.TrimSuffix(s, suffix), 64); strings.HasSuffix(s, suffix) && err == nil && n >= 0 {
			return time.Duration(n * float64(unit)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no age; want 90m, 12h, 7d or 2w", s)
	}
	return d, nil
}
