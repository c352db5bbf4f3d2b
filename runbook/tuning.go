package runbook

import (
	"fmt"
	"strings"
	"time"
)

// When noise is worth a proposal, and when an answered one comes back.
const (
	proposeFrom   = 5        // noise verdicts in the window
	backTestDays  = 30       // of recorded history behind a back-test
	settleFor     = Day      // after "accepted": the rule is being changed
	declinedFor   = 2 * Week // after "declined": no new evidence counts before
	declinedTimes = 2        // and then there must be this many times as much noise as before
	aPattern      = 4        // of 5 decided firings must be noise
	ofFirings     = 5
)

// BackTestSpan is how far back the firings of a [Pattern] reach.
const BackTestSpan = backTestDays * Day

// A Pattern is an alert that was noise again and again on one service or one
// family of them, with all its firings of the last 30 days.
type Pattern struct {
	Alert   string
	Service string // or the family: tenant-test-*
	Cluster string // "" if there were several
	Env     Env
	Source  string // of the newest firing, as [Alert.Source]

	Labels       map[string]string // of the newest firing
	GeneratorURL string
	NoData       bool // the alert says that its data is missing

	Spells []Spell // decided ones, oldest first
}

// A Rule is what is known of the rule behind an alert; the zero value is
// nothing.
type Rule struct {
	Window    time.Duration // over which it evaluates, or how long it must hold; 0 is unknown
	MatchType string        // "at least once", "all the times", "on average", …; "" is unknown
	Anomaly   bool          // it is an anomaly rule already
}

// A ProposalState is where a proposal stands.
type ProposalState string

// States of a proposal. ProposalNew has not been told to anybody yet;
// ProposalOpen was sent and waits for an answer.
const (
	ProposalNew      ProposalState = "new"
	ProposalOpen     ProposalState = "open"
	ProposalAccepted ProposalState = "accepted"
	ProposalDeclined ProposalState = "declined"
	ProposalSnoozed  ProposalState = "snoozed"
)

// A Proposal is a change of an alert's source that would end its noise.
type Proposal struct {
	ID      int64
	Key     string // one proposal for each alert and service or family
	Alert   string
	Service string
	Cluster string

	Days     int // the window that Fired and Noise count over
	Fired    int // decided firings in the window
	Noise    int // those of them that were noise
	Change   string
	Note     string // how the alert comes and goes, and what is assumed or not known
	Diff     string // what a person can apply
	BackTest BackTest

	State        ProposalState
	Raised       int       // how often it was sent; 0 for a new one
	CreatedAt    time.Time // UTC
	SentAt       time.Time // zero until sent
	DecidedAt    time.Time // of the person's answer; zero without one
	SnoozedUntil time.Time // zero unless snoozed
	DecidedBy    string    // Slack user ID or "session"; "" without an answer
	NoiseThen    int       // Noise when it was answered
	NoiseSince   int       // noise after CountsFrom; 0 without an answer
}

// A BackTest says what a change would have done to the recorded firings.
type BackTest struct {
	Days    int
	Tested  bool // false: the record does not tell what the change would do
	Removed int  // noise that would not have fired
	Noise   int
	Real    int // firings that were worth it, none of which may go
	Hidden  int // real ones that would not have fired: 0 in what is proposed
}

// String reads "would have removed 41 of 43, and none that was real".
func (b BackTest) String() string {
	if !b.Tested {
		return "not possible: the record does not show what this change would do"
	}
	s := fmt.Sprintf("would have removed %d of %d", b.Removed, b.Noise)
	if b.Hidden > 0 {
		return s + fmt.Sprintf(", and %d of %d that were real", b.Hidden, b.Real)
	}
	return s + ", and none that was real"
}

// Sentence is the proposal in two sentences, as the mission words it.
func (p Proposal) Sentence() string {
	how := fmt.Sprintf("was noise %s", times(p.Noise))
	if p.Noise == p.Fired {
		how = "was noise every time"
	}
	subject := unfenced(on(p.Alert, p.Service))
	return fmt.Sprintf("%s has fired %s in %d days and %s. Proposal: %s.", subject, times(p.Fired), p.Days, how, p.Change)
}

// Text is what a person gets: the two sentences, how to answer, the back-test,
// what is not known, and the change as a diff.
func (p Proposal) Text() string {
	var b strings.Builder
	b.WriteString(p.Sentence())
	fmt.Fprintf(&b, "\nProposal %d: answer here with accept, decline or snooze.", p.ID)
	fmt.Fprintf(&b, "\nBack-test over %d days: %s.", p.BackTest.Days, p.BackTest)
	if p.Note != "" {
		b.WriteString("\n" + p.Note)
	}
	if p.Raised > 0 && !p.DecidedAt.IsZero() {
		fmt.Fprintf(&b, "\nAnswered on %s; noise %s since.", p.DecidedAt.UTC().Format("Jan 2"), times(p.NoiseSince))
	}
	if p.Diff != "" {
		b.WriteString("\n```\n" + unfenced(p.Diff) + "\n```")
	}
	return b.String()
}

// unfenced keeps what others wrote from closing a block of code.
func unfenced(s string) string { return strings.ReplaceAll(s, "```", "'''") }

// Due reports whether p is to be told to a person now: once when it is new, and
// again only with new evidence after an answer. An open one waits silently.
func (p Proposal) Due(now time.Time) bool {
	switch p.State {
	case ProposalNew:
		return true
	case ProposalSnoozed:
		return !now.Before(p.SnoozedUntil) && p.NoiseSince > 0
	case ProposalAccepted:
		return now.Sub(p.DecidedAt) >= Week && p.NoiseSince >= proposeFrom
	case ProposalDeclined:
		return now.Sub(p.DecidedAt) >= declinedFor && p.NoiseSince >= declinedTimes*max(p.NoiseThen, proposeFrom)
	}
	return false
}

// CountsFrom is the time after which noise is new evidence against the answer
// of p: an accepted change needs a day to arrive. The zero time without an
// answer.
func (p Proposal) CountsFrom() time.Time {
	if p.State == ProposalAccepted {
		return p.DecidedAt.Add(settleFor)
	}
	return p.DecidedAt
}

// Propose makes the proposal for p over the last days, false if there is too
// little noise, or too much that was real, to propose anything.
func Propose(p Pattern, r Rule, days int, now time.Time) (Proposal, bool) {
	prop := Proposal{
		Key: strings.ToLower(p.Alert + "|" + p.Service), Alert: p.Alert, Service: p.Service, Cluster: p.Cluster,
		Days: days, State: ProposalNew, CreatedAt: now,
	}
	for _, f := range p.Spells {
		if f.Verdict == "" || f.StartedAt.Before(now.Add(-time.Duration(days)*Day)) {
			continue
		}
		prop.Fired++
		if f.Verdict == Noise && !f.Escalated {
			prop.Noise++
		}
	}
	if prop.Noise < proposeFrom || prop.Noise*ofFirings < prop.Fired*aPattern {
		return Proposal{}, false
	}
	c := choose(p, r)
	prop.Change, prop.Diff, prop.BackTest = c.words, c.diff, c.result
	prop.Note = strings.TrimSuffix(fmt.Sprintf("Record of %d days: %s.\n%s", backTestDays, StabilityOf(p.Spells), c.note), "\n")
	return prop, true
}
