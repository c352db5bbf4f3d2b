package slack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"watchkeeper/runbook"
)

// A NagMemory is what the escalator needs of the memory.
type NagMemory interface {
	Duties(ctx context.Context) ([]runbook.Duty, error)
	Police(ctx context.Context, id int64, next time.Time) error
	Nag(ctx context.Context, nags []runbook.Nag, words func(taken []runbook.Nag) []runbook.Message) ([]runbook.Nag, error)
	CallSecond(ctx context.Context, id int64, now time.Time, messages ...runbook.Message) (bool, error)
	Reping(ctx context.Context, id int64, n int, now time.Time, messages ...runbook.Message) (bool, error)
	Settle(ctx context.Context, id int64, by string, now time.Time, messages ...runbook.Message) (bool, error)
	ShowCard(ctx context.Context, id int64, revision int, edits ...runbook.Message) (bool, error)
	CardMemory

	ExpiredApprovals(ctx context.Context, now time.Time) ([]runbook.Approval, error)
	DecideApproval(ctx context.Context, a runbook.Approval, messages ...runbook.Message) (bool, error)
}

// A Presence knows whether a person's notifications are held back.
// [Client.Quiet] implements it.
type Presence interface {
	Quiet(ctx context.Context, user string, now time.Time) (until time.Time, on bool, err error)
}

// Calling says who is called, how soon and how often. The zero value calls
// nobody by name, and has the defaults of MISSION: after 10 minutes, then every
// 10.
type Calling struct {
	People People

	// First is the time from the first message about a critical escalation to
	// nag 1, by environment. What is not in it is 10 minutes, and never on dev;
	// a negative time is never.
	First map[runbook.Env]time.Duration

	// Every is the time from nag to nag of an escalation; 0 is 10 minutes.
	// Nags of several that fall due within a fifth of it are one message, which
	// names each with its number, at the time of the last: so a person is
	// called about them five times within Every, or once more, however many
	// there are. No nag is early, and each counts as if it had been on time.
	Every       time.Duration
	SecondAfter int           // nags after which the second person is called; 0 is 6
	Reping      time.Duration // without activity, until whoever acknowledged is asked again; 0 is 2 hours, negative is never

	Presence Presence // nil: notifications are never held back
}

// Defaults of a Calling.
const (
	secondAfter = 6
	repingAfter = 2 * time.Hour
)

// Pauses of the escalator.
const (
	settleAfter  = 10 * time.Minute // without its alerts, until an escalation that somebody took is over: one that comes and goes calls nobody twice
	nagLook      = 5 * time.Second  // at the memory, at the latest; what this process changes wakes it
	nagRetry     = 5 * time.Second  // after the memory failed
	presenceWait = 3 * time.Second  // for an answer about notifications
	presenceFor  = time.Minute      // that an answer counts
)

// first returns the time to nag 1 of an escalation; false means that it is not
// repeated.
func (c Calling) first(s runbook.Severity, e runbook.Env) (time.Duration, bool) {
	after, set := c.First[e]
	switch {
	case s != runbook.Critical || set && after < 0:
		return 0, false
	case set && after > 0:
		return after, true
	}
	return runbook.NagEvery, e.Strict()
}

// promise tells the person what happens while nobody acknowledges e.
func (c Calling) promise(e runbook.Escalation) string {
	if _, nags := c.first(e.Severity, e.Env); nags {
		return "You are called again every " + elapsed(c.every()) + ", until somebody acknowledges."
	}
	return "It is said once, and not repeated."
}

func (c Calling) every() time.Duration { return cmp.Or(c.Every, runbook.NagEvery) }

// gather is how long a nag waits for others.
func (c Calling) gather() time.Duration { return c.every() / 5 }

// An Escalator repeats what nobody acknowledged, asks again about what nobody
// works on, ends what is over, and keeps the cards as things stand. All its
// deadlines are in the memory, and each step is one transaction there, so it
// may die at any instant, and two of them say nothing twice.
type Escalator struct {
	memory  NagMemory
	calling Calling
	log     *slog.Logger
	wake    signal
	away    *absence
}

// NewEscalator returns an Escalator. It does nothing until Run is called.
func NewEscalator(m NagMemory, c Calling, log *slog.Logger) *Escalator {
	return &Escalator{memory: m, calling: c, log: log, wake: newSignal(), away: &absence{presence: c.Presence}}
}

// Wake makes Run look at the memory now. It is safe for concurrent use.
func (e *Escalator) Wake() { e.wake.set() }

// Run looks after the escalations until ctx is done, and returns nil then. It
// retries failures instead of returning them.
func (e *Escalator) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		wait, err := e.step(ctx)
		if err != nil && ctx.Err() == nil {
			e.log.ErrorContext(ctx, "escalations not looked after", "err", err, "retry_after", nagRetry)
			wait = nagRetry
		}
		e.wake.wait(ctx, wait)
	}
	return nil
}

// step does everything that is due. One escalation that fails does not delay
// the others. It returns how long to wait before the next look.
func (e *Escalator) step(ctx context.Context) (time.Duration, error) {
	now := time.Now()
	duties, err := e.memory.Duties(ctx)
	if err != nil {
		return 0, err
	}
	var errs []error
	each := func(do func(context.Context, *runbook.Duty, time.Time) error) {
		for i := range duties {
			if err := do(ctx, &duties[i], now); err != nil {
				errs = append(errs, fmt.Errorf("escalation %d: %w", duties[i].ID, err))
			}
		}
	}
	each(e.attend)
	errs = append(errs, e.nag(ctx, duties, now))
	each(e.callSecondAfterNags)
	errs = append(errs, expireApprovals(ctx, e.memory, now))
	wait := untilNextNag(duties, now)
	if wait >= 2*presenceWait { // Slack may take its time to answer, and no nag waits for that
		each(e.noticeAbsence)
	}
	return min(nagLook, wait), errors.Join(errs...)
}

// untilNextNag returns how long it is until a nag falls due, at most twice
// presenceWait.
func untilNextNag(duties []runbook.Duty, now time.Time) time.Duration {
	wait := 2 * presenceWait
	for _, d := range duties {
		if until := d.NextNagAt.Sub(now); until > 0 {
			wait = min(wait, until)
		}
	}
	return wait
}

// attend does what is due for one escalation, except for its nag. d has the
// deadline of that afterwards.
func (e *Escalator) attend(ctx context.Context, d *runbook.Duty, now time.Time) error {
	if err := e.showCard(ctx, d, now); err != nil {
		return err
	}
	switch {
	case d.State == runbook.EscalationResolved:
		return nil
	case d.Over && (d.State == runbook.EscalationOpen || now.Sub(d.OverSince) >= settleAfter):
		return e.settle(ctx, d, byAlerts, now)
	case overdueNoMore(d):
		return e.settle(ctx, d, byVerdict, now)
	case !d.Policed:
		if err := e.police(ctx, d); err != nil {
			return err
		}
	}
	if d.State == runbook.EscalationAcked {
		return e.reping(ctx, d, now)
	}
	return nil
}

// overdueNoMore reports whether d says that nobody decides an event which has
// its verdict now.
func overdueNoMore(d *runbook.Duty) bool { return d.Decided && d.OpenedBy == "watchdog" }

// police gives d its first deadline: from the first message, or from when it
// became critical.
func (e *Escalator) police(ctx context.Context, d *runbook.Duty) error {
	next := time.Time{}
	if after, nags := e.calling.first(d.Severity, d.Env); nags {
		next = d.NextNagAt.Add(after - runbook.NagEvery)
		if d.NextNagAt.IsZero() {
			next = d.TouchedAt.Add(after)
		}
	}
	if err := e.memory.Police(ctx, d.ID, next); err != nil {
		return err
	}
	if d.State == runbook.EscalationOpen && d.Nags == 0 {
		d.NextNagAt = next
	}
	return nil
}

// callSecondAfterNags calls the second person about d once the first one has
// not answered often enough.
func (e *Escalator) callSecondAfterNags(ctx context.Context, d *runbook.Duty, now time.Time) error {
	if !called(d) || d.Nags < cmp.Or(e.calling.SecondAfter, secondAfter) {
		return nil
	}
	return e.callSecond(ctx, d, fmt.Sprintf("has not answered %d calls in %s", d.Nags, elapsed(now.Sub(d.OpenedAt))), now)
}

// callSecond calls the second person about d, if there is one, once.
func (e *Escalator) callSecond(ctx context.Context, d *runbook.Duty, why string, now time.Time) error {
	second := e.second()
	if second == "" || !d.SecondAt.IsZero() || d.State == runbook.EscalationAcked {
		return nil
	}
	called, err := e.memory.CallSecond(ctx, d.ID, now, secondCall(d.Escalation, second, why, now), secondNote(d.Escalation, why, now))
	if called {
		e.log.WarnContext(ctx, "second person called", "escalation", d.ID, "why", why)
	}
	return err
}

// second returns who is called when the first person does not answer, or "".
func (e *Escalator) second() string {
	if p := e.calling.People; p.Second != p.OnCall {
		return p.Second
	}
	return ""
}

// noticeAbsence calls the second person about a critical escalation when the
// first person's notifications are off: no nag would reach them.
func (e *Escalator) noticeAbsence(ctx context.Context, d *runbook.Duty, now time.Time) error {
	_, nags := e.calling.first(d.Severity, d.Env)
	if !nags || d.State != runbook.EscalationOpen || !d.SecondAt.IsZero() || !called(d) || e.second() == "" || e.calling.People.OnCall == "" {
		return nil
	}
	until, off, err := e.away.ask(ctx, e.calling.People.OnCall, now)
	if err != nil {
		e.log.WarnContext(ctx, "notifications of the person on call are not known", "err", err)
		return nil
	}
	if !off {
		return nil
	}
	return e.callSecond(ctx, d, "has notifications switched off until "+clock(until), now)
}

// reping asks whoever acknowledged d whether it is still theirs.
func (e *Escalator) reping(ctx context.Context, d *runbook.Duty, now time.Time) error {
	after := cmp.Or(e.calling.Reping, repingAfter)
	if _, nags := e.calling.first(d.Severity, d.Env); !nags || after < 0 || d.TouchedAt.Add(after).After(now) {
		return nil
	}
	_, err := e.memory.Reping(ctx, d.ID, d.Repings+1, now, e.repingMessage(d, now))
	return err
}

// settle ends d, which is over, and says so without waking anybody.
func (e *Escalator) settle(ctx context.Context, d *runbook.Duty, by string, now time.Time) error {
	notes := []runbook.Message{resolvedNote(d.Escalation, by, now)}
	if second := e.second(); second != "" && !d.SecondAt.IsZero() {
		notes = append(notes, toSecond(d, second, notes[0]))
	}
	if _, err := e.memory.Settle(ctx, d.ID, by, now, notes...); err != nil {
		return err
	}
	e.wake.set() // its card is old now
	return nil
}

// showCard brings the cards of d up to date.
func (e *Escalator) showCard(ctx context.Context, d *runbook.Duty, now time.Time) error {
	if d.Revision == d.Shown {
		return nil
	}
	edits, err := Cards{Memory: e.memory, Calling: e.calling}.edits(ctx, *d, now)
	if err != nil {
		return err
	}
	_, err = e.memory.ShowCard(ctx, d.ID, d.Revision, edits...)
	return err
}

// An absence asks for the notifications of people, and remembers the answer
// for a while. It is for one goroutine.
type absence struct {
	presence Presence
	asked    time.Time
	until    time.Time
	off      bool
}

// ask reports whether the notifications of user are off. After an error it
// asks again only when the old answer would have been too old.
func (a *absence) ask(ctx context.Context, user string, now time.Time) (until time.Time, off bool, err error) {
	if a.presence == nil || now.Sub(a.asked) < presenceFor {
		return a.until, a.off && a.until.After(now), nil
	}
	a.asked, a.off = now, false
	ctx, cancel := context.WithTimeout(ctx, presenceWait)
	defer cancel()
	a.until, a.off, err = a.presence.Quiet(ctx, user, now)
	if err != nil {
		a.off = false
		return time.Time{}, false, err
	}
	return a.until, a.off, nil
}
