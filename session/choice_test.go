package session_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/session"
)

// modeStore remembers the modes of sessions, and how they ended.
type modeStore struct {
	fakeStore
	mu    sync.Mutex
	modes []string
}

func (s *modeStore) StartSession(ctx context.Context, mode string, pid int) (int64, error) {
	s.mu.Lock()
	s.modes = append(s.modes, mode)
	s.mu.Unlock()
	return s.fakeStore.StartSession(ctx, mode, pid)
}

// bothModes is a program that plays the CLI in stream mode and in channels
// mode.
func bothModes(t *testing.T, s *show) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "claude")
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" != -p ] || SESSION_TEST_ROLE=cli exec '%s' \"$@\"\nexec '%s' \"$@\"\n", self, s.play.Path)
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// keep supervises sessions of choice until the test ends.
func keep(t *testing.T, s *show, choice *session.Choice) (*session.Supervisor, *modeStore) {
	t.Helper()
	s.command.Path = bothModes(t, s)
	choice.Channels = func() session.Channels { return s.channels }
	store := &modeStore{}
	keeper := session.NewSupervisor(session.Config{
		Command: s.command, Store: store, Log: slog.New(slog.DiscardHandler), Launch: choice.Launch,
		Briefing: func(context.Context) (string, error) { return "briefing", nil }, MissRetry: 10 * time.Millisecond,
	})
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		keeper.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-over
	})
	return keeper, store
}

func up(t *testing.T, s *session.Supervisor, mode string) {
	t.Helper()
	until(t, "session in "+mode+" mode", func() bool { st := s.State(); return st.Phase == session.Up && st.Mode == mode })
}

func TestChoiceFallsBackUntilAFreshSession(t *testing.T) {
	t.Parallel()
	s := stage(t)
	s.play.Set("gate", "closed")
	var misses []string
	choice := &session.Choice{Fallback: true, OnMiss: func(_ context.Context, u *session.Unavailable) { misses = append(misses, u.Reason) }}
	keeper, store := keep(t, s, choice)
	up(t, keeper, "stream")
	keeper.Finish(session.End{Cause: session.Crashed}) // that is no reason to try again
	until(t, "another session", func() bool { return len(store.all()) == 3 })
	up(t, keeper, "stream")
	s.play.Set("gate", "")
	if err := keeper.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	up(t, keeper, "channels")
	if diff := cmp.Diff([]string{"channels", "stream", "stream", "channels"}, store.all()); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
	if len(misses) != 1 {
		t.Errorf("misses = %q, want one", misses)
	}
}

func (s *modeStore) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.modes...)
}

func TestChoiceWithoutFallbackTriesAgain(t *testing.T) {
	t.Parallel()
	s := stage(t)
	s.play.Set("gate", "closed")
	keeper, store := keep(t, s, &session.Choice{})
	until(t, "second attempt", func() bool { return len(store.all()) == 2 })
	s.play.Set("gate", "")
	up(t, keeper, "channels")
	for _, mode := range store.all() {
		if mode != "channels" {
			t.Errorf("modes = %q, want channels alone", store.all())
		}
	}
}

func TestChoiceWithoutTmuxFallsBack(t *testing.T) {
	s := stage(t)
	t.Setenv("PATH", t.TempDir())
	keeper, _ := keep(t, s, &session.Choice{Fallback: true})
	up(t, keeper, "stream")
}
