package house

import (
	"context"
	"math"
	"slices"
	"time"

	"watchkeeper/channels/webhook"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/upkeep"
)

// gauges are the numbers of the house that are not the intake's own.
func (h *House) gauges() []webhook.Gauge {
	return []webhook.Gauge{
		{Name: "watchkeeper_deliveries_pending", Help: "Events that wait for a claim.", Value: number(func(ctx context.Context) (int, error) {
			return h.Store.Pending(ctx, "webhook", time.Now())
		})},
		{Name: "watchkeeper_escalations_open", Help: "Escalations that nobody has acknowledged.", Value: number(func(ctx context.Context) (int, error) {
			open, err := h.Store.Escalations(ctx, runbook.EscalationOpen, runbook.EscalationSnoozed)
			return len(open), err
		})},
		{Name: "watchkeeper_troubles_open", Help: "Things that are wrong with the watch itself, which people were told of.", Value: number(func(ctx context.Context) (int, error) {
			open, err := h.Store.Troubles(ctx)
			return len(open), err
		})},
		{Name: "watchkeeper_session_silence_seconds", Help: "Time since the session gave a sign of life; a session on duty gives one every 30 seconds.", Value: h.since(sqlite.SessionSign)},
		{Name: "watchkeeper_canary_seconds", Help: "Round trip of the last canary that came back: intake, session, verdict.", Value: h.canarySeconds},
		{Name: "watchkeeper_backup_age_seconds", Help: "Time since the last backup that was made by watchkeeper backup.", Value: h.since(BackupBeat)},
		{Name: "watchkeeper_prune_age_seconds", Help: "Time since the memory was last pruned; it is, once a day.", Value: h.since(upkeep.BeatName)},
		{Name: "watchkeeper_disk_free_bytes", Help: "Bytes that may still be written to the disk of the state directory.", Value: func(context.Context) float64 {
			free, err := upkeep.Free(h.Dir.String())
			if err != nil {
				return math.NaN()
			}
			return float64(free)
		}},
	}
}

// BackupBeat is the sign of life that remembers the last backup.
const BackupBeat = "backup"

// since makes a gauge of the time since a sign of life, which is unknown before
// the first one.
func (h *House) since(name string) func(context.Context) float64 {
	return func(ctx context.Context) float64 {
		beats, err := h.Store.Beats(ctx)
		if i := slices.IndexFunc(beats, func(b sqlite.Heartbeat) bool { return b.Name == name }); err == nil && i >= 0 {
			return time.Since(beats[i].At).Seconds()
		}
		return math.NaN()
	}
}

// canarySeconds is unknown before the first one is back.
func (h *House) canarySeconds(ctx context.Context) float64 {
	all, err := h.Store.Canaries(ctx, 100)
	if i := slices.IndexFunc(all, func(c runbook.Canary) bool { return !c.DecidedAt.IsZero() }); err == nil && i >= 0 {
		return all[i].DecidedAt.Sub(all[i].SentAt).Seconds()
	}
	return math.NaN()
}

// number makes a gauge of a count; a count that fails is unknown.
func number(count func(context.Context) (int, error)) func(context.Context) float64 {
	return func(ctx context.Context) float64 {
		n, err := count(ctx)
		if err != nil {
			return math.NaN()
		}
		return float64(n)
	}
}
