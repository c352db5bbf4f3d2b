package slack

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// A Status is how the link stands.
type Status string

// The statuses. Down is between two connections, and tried again; Rejected
// lasts until a person acts.
const (
	Down      Status = "down"
	Connected Status = "connected"
	Rejected  Status = "rejected"
)

// Health is how the link to Slack stands.
type Health struct {
	Status      Status
	Since       time.Time // UTC; of the status
	Reason      string    // why it is not connected; without secrets
	Connections int       // of the app, as Slack counted at the last hello; above 1 another process takes events
	Opened      int       // connections that this process had
	Received    int       // envelopes
	Duplicates  int       // messages and presses that were stored already
	Unparsable  int       // envelopes that were acknowledged unread
	Ignored     int       // events that are not for us: echoes, bots, other channels
}

// String is one line for people.
func (h Health) String() string {
	text := string(h.Status)
	if h.Reason != "" {
		text += ": " + h.Reason
	}
	if h.Connections > 1 {
		text += fmt.Sprintf("; %d connections share the events, one too many", h.Connections)
	}
	return text
}

// BeatName is the beat under which the link tells the other processes how it
// stands; its detail is Health as one line.
const BeatName = "slack-link"

// beatEvery is how often the link says that it lives.
const beatEvery = 30 * time.Second

// A beater keeps signs of life.
type beater interface {
	Beat(ctx context.Context, name, detail string) error
}

// monitor keeps the health of the link, and tells the memory of it.
type monitor struct {
	mu  sync.Mutex
	now Health
}

func (m *monitor) health() Health {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// note changes the counters.
func (m *monitor) note(change func(*Health)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.now)
}

// become changes the status, and reports whether it or its reason is new.
func (m *monitor) become(s Status, reason string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now.Status == s && m.now.Reason == reason {
		return false
	}
	if m.now.Status != s {
		m.now.Since = time.Now().UTC()
	}
	m.now.Status, m.now.Reason = s, reason
	return true
}

// beat tells the memory again and again until ctx is done.
func (m *monitor) beat(ctx context.Context, to beater, log *slog.Logger) {
	for last := ""; ctx.Err() == nil; {
		detail := m.health().String()
		if err := to.Beat(ctx, BeatName, detail); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "sign of life not stored", "err", err)
		}
		last = detail
		for waited := time.Duration(0); waited < beatEvery && ctx.Err() == nil; waited += time.Second {
			if sleep(ctx, time.Second); m.health().String() != last {
				break
			}
		}
	}
}
