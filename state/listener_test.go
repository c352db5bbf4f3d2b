package state_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"watchkeeper/state"
)

func TestMayPush(t *testing.T) {
	tests := []struct {
		name     string
		kept     bool
		listener string
		token    string
		want     bool
	}{
		{"without a keeper everybody may", false, "", "", true},
		{"also those of a keeper that is gone", false, "", "a", true},
		{"a session by hand beside a keeper", true, "", "", false},
		{"before the keeper has named a session", true, "", "a", false},
		{"the session that is named", true, "a", "a", true},
		{"a session before it", true, "b", "a", false},
		{"a session by hand beside one that is named", true, "b", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t)
			if tt.kept {
				lock, err := d.TryLock(state.Session)
				if err != nil {
					t.Fatal(err)
				}
				defer lock.Release()
			}
			if err := d.SetListener(tt.listener); err != nil {
				t.Fatal(err)
			}
			if got := d.MayPush(tt.token); got != tt.want {
				t.Errorf("MayPush(%q) = %t, want %t", tt.token, got, tt.want)
			}
		})
	}
}

func TestSetListenerTakesTheNameBack(t *testing.T) {
	d := open(t)
	lock, err := d.TryLock(state.Session)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release()
	for _, token := range []string{"a", "b", "", ""} {
		if err := d.SetListener(token); err != nil {
			t.Fatal(err)
		}
		if got := d.MayPush("b"); got != (token == "b") {
			t.Errorf("after SetListener(%q): MayPush(b) = %t", token, got)
		}
	}
}

func TestHostWhileStandsBackAndComesAgain(t *testing.T) {
	d := open(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var allowed atomic.Bool
		turns := make(chan bool, 10) // true when one begins
		done := make(chan error)
		go func() {
			done <- d.HostWhile(ctx, state.Pump, quiet(), allowed.Load, func(ctx context.Context) error {
				turns <- true
				<-ctx.Done()
				turns <- false
				return nil
			})
		}()
		time.Sleep(time.Minute)
		if synctest.Wait(); len(turns) != 0 {
			t.Error("hosted before it was allowed")
		}
		for range 2 {
			allowed.Store(true)
			if began := <-turns; !began {
				t.Error("the turn ended at once")
			}
			allowed.Store(false)
			if began := <-turns; began {
				t.Error("two turns at once")
			}
			time.Sleep(time.Second)
			synctest.Wait()
			if who, held := d.Holder(state.Pump); held {
				t.Errorf("the lock is held by %+v after the turn", who)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Errorf("HostWhile = %v, want nil on shutdown", err)
		}
	})
}

func TestHostWhileEndsWithItsFunction(t *testing.T) {
	d := open(t)
	synctest.Test(t, func(t *testing.T) {
		failed := errors.New("it broke")
		for _, want := range []error{failed, nil} {
			err := d.HostWhile(t.Context(), state.Talk, quiet(), func() bool { return true }, func(context.Context) error { return want })
			if !errors.Is(err, want) {
				t.Errorf("HostWhile = %v, want %v", err, want)
			}
		}
	})
}
