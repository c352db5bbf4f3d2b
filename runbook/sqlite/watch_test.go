package sqlite_test

import (
	"context"
	"testing"
	"time"

	"watchkeeper/runbook/sqlite"
)

func TestWatchersLeaveTheReadersAlone(t *testing.T) {
	s := openStore(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 10 {
		w, err := s.Watch(ctx)
		if err != nil {
			t.Fatalf("Watch = %v, want as many watchers as there are parts", err)
		}
		defer w.Close()
	}
	if _, err := s.Open(ctx); err != nil {
		t.Errorf("Open = %v, want an answer while ten parts watch", err)
	}
}

func TestWatcherSeesWhatAnotherProcessWrites(t *testing.T) {
	path := t.TempDir() + "/memory.db"
	var stores []*sqlite.Store
	for range 2 {
		s, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		stores = append(stores, s)
	}
	for name, writer := range map[string]*sqlite.Store{"this process": stores[0], "another one": stores[1]} {
		w, err := stores[0].Watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		if err := writer.SetNote(t.Context(), "n", name); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := w.Wait(t.Context(), time.Minute); err != nil || time.Since(began) > 30*time.Second {
			t.Errorf("Wait after a write of %s = %v after %s, want it at once", name, err, time.Since(began))
		}
	}
}
