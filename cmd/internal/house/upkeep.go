package house

import (
	"context"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/state"
	"watchkeeper/upkeep"
)

// Upkeep has the memory forget what is old and looks after its disk, while this
// process holds the lock.
func (h *House) Upkeep(ctx context.Context) error {
	return h.Dir.Host(ctx, state.Upkeep, h.Log, h.Keeper().Run)
}

// Keeper is the upkeep as it is configured.
func (h *House) Keeper() *upkeep.Keeper {
	keep := h.Config.Retention
	return &upkeep.Keeper{
		Memory: h.Store, Disk: &upkeep.Disk{Path: h.Dir.String(), People: h.Store, Log: h.Log},
		Raw: days(keep.RawDays), Incidents: days(keep.IncidentDays), Log: h.Log,
	}
}

func days(n int) time.Duration { return time.Duration(n) * runbook.Day }
