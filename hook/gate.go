package hook

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"watchkeeper/runbook"
)

// Limits bound the sub-agents of a session.
type Limits struct {
	AtOnce int           // sub-agents that run at the same time
	Calls  int           // of tools, by one sub-agent
	Within time.Duration // of one sub-agent, from its start to its last call
}

const (
	// deafAfter is how many calls beyond the limit a sub-agent may try, each
	// answered by a no, before it is ended.
	deafAfter = 5
	// maxRejections is how often a report is sent back.
	maxRejections = 2
)

// A Gate answers for one state directory.
type Gate struct {
	Book   Book
	Limits Limits
}

// Answer answers in at now. An error without a Reason is trouble with the book,
// which is no ground for a no; an event that the Gate does not know is an error
// with one.
func (g Gate) Answer(in Input, now time.Time) (Answer, error) {
	switch in.Event {
	case preToolUse:
		return g.tool(in, now)
	case subagentStart:
		return Answer{}, g.Book.change(in.Session, func(p *page) { p.start(in, now) })
	case subagentStop:
		return g.report(in, now)
	case stopFailure:
		if !in.subAgent() {
			return Answer{}, nil
		}
		return Answer{}, g.Book.change(in.Session, func(p *page) { p.find(in, now).Ended = now })
	}
	err := fmt.Errorf("hook event %q is none of %s, %s, %s, %s", in.Event, preToolUse, subagentStart, subagentStop, stopFailure)
	return Answer{Reason: err.Error()}, err
}

// tool answers whether a tool may run: first the wall, which needs nothing but
// in, then the bounds.
func (g Gate) tool(in Input, now time.Time) (Answer, error) {
	wall := errors.Join(runbook.MayUse(in.agent(), in.Tool), checkStart(in))
	var over Answer
	var err error
	switch {
	case in.subAgent(): // counted even if the wall says no: asking in vain costs as much
		err = g.Book.change(in.Session, func(p *page) { over = g.used(p.call(in, now), now) })
	case wall == nil && runbook.StartsAgent(in.Tool):
		err = g.Book.change(in.Session, func(p *page) { over = g.room(p, now) })
	}
	if wall != nil && !over.End {
		return Answer{Reason: wall.Error()}, err
	}
	return over, err
}

// checkStart refuses sub-agents that would be something else than the runbook
// describes.
func checkStart(in Input) error {
	if !runbook.StartsAgent(in.Tool) {
		return nil
	}
	var args struct {
		Type      string `json:"subagent_type"`
		Isolation string `json:"isolation"`
	}
	if err := json.Unmarshal(in.ToolInput, &args); err != nil {
		return fmt.Errorf("the input of %s cannot be read: %w", in.Tool, err)
	}
	if !slices.Contains(runbook.SubAgents(), args.Type) {
		return fmt.Errorf("subagent_type %q is none of %s", args.Type, strings.Join(runbook.SubAgents(), ", "))
	}
	if args.Isolation != "" {
		return fmt.Errorf("isolation %q: start the sub-agent without isolation", args.Isolation)
	}
	return nil
}

// used answers by what a sub-agent has used up.
func (g Gate) used(a *agent, now time.Time) Answer {
	var what string
	switch {
	case a.Calls > g.Limits.Calls:
		what = fmt.Sprintf("your %d calls are used up", g.Limits.Calls)
	case now.Sub(a.Started) > g.Limits.Within:
		what = fmt.Sprintf("your %s are over", g.Limits.Within)
	default:
		return Answer{}
	}
	a.Denied++
	if a.Denied > deafAfter {
		a.Ended = now
	}
	return Answer{
		End: a.Denied > deafAfter,
		Reason: "No further call is answered: " + what + ". Write your report now, in your report format, with what you have seen. " +
			"List under GAPS what you did not get to check. An honest partial report is what is needed.",
	}
}

// room answers whether one more sub-agent may start, and keeps a place for it.
func (g Gate) room(p *page, now time.Time) Answer {
	if p.running(now, g.Limits.Within) >= g.Limits.AtOnce {
		return Answer{Reason: fmt.Sprintf("%d sub-agents are at work, which is the limit. Start this one when a report has come; "+
			"the event is not lost, it is sent again while nobody claims it", g.Limits.AtOnce)}
	}
	p.Places = append(p.Places, now)
	return Answer{}
}

// report answers whether a sub-agent may stop with what it said last. Its
// bound keeps a model that cannot do better from trying for ever: the
// dispatcher knows what to do without a report.
func (g Gate) report(in Input, now time.Time) (Answer, error) {
	if !slices.Contains(runbook.SubAgents(), in.AgentType) {
		return Answer{}, nil // it can have done nothing
	}
	r, wrong := runbook.ParseReport(in.Report)
	var answer Answer
	err := g.Book.change(in.Session, func(p *page) {
		a := p.find(in, now)
		if wrong == nil && a.Denied > 0 && slices.Equal(r.Gaps, []string{"none"}) {
			wrong = errors.New("GAPS says none, but your time or your calls were used up before you were done: list there what you did not get to check")
		}
		if wrong == nil || a.Rejections >= maxRejections {
			a.Ended = now
			return
		}
		a.Rejections++
		answer.Reason = "Your report is not accepted:\n" + wrong.Error() + "\nWrite it again, whole, without calling another tool unless you must."
	})
	if err != nil && in.Again { // nobody counts: once is enough
		answer = Answer{}
	}
	return answer, err
}
