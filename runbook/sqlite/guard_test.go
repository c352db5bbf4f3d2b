package sqlite_test

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

var limits = runbook.WriteLimits{PerHour: 3, PerTargetPerHour: 2}

func write(target string) runbook.Write {
	return runbook.Write{Action: "restart_deployment", Target: target, Actor: "session", Reason: "wedged", UID: "u1", Version: "7", Delivery: 42}
}

func begin(t *testing.T, s *sqlite.Store, w runbook.Write, now time.Time) runbook.Write {
	t.Helper()
	w, err := s.BeginWrite(t.Context(), w, limits, now)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// denied fails unless err is a denial with that text.
func denied(t *testing.T, err error, want string) {
	t.Helper()
	var d *runbook.WriteDenied
	if !errors.As(err, &d) || !strings.Contains(err.Error(), want) {
		t.Errorf("error = %v, want a denial with %q", err, want)
	}
}

func TestLimitsSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	s := openAt(t, path)
	for i := range 2 {
		w := begin(t, s, write("prod/shop/Deployment/cart"), noon.Add(time.Duration(i)*time.Minute))
		if err := s.EndWrite(t.Context(), w, runbook.WriteOK, "3 of 3 available", noon.Add(time.Duration(i)*time.Minute+time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	s = openAt(t, path)
	later := noon.Add(10 * time.Minute)
	_, err := s.BeginWrite(t.Context(), write("prod/shop/Deployment/cart"), limits, later)
	denied(t, err, "2 writes in an hour are allowed for prod/shop/Deployment/cart")
	denied(t, s.AllowWrite(t.Context(), write("prod/shop/Deployment/cart"), limits, later), "not before 13:00:00Z")
	if err := s.AllowWrite(t.Context(), write("prod/shop/Deployment/other"), limits, later); err != nil {
		t.Errorf("another target: %v", err)
	}
	rows, err := s.Audits(t.Context(), "restart_deployment", noon)
	if err != nil || len(rows) != 4 {
		t.Fatalf("audit = %+v, %v, want a row before and one after each write, and none for what was denied", rows, err)
	}
	if got := rows[0]; got.Phase != "after" || got.Detail != "3 of 3 available" || got.Delivery != 42 || got.Actor != "session" {
		t.Errorf("last row = %+v", got)
	}
}

func TestOneOfManyConcurrentWritesBegins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	var wg sync.WaitGroup
	var mu sync.Mutex
	began := 0
	for range 4 { // as many processes
		s := openAt(t, path)
		for range 5 {
			wg.Go(func() {
				_, err := s.BeginWrite(t.Context(), write("prod/shop/Deployment/cart"), limits, noon)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					began++
				} else if d := (*runbook.WriteDenied)(nil); !errors.As(err, &d) || d.Running == 0 {
					t.Errorf("BeginWrite = %v, want one that is under way", err)
				}
			})
		}
	}
	wg.Wait()
	if began != 1 {
		t.Errorf("%d writes began, want 1", began)
	}
}

func TestTwoActsForOneDeliveryAreNotBothBegun(t *testing.T) {
	s := openStore(t)
	first := write("prod/shop/Deployment/cart")
	first.Once = true
	begin(t, s, first, noon)
	second := write("prod/shop/Deployment/orders")
	second.Once = true
	_, err := s.BeginWrite(t.Context(), second, limits, noon.Add(time.Minute))
	denied(t, err, "restart_deployment of prod/shop/Deployment/cart was done for d42 at 12:00:00Z")
	second.Delivery = 43
	begin(t, s, second, noon.Add(2*time.Minute))
}

func TestBreakerOpensAndSaysUntilWhen(t *testing.T) {
	s := openStore(t)
	for i, target := range []string{"a", "b", "c"} {
		at := noon.Add(time.Duration(i) * 30 * time.Minute)
		w := begin(t, s, write(target), at)
		if err := s.EndWrite(t.Context(), w, runbook.WriteFailed, "409", at.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.BeginWrite(t.Context(), write("d"), limits, noon.Add(61*time.Minute))
	denied(t, err, "the last 3 writes failed, so all writes are stopped; not before 13:30:01Z")
	begin(t, s, write("d"), noon.Add(95*time.Minute))
}

func TestTheFirstEndCounts(t *testing.T) {
	s := openStore(t)
	w := begin(t, s, write("a"), noon)
	for _, o := range []runbook.Outcome{runbook.WriteOK, runbook.WriteFailed} {
		if err := s.EndWrite(t.Context(), w, o, string(o), noon.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := s.Audits(t.Context(), "restart_deployment", noon)
	if err != nil || len(rows) != 2 || rows[0].Detail != "ok" {
		t.Errorf("audit = %+v, %v, want one end, the first", rows, err)
	}
}

func TestConfirmationHoldsOnceForOneStateOfOneObject(t *testing.T) {
	tests := []struct {
		name  string
		token string
		with  func(*runbook.Write)
		after time.Duration
		want  string // "" is allowed
	}{
		{"as given", "tok", func(*runbook.Write) {}, time.Minute, ""},
		{"in the last moment", "tok", func(*runbook.Write) {}, runbook.ConfirmWithin, ""},
		{"too late", "tok", func(*runbook.Write) {}, runbook.ConfirmWithin + time.Millisecond, "has expired"},
		{"another one", "tak", func(*runbook.Write) {}, time.Minute, "was never given"},
		{"moved to another object", "tok", func(w *runbook.Write) { w.Target = "prod/shop/Deployment/other" }, time.Minute, "is for restart_deployment of prod/shop/Deployment/cart"},
		{"moved to another action", "tok", func(w *runbook.Write) { w.Action = "refresh_argocd_app" }, time.Minute, "is for restart_deployment"},
		{"the object was made anew", "tok", func(w *runbook.Write) { w.UID = "u2" }, time.Minute, "has changed"},
		{"the object has changed", "tok", func(w *runbook.Write) { w.Version = "8" }, time.Minute, "has changed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "memory.db")
			s := openAt(t, path)
			w := write("prod/shop/Deployment/cart")
			if err := s.Confirmation(t.Context(), "tok", w, noon.Add(runbook.ConfirmWithin)); err != nil {
				t.Fatal(err)
			}
			s.Close()
			s = openAt(t, path) // it survives a restart
			tt.with(&w)
			w.Confirm = tt.token
			_, err := s.BeginWrite(t.Context(), w, limits, noon.Add(tt.after))
			if tt.want != "" {
				denied(t, err, tt.want)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.BeginWrite(t.Context(), w, limits, noon.Add(tt.after+runbook.WriteTakes))
			denied(t, err, "was used before")
		})
	}
}

func TestADeniedWriteSpendsNoConfirmation(t *testing.T) {
	s := openStore(t)
	w := write("a")
	if err := s.Confirmation(t.Context(), "tok", w, noon.Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	w.Confirm = "tok"
	_, err := s.BeginWrite(t.Context(), w, runbook.WriteLimits{}, noon)
	denied(t, err, "allows no writes")
	begin(t, s, w, noon)
}
