package slack

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	slackgo "github.com/slack-go/slack"

	"watchkeeper/runbook"
)

// A reminder is the nag of one escalation, which may share a message with
// others.
type reminder struct {
	*runbook.Duty
	next   runbook.Nag
	missed int // nags before this one that a stopped process did not make
}

// called reports whether somebody is called about d until it is acknowledged.
func called(d *runbook.Duty) bool {
	awaits := d.State == runbook.EscalationOpen || d.State == runbook.EscalationSnoozed
	return awaits && !d.Over && !overdueNoMore(d)
}

// nag says that nobody has acknowledged what is due. Nags that a stopped
// process missed are counted, and named in the one that goes out. The duties
// count it afterwards.
func (e *Escalator) nag(ctx context.Context, duties []runbook.Duty, now time.Time) error {
	due := e.gathered(duties, now)
	if len(due) == 0 {
		return nil
	}
	steps := make([]runbook.Nag, len(due))
	for i, r := range due {
		steps[i] = r.next
	}
	taken, err := e.memory.Nag(ctx, steps, func(taken []runbook.Nag) []runbook.Message {
		return e.nagMessages(among(due, taken), now)
	})
	for _, r := range among(due, taken) {
		r.Nags, r.NextNagAt = r.next.Number, r.next.Next
		e.log.InfoContext(ctx, "nag", "escalation", r.ID, "number", r.Nags, "missed", r.missed)
	}
	return err
}

// gathered returns what is due, or nothing while more falls due so soon that
// one message will do. It goes by the deadlines alone, so that it makes no
// difference which process looks, and when.
func (e *Escalator) gathered(duties []runbook.Duty, now time.Time) (ready []reminder) {
	var first time.Time
	for i := range duties {
		d := &duties[i]
		if !called(d) || !due(d.NextNagAt, now) {
			continue
		}
		ready = append(ready, e.reminder(d, now))
		if first.IsZero() || d.NextNagAt.Before(first) {
			first = d.NextNagAt
		}
	}
	for i := range duties {
		d := &duties[i]
		if called(d) && d.NextNagAt.After(now) && !d.NextNagAt.After(first.Add(e.calling.gather())) {
			return nil
		}
	}
	return ready
}

func due(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }

// reminder is the next nag of d, which is due.
func (e *Escalator) reminder(d *runbook.Duty, now time.Time) reminder {
	every := e.calling.every()
	r := reminder{Duty: d, missed: int(now.Sub(d.NextNagAt) / every)}
	r.next = runbook.Nag{Escalation: d.ID, Was: d.NextNagAt, Number: d.Nags, Replaces: d.Stuck > 0}
	if _, nags := e.calling.first(d.Severity, d.Env); nags {
		r.next.Number = d.Nags + 1 + r.missed
		r.next.Next = d.NextNagAt.Add(time.Duration(r.missed+1) * every)
	} // else it is the end of a snooze of something that is not repeated
	return r
}

// among returns those of all that were taken.
func among(all []reminder, taken []runbook.Nag) (some []reminder) {
	for _, r := range all {
		for _, n := range taken {
			if n.Escalation == r.ID {
				some = append(some, r)
			}
		}
	}
	return some
}

// nagMessages call the person on call about all, and the second person about
// what they were called for: one message to each.
func (e *Escalator) nagMessages(all []reminder, now time.Time) []runbook.Message {
	messages := []runbook.Message{nagMessage(all, e.calling.People.OnCall, nagKey(all[0]), now)}
	second := e.second()
	if second == "" {
		return messages
	}
	theirs := slices.DeleteFunc(slices.Clone(all), func(r reminder) bool { return r.SecondAt.IsZero() })
	if len(theirs) == 0 {
		return messages
	}
	m := nagMessage(theirs, second, nagKey(theirs[0])+ofSecond, now)
	m.Channel = second
	if len(theirs) == 1 {
		m = inSecondThread(theirs[0].Duty, m)
	}
	return append(messages, m)
}

func nagKey(r reminder) string {
	key := fmt.Sprintf("nag:%d:%d", r.ID, r.next.Number)
	if r.next.Number == r.Nags {
		key = fmt.Sprintf("%s:%d", key, r.NextNagAt.Unix()) // the end of a snooze that has no number of its own
	}
	return key
}

// nagMessage is a nag to user: about one escalation in its thread, about
// several outside all threads.
func nagMessage(all []reminder, user, key string, now time.Time) runbook.Message {
	if len(all) == 1 {
		r := all[0]
		return urgent(r.Escalation, key, "nag", mention(user)+nagText(r, now)+"\n"+textEscaper.Replace(summaryOf(r.Escalation)), now)
	}
	m := runbook.Message{Key: key, Kind: "nag", Mrkdwn: true, CreatedAt: now}
	lines := []string{fmt.Sprintf("%sNobody has these %d:", mention(user), len(all))}
	for _, r := range all {
		lines = append(lines, fmt.Sprintf("• *%s*, escalation %d. %s", textEscaper.Replace(summaryOf(r.Escalation)), r.ID, nagText(r, now)))
		m.About = append(m.About, r.ID)
		m.Urgent = m.Urgent || r.Severity == runbook.Critical
	}
	m.Text = strings.Join(lines, "\n")
	ackAll := button(actionAckAll, key, "Acknowledge all")
	ackAll.Style = slackgo.StylePrimary
	m.Blocks = blocksOf(append(sections(m.Text), slackgo.NewActionBlock("", ackAll)))
	return m
}

// nagText is what a nag says about one escalation.
func nagText(r reminder, now time.Time) string {
	open := elapsed(now.Sub(r.OpenedAt))
	number := r.next.Number
	text := fmt.Sprintf("Still unacknowledged. Nag #%d. Unreachable for %s.", number, open)
	switch {
	case r.State == runbook.EscalationSnoozed && number == r.Nags:
		text = fmt.Sprintf("The snooze is over. Open for %s.", open)
	case r.State == runbook.EscalationSnoozed:
		text = fmt.Sprintf("The snooze is over, and nobody has it. Nag #%d. Open for %s.", number, open)
	}
	if number > r.Nags {
		text += skipped(number, r.missed, r.Stuck)
	}
	return text
}
