package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/state"
)

// A screen is the status for people: a name and a text a line.
type screen struct {
	*tabwriter.Writer
	now time.Time
}

func (w screen) line(name, format string, args ...any) {
	fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
}

func (w screen) ago(t time.Time) string { return runbook.Short(w.now.Sub(t)) + " ago" }

// print writes the one screen: who is at work, what waits, who was heard, and
// what is wrong.
func (s status) print(out io.Writer, now time.Time) error {
	w := screen{tabwriter.NewWriter(out, 0, 8, 2, ' ', 0), now}
	w.line("state", "%s", s.StateDir)
	for _, p := range state.Parts() {
		if who := s.Parts[string(p)]; who != nil {
			w.line(string(p), "%s (pid %d)", who.Program, who.PID)
		} else {
			w.line(string(p), "nobody")
		}
	}
	s.printSession(w)
	s.printQueue(w)
	s.printHeard(w)
	for _, t := range s.Troubles {
		w.line("TROUBLE", "%s since %s, escalation %d", t.Key, w.ago(t.Since), t.Escalation)
	}
	for _, e := range s.Escalations {
		w.line(fmt.Sprintf("escalation %d", e.ID), "%s, opened %s, %d nags: %s", e.State, w.ago(e.OpenedAt), e.Nags, plain(e.Title))
	}
	return w.Flush()
}

func (s status) printSession(w screen) {
	switch v := s.Session; {
	case v == nil:
		w.line("last session", "none yet")
	case v.EndedAt != nil:
		w.line("last session", "#%d %s, ended %s: %s", v.ID, v.Mode, w.ago(*v.EndedAt), plain(v.Reason))
	default:
		w.line("last session", "#%d %s, pid %d, since %s", v.ID, v.Mode, v.PID, w.ago(v.StartedAt))
	}
	if keeper, ok := s.Beats[sqlite.KeeperSign]; ok {
		w.line("keeper", "%s (%s)", plain(keeper.Detail), w.ago(keeper.At))
	}
	switch c := s.Canary; {
	case c == nil:
	case c.State == "back":
		w.line("canary", "back after %s, sent %s", time.Duration(c.Seconds*float64(time.Second)).Round(100*time.Millisecond), w.ago(c.SentAt))
	default:
		w.line("canary", "%s, sent %s", c.State, w.ago(c.SentAt))
	}
}

func (s status) printQueue(w screen) {
	w.line("events", "%d queued, %d pushed, %d claimed", s.Queue["queued"], s.Queue["pushed"], s.Queue["claimed"])
	if s.LastEvent != nil {
		w.line("last alert", "%s", w.ago(*s.LastEvent))
	}
	w.line("messages", "%d unsent", s.Unsent)
}

// printHeard shows clusters and senders with when they were heard, and the
// other signs of life.
func (s status) printHeard(w screen) {
	var clusters, senders []string
	for _, name := range s.Clusters {
		if b, ok := s.Beats[sqlite.HeartbeatSign+name]; ok {
			name += " (heartbeat " + w.ago(b.At) + ")"
		}
		clusters = append(clusters, name)
	}
	w.line("clusters", "%s", strings.Join(clusters, ", "))
	for _, name := range slices.Sorted(maps.Keys(s.Beats)) {
		b := s.Beats[name]
		sender, isSender := strings.CutPrefix(name, sqlite.SenderSign)
		switch {
		case isSender:
			senders = append(senders, fmt.Sprintf("%s %s", plain(sender), w.ago(b.At)))
		case strings.HasPrefix(name, sqlite.HeartbeatSign), name == sqlite.KeeperSign, name == sqlite.WatchdogSign:
		default:
			w.line("beat "+name, "%s: %s", w.ago(b.At), plain(b.Detail))
		}
	}
	if len(senders) > 0 {
		w.line("senders", "%s", strings.Join(senders, ", "))
	}
}
