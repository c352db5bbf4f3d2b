package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/secret"
	"watchkeeper/session"
)

const (
	keeperLook = time.Second      // how soon a change is noted
	keeperBeat = 30 * time.Second // how often the keeper says that it lives
	// claimAfter is how long the last push may be unclaimed by an idle model. One
	// that claims does so within seconds.
	claimAfter = time.Minute
)

// noteKeeper writes down how the session is, for the watchdog and the status,
// until ctx is done.
func noteKeeper(ctx context.Context, h *house.House, state func() session.State) error {
	look := time.NewTicker(keeperLook)
	defer look.Stop()
	var last string
	var at time.Time
	for ctx.Err() == nil {
		if text := keeperNote(state()); text != last || time.Since(at) >= keeperBeat {
			if err := h.Store.Beat(ctx, sqlite.KeeperSign, text); err != nil && ctx.Err() == nil {
				h.Log.ErrorContext(ctx, "state of the session not recorded", "err", err)
			}
			last, at = text, time.Now()
		}
		select {
		case <-ctx.Done():
		case <-look.C:
		}
	}
	return nil
}

// keeperNote is the phase, the cause and what more there is to say, as
// [watch.Session] reads it.
func keeperNote(s session.State) string {
	text := string(s.Phase)
	if s.Mode != "" {
		text += " in " + s.Mode + " mode"
	}
	if s.Cause != "" {
		text = fmt.Sprintf("%s %s", s.Phase, s.Cause)
		if s.Detail != "" {
			text += ": " + secret.Redact(strings.Join(strings.Fields(s.Detail), " "))
		}
	}
	if s.Phase == session.Waiting && time.Until(s.RetryAt) > time.Minute {
		text += "; tried again at " + s.RetryAt.UTC().Format("15:04 UTC")
	}
	return text
}

// unheard names what an idle session should have claimed by now: pushed as
// often as it gets, once more than it takes to be sure. A page follows if the
// next session does not claim it either, and then nobody is replaced for it any
// more.
func unheard(h *house.House) func(context.Context, int64) (string, error) {
	return func(ctx context.Context, number int64) (string, error) {
		open, err := h.Store.Open(ctx)
		if err != nil {
			return "", err
		}
		var names []string
		for _, d := range open {
			if d.State == runbook.Pushed && d.Session == number && d.Pushes == runbook.MaxPushes && d.PagedAt.IsZero() && time.Since(d.PushedAt) >= claimAfter {
				names = append(names, d.ID.String())
			}
		}
		return strings.Join(names[:min(len(names), 10)], ", "), nil
	}
}
