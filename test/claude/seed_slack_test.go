package claude_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"watchkeeper/channels/slack/fakeslack"
	"watchkeeper/runbook"
)

const onCall = "U0SLEEPS"

// byDay puts h into a time zone in which nobody sleeps now: a proposal waits
// for the morning.
func byDay(h *house) {
	h.t.Helper()
	for _, zone := range []string{"UTC", "Asia/Tokyo", "America/Los_Angeles"} {
		where, err := time.LoadLocation(zone)
		if err != nil {
			h.t.Fatal(err)
		}
		if hour := time.Now().In(where).Hour(); hour >= 9 && hour < 20 {
			h.set("session: {", `session: {restart_at: "04:00 `+zone+`", `)
			return
		}
	}
	h.t.Fatal("everybody sleeps")
}

// set replaces a part of the configuration.
func (h *house) set(old, with string) {
	h.t.Helper()
	path := filepath.Join(h.dir, "watchkeeper.yaml")
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), old) {
		h.t.Fatalf("configuration %s, %v, want one with %q", text, err, old)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), old, with, 1)), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// withSlack gives a house a Slack with one person on call.
func withSlack(t *testing.T) (*fakeslack.Server, string, func(*house)) {
	t.Helper()
	s, err := fakeslack.Start(fakeslack.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.AddUser(fakeslack.User{ID: onCall, Name: "sleeper"})
	config := "oncall: {slack_user: " + onCall + "}\nslack: {api_url: " + s.URL() + "}\n"
	return s, config, func(h *house) {
		h.env = append(h.env, "SLACK_BOT_TOKEN="+s.BotToken(), "SLACK_APP_TOKEN="+s.AppToken())
	}
}

// sees waits until the person on call sees a message with text in it.
func sees(t *testing.T, h *house, s *fakeslack.Server, text string) fakeslack.Message {
	t.Helper()
	var found fakeslack.Message
	h.poll("message with "+text, func() bool {
		for _, m := range s.Seen(s.DM(onCall)) {
			if strings.Contains(m.Text, text) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// TestSeedTuningProposalReachesSlackAndIsAnswered follows the feedback loop: a
// week of noise, the proposal on the phone, the answer in its thread, the
// memory.
func TestSeedTuningProposalReachesSlackAndIsAnswered(t *testing.T) {
	slack, config, tokens := withSlack(t)
	h, _ := seed(t, config, tokens, byDay, before(latency, 12, 2*time.Hour, runbook.Noise))
	const words = "High Latency on openaire-test has fired 12 times in 7 days and was noise every time. " +
		"Proposal: increase the evaluation window from 10 to 20 minutes, or switch to anomaly detection."
	m := sees(t, h, slack, words)
	for _, want := range []string{"would have removed 12 of 12, and none that was real", `+  "evalWindow": "20m0s",`} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the proposal lacks %q:\n%s", want, m.Text)
		}
	}
	slack.Reply(onCall, m.TS, "accept, I change it tomorrow")
	if r := sees(t, h, slack, "proposal 1 is accepted"); r.Thread != m.TS {
		t.Errorf("the answer is %+v, want it in the thread of the proposal", r)
	}
	all, err := h.memory().Proposals(t.Context())
	if err != nil || len(all) != 1 || all[0].State != runbook.ProposalAccepted || all[0].DecidedBy != onCall || all[0].Raised != 1 {
		t.Errorf("Proposals = %+v, %v, want one, accepted by %s, sent once", all, err, onCall)
	}
}
