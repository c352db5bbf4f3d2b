package slack

import (
	"time"
)

// perMessage is the rate that Slack allows: one message a second to a channel.
const perMessage = 1100 * time.Millisecond

// A pacer keeps the rate for each conversation, and the pauses that Slack asks
// for. It is for one goroutine.
type pacer struct {
	every time.Duration
	next  map[string]time.Time // by conversation
	held  time.Time            // nothing is sent before
}

func newPacer(every time.Duration) *pacer {
	return &pacer{every: every, next: map[string]time.Time{}}
}

// ready returns how long a message to a conversation must wait at now; 0 lets
// it go.
func (p *pacer) ready(channel string, now time.Time) time.Duration {
	return max(p.next[channel].Sub(now), p.held.Sub(now), 0)
}

// used records that a message went to a conversation at now.
func (p *pacer) used(channel string, now time.Time) { p.hold(channel, now.Add(p.every)) }

// hold lets nothing go to a conversation before t.
func (p *pacer) hold(channel string, t time.Time) {
	if t.After(p.next[channel]) {
		p.next[channel] = t
	}
}

// holdAll lets nothing go anywhere before t.
func (p *pacer) holdAll(t time.Time) {
	if t.After(p.held) {
		p.held = t
	}
}
