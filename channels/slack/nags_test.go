package slack_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/channels/slack"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// A storm is a night with many escalations.
type storm struct {
	night
	opened map[int64]time.Time
	taken  map[int64]time.Time // acknowledged
}

// inStorm runs test in a bubble, with a memory and nothing else.
func inStorm(t *testing.T, c slack.Calling, test func(*storm)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "memory.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		s := &storm{night{t: t, store: store, calling: c, began: time.Now()}, map[int64]time.Time{}, map[int64]time.Time{}}
		defer s.stopAll()
		test(s)
	})
}

// open opens a disaster now.
func (s *storm) open() int64 {
	s.t.Helper()
	e := disaster()
	e.Key, e.Title, e.OpenedBy, e.OpenedAt = fmt.Sprint("k", len(s.opened)), fmt.Sprint("trouble ", len(s.opened)+1), "session", time.Now()
	got, _, err := s.store.Escalate(s.t.Context(), e, e.Title)
	if err != nil {
		s.t.Fatal(err)
	}
	s.opened[got.ID] = e.OpenedAt
	return got.ID
}

func (s *storm) acknowledge(id int64) {
	s.t.Helper()
	if err := s.store.Acknowledge(s.t.Context(), id, "U1", time.Now()); err != nil {
		s.t.Fatal(err)
	}
	s.taken[id] = time.Now()
}

// A named is what one message says about one escalation.
type named struct {
	at     time.Time
	number int
	text   string
}

var (
	naming = regexp.MustCompile(`, escalation (\d+)\. (Still unacknowledged\. Nag #(\d+)\..*)`)
	alone  = regexp.MustCompile(`Still unacknowledged\. Nag #(\d+)\.`)
)

// nags lists the messages to user that nag, and what they name.
func (s *storm) nags(user string) (times []time.Time, about map[int64][]named) {
	s.t.Helper()
	all, err := s.store.Messages(s.t.Context(), 0, 10_000)
	if err != nil {
		s.t.Fatal(err)
	}
	about = map[int64][]named{}
	for _, m := range all {
		if m.Kind != "nag" || !strings.HasPrefix(m.Text, "<@"+user+">") {
			continue
		}
		times = append(times, m.CreatedAt)
		if one := alone.FindStringSubmatch(m.Text); m.Escalation != 0 && one != nil {
			number, _ := strconv.Atoi(one[1])
			about[m.Escalation] = append(about[m.Escalation], named{m.CreatedAt, number, m.Text})
			continue
		}
		var ids []int64
		for _, l := range naming.FindAllStringSubmatch(m.Text, -1) {
			id, _ := strconv.ParseInt(l[1], 10, 64)
			number, _ := strconv.Atoi(l[3])
			ids = append(ids, id)
			about[id] = append(about[id], named{m.CreatedAt, number, l[2]})
		}
		if !slices.Equal(ids, m.About) || len(ids) < 2 {
			s.t.Errorf("message about %v names %v: %s", m.About, ids, m.Text)
		}
	}
	return times, about
}

func TestNagsThatFallDueTogetherAreOneMessage(t *testing.T) {
	inStorm(t, slack.Calling{People: slack.People{OnCall: "U1"}}, func(s *storm) {
		for _, minute := range []float64{0, 0.5, 1.5, 5} { // the first three within two minutes
			s.pass(minute)
			s.open()
		}
		s.start()
		s.pass(21)
		got := s.said()
		want := []string{
			"11.5: <@U1> Nobody has these 3:",
			"15: <@U1> Still unacknowledged. Nag #1. Unreachable for 10 minutes.",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("said (-want +got):\n%s", diff)
		}
		m, err := s.store.Message(s.t.Context(), "nag:1:1")
		if err != nil {
			t.Fatal(err)
		}
		wantText := "<@U1> Nobody has these 3:\n" +
			"• *trouble 1 (data-cluster)*, escalation 1. Still unacknowledged. Nag #1. Unreachable for 11 minutes.\n" +
			"• *trouble 2 (data-cluster)*, escalation 2. Still unacknowledged. Nag #1. Unreachable for 11 minutes.\n" +
			"• *trouble 3 (data-cluster)*, escalation 3. Still unacknowledged. Nag #1. Unreachable for 10 minutes."
		if diff := cmp.Diff(wantText, m.Text); diff != "" {
			t.Errorf("text (-want +got):\n%s", diff)
		}
		if !m.Urgent || m.Escalation != 0 || !strings.Contains(m.Blocks, "Acknowledge all") {
			t.Errorf("message = %+v, want it urgent, in no thread, with a button", m)
		}
	})
}

// Whatever is opened, taken and restarted at whatever times: each escalation is
// named with each of its numbers once, from two minutes after the deadline at
// the latest until it is taken, and a person is not called more often than once
// in two minutes.
func TestStormOfNagsIsBounded(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			c := onCall()
			c.SecondAfter = 2
			inStorm(t, c, func(s *storm) {
				s.weather(rand.New(rand.NewPCG(seed, 1)))
				s.stopAll()
				times, about := s.nags("U1")
				s.checkPace(times)
				for id := range s.opened {
					s.checkCount(id, about[id])
				}
				times, second := s.nags("U2")
				s.checkPace(times)
				for id, all := range second {
					s.checkSecond(id, about[id], all)
				}
			})
		})
	}
}

// weather lets ninety minutes of a bad night pass: short bursts of trouble, people
// who take some of it, and processes, at times two, that die and start again.
func (s *storm) weather(r *rand.Rand) {
	s.start()
	for minute := 0.0; minute < length.Minutes(); {
		minute = min(minute+r.ExpFloat64()*1.5, length.Minutes())
		s.pass(minute)
		switch n := r.IntN(10); {
		case n < 4 && minute < 45:
			for range 1 + r.IntN(4) {
				s.open()
			}
		case n < 5 && len(s.opened) > 0:
			if id := 1 + r.Int64N(int64(len(s.opened))); s.taken[id].IsZero() {
				s.acknowledge(id)
			}
		case n < 7:
			if len(s.stops) > 1 {
				s.stopAll()
			}
			s.start()
		}
	}
}

const (
	nagEvery = 10 * time.Minute
	gather   = nagEvery / 5
	length   = 90 * time.Minute // of a storm
)

// checkPace counts the calls in each stretch of ten minutes.
func (s *storm) checkPace(times []time.Time) {
	s.t.Helper()
	for i := range times {
		n := 0
		for _, other := range times[i:] {
			if other.Sub(times[i]) < nagEvery {
				n++
			}
		}
		if n > 6 {
			s.t.Errorf("%d calls within ten minutes from %s, want at most 6", n, times[i].Sub(s.began))
		}
	}
}

// checkCount compares the nags about id with its deadlines.
func (s *storm) checkCount(id int64, got []named) {
	s.t.Helper()
	end := s.began.Add(length)
	if taken := s.taken[id]; !taken.IsZero() {
		end = taken
	}
	for i, n := range got {
		due := s.opened[id].Add(time.Duration(i+1) * nagEvery)
		// The memory keeps milliseconds.
		if late := n.at.Sub(due); n.number != i+1 || late < -time.Millisecond || late > gather+time.Millisecond {
			s.t.Errorf("nag %d of escalation %d is #%d, %s after its deadline, want it within %s: %s", i+1, id, n.number, late, gather, n.text)
		}
		if n.at.After(end) {
			s.t.Errorf("nag %d of escalation %d at %s, it was taken at %s", i+1, id, n.at.Sub(s.began), end.Sub(s.began))
		}
	}
	if want := int((end.Sub(s.opened[id]) - gather) / nagEvery); len(got) < want {
		s.t.Errorf("%d nags of escalation %d, want at least %d", len(got), id, want)
	}
}

// checkSecond finds the nags to the second person among those to the first.
func (s *storm) checkSecond(id int64, first, second []named) {
	s.t.Helper()
	for _, n := range second {
		if n.number <= 2 || !slices.ContainsFunc(first, func(f named) bool { return f.number == n.number && f.at.Equal(n.at) }) {
			s.t.Errorf("nag #%d of escalation %d to the second person at %s, want the same as to the first", n.number, id, n.at.Sub(s.began))
		}
	}
}

// together opens two escalations and lets their first nag go out, as message
// 7.1 of D1.
func (s *storm) together() {
	s.t.Helper()
	s.open()
	s.open()
	s.start()
	s.pass(10.5)
	m, err := s.store.Message(s.t.Context(), "nag:1:1")
	if err != nil || len(m.About) != 2 {
		s.t.Fatalf("nag = %+v, %v, want one about both", m, err)
	}
	if err := s.store.MarkSent(s.t.Context(), m.ID, "D1", "7.1", time.Now()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *storm) states() (states []runbook.EscalationState) {
	s.t.Helper()
	all, err := s.store.Escalations(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range all {
		states = append(states, e.State)
	}
	return states
}

func TestOneButtonAcknowledgesAllThatANagNames(t *testing.T) {
	inStorm(t, onCall(), func(s *storm) {
		s.together()
		if err := s.store.ResolveEscalation(s.t.Context(), 1, "U1", time.Now()); err != nil {
			s.t.Fatal(err)
		}
		desk := &slack.Desk{Memory: s.store, People: s.calling.People, Log: discard()}
		press := runbook.Press{ID: 1, User: "U1", Action: "escalation_ack_all", Value: "nag:1:1", Channel: "D1", TS: "7.1", ReceivedAt: time.Now()}
		for range 2 { // a process that dies before it notes the press handles it again
			if err := desk.Press(s.t.Context(), press); err != nil {
				s.t.Fatal(err)
			}
		}
		want := []runbook.EscalationState{runbook.EscalationResolved, runbook.EscalationAcked}
		if got := s.states(); !slices.Equal(got, want) {
			s.t.Errorf("states = %v, want %v", got, want)
		}
		edit, err := s.store.Message(s.t.Context(), "nag:1:1:taken")
		if err != nil || edit.EditOf != "nag:1:1" || !strings.Contains(edit.Blocks, "trouble 2") || strings.Contains(edit.Blocks, "button") {
			s.t.Errorf("edit = %+v, %v, want the same list without the button", edit, err)
		}
		s.pass(60)
		if times, _ := s.nags("U1"); len(times) != 1 {
			s.t.Errorf("%d nags, want none after the acknowledgement", len(times))
		}
	})
}

func TestReplyToANagAcknowledgesAllThatItNames(t *testing.T) {
	inStorm(t, onCall(), func(s *storm) {
		s.together()
		about, err := s.store.EscalationsOfThread(s.t.Context(), "D1", "7.1")
		if err != nil || len(about) != 2 {
			s.t.Fatalf("escalations of the thread = %v, %v, want both", about, err)
		}
		desk := &slack.Desk{Memory: s.store, People: s.calling.People, Log: discard()}
		for _, e := range about {
			if err := desk.Replied(s.t.Context(), e, runbook.Heard{User: "U1", Channel: "D1", Thread: "7.1", Text: "on it", ReceivedAt: time.Now()}); err != nil {
				s.t.Fatal(err)
			}
		}
		if got, want := s.states(), []runbook.EscalationState{runbook.EscalationAcked, runbook.EscalationAcked}; !slices.Equal(got, want) {
			s.t.Errorf("states = %v, want %v", got, want)
		}
		said, err := s.store.Said(s.t.Context(), "", 2, 10)
		if err != nil || !slices.ContainsFunc(said, func(l runbook.Said) bool { return strings.Contains(l.Text, "escalation 2. Still") }) {
			s.t.Errorf("said about escalation 2 = %v, %v, want the nag among it", said, err)
		}
	})
}

func TestNagThatWaitedForSlackIsNotSaidOnceItIsTaken(t *testing.T) {
	waiting := func(s *storm) (texts []string) {
		out, err := s.store.Outgoing(s.t.Context(), time.Now())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, m := range out {
			if m.Kind == "nag" {
				texts = append(texts, m.Text)
			}
		}
		return texts
	}
	inStorm(t, slack.Calling{People: slack.People{OnCall: "U1"}}, func(s *storm) {
		s.open()
		s.open()
		s.start()
		s.pass(10.5)
		s.acknowledge(1)
		if got := waiting(s); len(got) != 1 {
			s.t.Errorf("waiting = %q, want the nag while escalation 2 is open", got)
		}
		s.acknowledge(2)
		if got := waiting(s); len(got) != 0 {
			s.t.Errorf("waiting = %q, want none: both are taken", got)
		}
	})
}

func TestNagsAboutSeveralThatSlackDidNotTakeBecomeOne(t *testing.T) {
	inStorm(t, slack.Calling{People: slack.People{OnCall: "U1"}}, func(s *storm) {
		s.open()
		s.open()
		s.start()
		root, err := s.store.Message(s.t.Context(), "escalation:1")
		if err != nil {
			s.t.Fatal(err)
		}
		if err := s.store.MarkRetry(s.t.Context(), root.ID, "connection refused", time.Now()); err != nil {
			s.t.Fatal(err)
		}
		s.pass(30.5)
		out, err := s.store.Outgoing(s.t.Context(), time.Now())
		if err != nil {
			s.t.Fatal(err)
		}
		var texts []string
		for _, m := range out {
			if m.Kind == "nag" {
				texts = append(texts, m.Text)
			}
		}
		if len(texts) != 1 || strings.Count(texts[0], "Nag #3. Unreachable for 30 minutes. Nags #1 to #2 were not sent: Slack could not be reached.") != 2 {
			s.t.Errorf("outgoing = %q, want one that counts for all three", texts)
		}
	})
}
