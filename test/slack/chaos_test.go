package slack_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"watchkeeper/channels/slack/fakeslack"
)

// How much is said each way, and how often the program is killed.
const (
	said  = 200
	kills = 20
)

func TestChaosWithTheRealProgram(t *testing.T) {
	t.Parallel()
	s := newScene(t, "")
	end := s.begin()
	// It sets the marks first: what was said before the first start is not for us.
	if !await(patience, func() bool { return strings.Contains(s.log.String(), "connected to slack") }) {
		t.Fatalf("no connection\n%s", &s.log)
	}
	end()

	var talk, trouble sync.WaitGroup
	over := make(chan struct{})
	talk.Go(s.peopleTalk)
	trouble.Go(func() { s.mischief(over) })
	for range kills {
		end := s.begin()
		time.Sleep(lifetime + rand.N(lifetime)) // the time of a life is the test's own subject
		end()
	}
	talk.Wait()
	close(over)
	trouble.Wait()
	s.slack.Heal()

	end = s.begin()
	if !await(patience, func() bool { return s.seen() >= said }) {
		log := s.log.String()
		t.Errorf("%d of %d answers are seen\n%s", s.seen(), said, log[max(len(log)-4000, 0):])
	}
	time.Sleep(5 * time.Second) // what is said twice comes late
	end()
	s.check()
}

// peopleTalk says what people say, in threads and outside them.
func (s *scene) peopleTalk() {
	threads := map[string]string{}
	for i := range said {
		user := []string{ann, ben}[i%2]
		thread := threads[user]
		if i%3 == 0 {
			thread = ""
		}
		ts := s.slack.Reply(user, thread, fmt.Sprintf("heard-%03d", i))
		if thread == "" {
			threads[user] = ts
		}
		time.Sleep(rand.N(kills * lifetime / said * 2)) // over the lives of the program
	}
}

// mischief makes everything go wrong that can, in a random order, again and
// again until over is closed.
func (s *scene) mischief(over <-chan struct{}) {
	f := s.slack
	var acts []func()
	for _, fault := range []fakeslack.Fault{
		{LoseReply: true},
		{Garble: true},
		{Status: 500},
		{Status: 503, Times: 2},
		{Drop: true},
		{Error: "internal_error"},
		{Error: "fatal_error"},
		{Delay: time.Second},
		{Delay: time.Second, LoseReply: true},
		{RetryAfter: 2 * time.Second},
	} {
		for _, method := range []string{"chat.postMessage", "conversations.history", "conversations.replies", "conversations.open", "apps.connections.open", "auth.test"} {
			fault.Method = method
			acts = append(acts, func() { f.Inject(fault) })
		}
	}
	sockets := []func(){
		f.DropConnections, func() { f.Disconnect(fakeslack.Warning) }, func() { f.Disconnect(fakeslack.RefreshRequested) },
		func() { f.IgnoreAcks(2) }, func() { f.Twice(3) }, func() { f.Reorder(3) }, func() { f.Freeze(1) },
		func() { f.Pings(false) }, func() { f.Pings(true) }, func() { f.SendRaw(`{"envelope_id":"x","type":"events_api","payload":[`) },
	}
	for range 3 { // they are fewer, and matter as much
		acts = append(acts, sockets...)
	}
	for i := 0; ; i++ {
		if i%len(acts) == 0 {
			rand.Shuffle(len(acts), func(a, b int) { acts[a], acts[b] = acts[b], acts[a] })
		}
		select {
		case <-over:
			return
		case <-time.After(rand.N(2 * time.Second)):
			acts[i%len(acts)]()
		}
	}
}

// seen counts the different answers that people see.
func (s *scene) seen() int { return len(s.answers()) }

// answers counts how often people see each answer.
func (s *scene) answers() map[string]int {
	count := map[string]int{}
	for _, user := range []string{ann, ben} {
		for _, m := range s.slack.Seen(s.slack.DM(user)) {
			if m.User == fakeslack.BotUser && strings.HasPrefix(m.Text, "said-") {
				count[m.Text]++
			}
		}
	}
	return count
}

// check compares what was heard and seen with what was said.
func (s *scene) check() {
	s.t.Helper()
	for _, m := range s.session.mistakes {
		s.t.Error(m)
	}
	answers, again := s.answers(), 0
	for i := range said {
		deliveries, times := s.session.heard(fmt.Sprintf("heard-%03d", i))
		if deliveries != 1 {
			s.t.Errorf("message %d of people came to the session in %d deliveries, want 1", i, deliveries)
		}
		again += times - 1
		if n := answers[fmt.Sprintf("said-%03d", i)]; n != 1 {
			s.t.Errorf("answer %d is seen %d times, want once", i, n)
		}
	}
	// To the program a new life is a new session, which is given again what the
	// last one did not answer, under the same number.
	s.t.Logf("%d messages of %d came again, with the number that they had", again, said)
	s.checkNoToken()
}
