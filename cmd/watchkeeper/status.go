package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	Troubles    []troubleStatus    `json:"troubles"` // of the watch itself, open
	Canary      *canaryStatus      `json:"canary"`   // the newest one; null before the first
	Clusters    []string           `json:"clusters"`
	Beats       map[string]beat    `json:"beats"` // signs of life; sender:NAME and heartbeat:CLUSTER are those from outside
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

type troubleStatus struct {
	Key        string    `json:"key"`
	Since      time.Time `json:"since"`
	Escalation int64     `json:"escalation"`
}

type canaryStatus struct {
	SentAt  time.Time `json:"sent_at"`
	State   string    `json:"state"`   // flying, back or lost
	Seconds float64   `json:"seconds"` // on its way; 0 unless it is back
}

type beat struct {
	At     time.Time `json:"at"`
	Detail string    `json:"detail"`
}

func gatherStatus(ctx context.Context, h *house.House) (status, error) {
	s := status{
		Version: house.Version, StateDir: h.Dir.String(), Listen: h.Config.Listen, Parts: map[string]*holder{},
		Queue: map[string]int{}, Escalations: []escalationStatus{}, Clusters: append([]string{}, slices.Sorted(maps.Keys(h.Config.Clusters))...),
		Beats: map[string]beat{}, Troubles: []troubleStatus{},
	}
	for _, p := range state.Parts() {
		s.Parts[string(p)] = nil
		if who, ok := h.Dir.Holder(p); ok {
			s.Parts[string(p)] = &holder{who.PID, who.Program}
		}
	}
	return s, errors.Join(s.session(ctx, h), s.events(ctx, h), s.people(ctx, h), s.watch(ctx, h))
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
	return errors.Join(err, err2)
}

// watch is what the watchdog sees.
func (s *status) watch(ctx context.Context, h *house.House) error {
	open, err := h.Store.Troubles(ctx)
	for _, t := range open {
		s.Troubles = append(s.Troubles, troubleStatus{t.Key, t.Since, t.Escalation})
	}
	all, err2 := h.Store.Canaries(ctx, 1)
	for _, c := range all {
		s.Canary = &canaryStatus{SentAt: c.SentAt, State: "flying"}
		switch {
		case !c.LostAt.IsZero():
			s.Canary.State = "lost"
		case !c.DecidedAt.IsZero():
			s.Canary.State, s.Canary.Seconds = "back", c.DecidedAt.Sub(c.SentAt).Seconds()
		}
	}
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
