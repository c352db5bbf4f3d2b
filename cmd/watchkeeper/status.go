package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/runbook"
	"watchkeeper/state"
)

func newStatus(f *house.Flags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show who is at work and what waits, on one screen",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := open(cmd, f)
			if err != nil {
				return err
			}
			defer h.Close()
			s, err := gatherStatus(cmd.Context(), h)
			if err != nil {
				return fmt.Errorf("gather status: %w", err)
			}
			if asJSON {
				out := json.NewEncoder(cmd.OutOrStdout())
				out.SetIndent("", "  ")
				return out.Encode(s)
			}
			return s.print(cmd.OutOrStdout(), time.Now())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

// status is what status --json prints. Times are RFC 3339 in UTC; null is
// never.
type status struct {
	Version     string             `json:"version"`
	StateDir    string             `json:"state_dir"`
	Listen      string             `json:"listen"`
	Parts       map[string]*holder `json:"parts"`   // null: nobody hosts it
	Session     *sessionStatus     `json:"session"` // the newest one; null before the first
	Queue       map[string]int     `json:"queue"`   // open events by state
	LastEvent   *time.Time         `json:"last_event"`
	Escalations []escalationStatus `json:"escalations"` // open and snoozed
	Unsent      int                `json:"unsent_messages"`
	Clusters    []string           `json:"clusters"`
	Beats       map[string]beat    `json:"beats"`
}

type holder struct {
	PID     int    `json:"pid"`
	Program string `json:"program"`
}

type sessionStatus struct {
	ID        int64      `json:"id"`
	Mode      string     `json:"mode"`
	PID       int        `json:"pid"`
	StartedAt time.Time  `json:"started_at"`
	EndedAt   *time.Time `json:"ended_at"`
	Reason    string     `json:"reason"`
}

type escalationStatus struct {
	ID       int64                   `json:"id"`
	Title    string                  `json:"title"`
	State    runbook.EscalationState `json:"state"`
	OpenedAt time.Time               `json:"opened_at"`
	Nags     int                     `json:"nags"`
}

type beat struct {
	At     time.Time `json:"at"`
	Detail string    `json:"detail"`
}

func gatherStatus(ctx context.Context, h *house.House) (status, error) {
	s := status{
		Version: house.Version, StateDir: h.Dir.String(), Listen: h.Config.Listen, Parts: map[string]*holder{},
		Queue: map[string]int{}, Escalations: []escalationStatus{}, Clusters: slices.Sorted(maps.Keys(h.Config.Clusters)),
		Beats: map[string]beat{},
	}
	for _, p := range state.Parts() {
		s.Parts[string(p)] = nil
		if who, ok := h.Dir.Holder(p); ok {
			s.Parts[string(p)] = &holder{who.PID, who.Program}
		}
	}
	return s, errors.Join(s.session(ctx, h), s.events(ctx, h), s.people(ctx, h))
}

func (s *status) session(ctx context.Context, h *house.House) error {
	last, err := h.Store.LastSession(ctx)
	if errors.Is(err, runbook.ErrNotFound) {
		return nil
	}
	s.Session = &sessionStatus{last.ID, last.Mode, last.PID, last.StartedAt, unlessZero(last.EndedAt), last.Reason}
	return err
}

func (s *status) events(ctx context.Context, h *house.House) error {
	open, err := h.Store.Open(ctx)
	for _, d := range open {
		s.Queue[string(d.State)]++
	}
	return errors.Join(err, h.Store.Occurrences(ctx, time.Time{}, "", 1, func(o runbook.Occurrence) bool {
		s.LastEvent = &o.ReceivedAt
		return false
	}))
}

func (s *status) people(ctx context.Context, h *house.House) error {
	open, err := h.Store.Escalations(ctx, runbook.EscalationOpen, runbook.EscalationSnoozed)
	for _, e := range open {
		s.Escalations = append(s.Escalations, escalationStatus{e.ID, e.Title, e.State, e.OpenedAt, e.Nags})
	}
	unsent, err2 := h.Store.Outbox(ctx, time.Now().Add(time.Hour))
	s.Unsent = len(unsent)
	beats, err3 := h.Store.Beats(ctx)
	for _, b := range beats {
		s.Beats[b.Name] = beat{b.At, b.Detail}
	}
	return errors.Join(err, err2, err3)
}

func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// print writes the one screen for people.
func (s status) print(w io.Writer, now time.Time) error {
	tab := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	ago := func(t time.Time) string { return runbook.Short(now.Sub(t)) + " ago" }
	line := func(name, format string, args ...any) {
		fmt.Fprintf(tab, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}

	line("state", "%s", s.StateDir)
	for _, p := range state.Parts() {
		if who := s.Parts[string(p)]; who != nil {
			line(string(p), "%s (pid %d)", who.Program, who.PID)
		} else {
			line(string(p), "nobody")
		}
	}
	switch v := s.Session; {
	case v == nil:
		line("last session", "none yet")
	case v.EndedAt != nil:
		line("last session", "#%d %s, ended %s: %s", v.ID, v.Mode, ago(*v.EndedAt), v.Reason)
	default:
		line("last session", "#%d %s, pid %d, since %s", v.ID, v.Mode, v.PID, ago(v.StartedAt))
	}
	line("events", "%d queued, %d pushed, %d claimed", s.Queue["queued"], s.Queue["pushed"], s.Queue["claimed"])
	if s.LastEvent != nil {
		line("last alert", "%s", ago(*s.LastEvent))
	}
	line("messages", "%d unsent", s.Unsent)
	line("clusters", "%s", strings.Join(s.Clusters, ", "))
	for _, name := range slices.Sorted(maps.Keys(s.Beats)) {
		line("beat "+name, "%s: %s", ago(s.Beats[name].At), plain(s.Beats[name].Detail))
	}
	for _, e := range s.Escalations {
		line(fmt.Sprintf("escalation %d", e.ID), "%s, opened %s, %d nags: %s", e.State, ago(e.OpenedAt), e.Nags, plain(e.Title))
	}
	return tab.Flush()
}
