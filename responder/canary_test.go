package responder_test

import (
	"path/filepath"
	"testing"
	"time"

	"watchkeeper/runbook"
)

func TestACanaryWakesNobody(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "memory.db"))
	if err := store.SendCanary(t.Context(), "n1", time.Now()); err != nil {
		t.Fatal(err)
	}
	put(t, store, alert(runbook.CanaryAlert, "", "", func(a *runbook.Alert) { a.Labels = map[string]string{runbook.CanaryLabel: "n1"} }))
	start(t, store, nil, samples(t))
	waitDone(t, store)
	if all := escalations(t, store); len(all) != 0 {
		t.Errorf("escalations = %+v, want none", all)
	}
	if all, err := store.Canaries(t.Context(), 1); err != nil || len(all) != 1 || all[0].DecidedAt.IsZero() {
		t.Errorf("canaries = %+v, %v, want it back", all, err)
	}
}
