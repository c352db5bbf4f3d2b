package watch

import (
	"context"
	"fmt"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// A Silence expects a sign of life again and again.
type Silence struct {
	sign    string
	most    time.Duration
	finding Finding
}

// Sender expects something from the sender called name at least every most.
func Sender(name string, most time.Duration) Silence {
	return Silence{sqlite.SenderSign + name, most, Finding{
		Key: "sender:" + name, Severity: runbook.Critical,
		Title:     fmt.Sprintf("nothing comes from %s any more", name),
		Impact:    "Its alerts may not reach us.",
		Recommend: fmt.Sprintf("Check that %s runs, and press the test button of its notification channel (…/webhook/%s).", name, name),
		Default:   "I go on waiting, and see no alert of it.",
	}}
}

// Cluster expects the heartbeat alert of the cluster called name at least every
// most. On dev nobody is woken for it.
func Cluster(name string, env runbook.Env, most time.Duration) Silence {
	severity := runbook.Critical
	if !env.Strict() {
		severity = runbook.Warning
	}
	return Silence{sqlite.HeartbeatSign + name, most, Finding{
		Key: "heartbeat:" + name, Severity: severity, Cluster: name, Env: env,
		Title:     fmt.Sprintf("the heartbeat alert of %s has stopped", name),
		Impact:    "Its monitoring is down or cannot reach us: nothing of that cluster would be noticed.",
		Recommend: "Look at its Prometheus and Alertmanager, and at the network between them and us.",
		Default:   "I go on waiting, and see no alert of that cluster.",
	}}
}

// Look implements [Check].
func (s Silence) Look(_ context.Context, m Moment) ([]Finding, error) {
	f := s.finding
	f.Since = m.silence(s.sign)
	if m.Now.Sub(f.Since) <= s.most {
		return nil, nil
	}
	f.Found = fmt.Sprintf("Never heard since the watch began at %s; at most %s of silence are expected.", clock(f.Since), runbook.Short(s.most))
	if last := m.Signs[s.sign].At; !last.IsZero() {
		f.Found = fmt.Sprintf("Last heard at %s; at most %s of silence are expected.", clock(last), runbook.Short(s.most))
	}
	return []Finding{f}, nil
}

// clock is a time for people.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
