package slack_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"watchkeeper/channels/slack/fakeslack"
)

// every is the shortest time from nag to nag that can be configured.
const every = time.Minute

// ours returns what the first person sees of us, with one of the texts in it.
func (s *scene) ours(texts ...string) (found []fakeslack.Message) {
	for _, m := range s.slack.Seen(s.slack.DM(ann)) {
		for _, text := range texts {
			if m.User == fakeslack.BotUser && strings.Contains(m.Text, text) {
				found = append(found, m)
				break
			}
		}
	}
	return found
}

// wait waits until ok holds, and fails the test if it never does.
func (s *scene) wait(what string, limit time.Duration, ok func() bool) {
	s.t.Helper()
	if !await(limit, ok) {
		log := s.log.String()
		s.t.Fatalf("no %s within %s\n%s", what, limit, log[max(len(log)-4000, 0):])
	}
}

// TestNagsOfTheRealProgram lets two escalations go unanswered while the program
// dies again and again, and takes both with one button.
func TestNagsOfTheRealProgram(t *testing.T) {
	t.Parallel()
	s := newScene(t, ", nags: {prod: 1m, every: 1m}")
	for _, title := range []string{"cart is down", "the disk of postgres is full"} {
		s.session.owed = append(s.session.owed, &call{"escalate", map[string]any{"severity": "critical", "title": title}})
	}
	end := s.begin()
	s.wait("cards", patience, func() bool { return len(s.ours("CRITICAL: ")) == 2 })

	var last fakeslack.Message
	for number := 1; number <= 2; number++ {
		end()
		end = s.begin()
		nag := fmt.Sprintf("Nag #%d.", number)
		s.wait(nag, every+patience, func() bool { return len(s.ours(nag)) == 1 })
		last = s.ours(nag)[0]
		if strings.Count(last.Text, nag) != 2 || !strings.HasPrefix(last.Text, "<@"+ann+"> ") || last.Thread != "" {
			t.Errorf("nag %d = %+v, want one message that rings and names both with their number", number, last)
		}
	}
	if err := s.slack.Press(ann, last.Channel, last.TS, "escalation_ack_all"); err != nil {
		t.Fatal(err)
	}
	s.wait("acknowledgement", patience, func() bool {
		cards := s.ours("Acknowledged: ") // an edit has the state as its text
		return len(cards) == 2 && len(s.ours("*Acknowledged* by")) == 1
	})
	end()
	end = s.begin()
	time.Sleep(every + every/2) // for the nag that must not come
	end()
	if all := s.ours("Nag #"); len(all) != 1 { // the second became the acknowledgement
		t.Errorf("%d nags are left, want the first alone: %+v", len(all), all)
	}
	for _, m := range s.session.mistakes {
		t.Error(m)
	}
	s.checkNoToken()
}
