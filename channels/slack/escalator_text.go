package slack

import (
	"fmt"
	"time"

	"watchkeeper/runbook"
)

// Who ended an escalation that no person ended.
const (
	byAlerts  = "alerts"
	byVerdict = "verdict"
)

// elapsed is a time as a nag says it: whole minutes up to five hours, because
// that is what somebody who wakes up counts in.
func elapsed(d time.Duration) string {
	minutes := int(d / time.Minute)
	switch {
	case minutes == 1:
		return "1 minute"
	case minutes < 300:
		return fmt.Sprintf("%d minutes", minutes)
	case minutes < 48*60:
		return fmt.Sprintf("%d hours %d minutes", minutes/60, minutes%60)
	}
	return fmt.Sprintf("%d days %d hours", minutes/60/24, minutes/60%24)
}

// mention rings user; "" rings nobody.
func mention(user string) string {
	if user == "" {
		return ""
	}
	return "<@" + user + "> "
}

// urgent is a message about e in Slack's markup, in its thread.
func urgent(e runbook.Escalation, key, kind, text string, now time.Time) runbook.Message {
	return runbook.Message{Key: key, Kind: kind, Escalation: e.ID, Text: text, Mrkdwn: true, CreatedAt: now}
}

// skipped names the nags before number that nobody saw: missed ones, that were
// never made, and before them stuck ones, that Slack did not take.
func skipped(number, missed, stuck int) string {
	why := "Watchkeeper was not running"
	if stuck > 0 {
		why = "Slack could not be reached"
	}
	switch missed + stuck {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(" Nag #%d was not sent: %s.", number-1, why)
	}
	return fmt.Sprintf(" Nags #%d to #%d were not sent: %s.", number-missed-stuck, number-1, why)
}

// summaryOf is e in one line.
func summaryOf(e runbook.Escalation) string {
	if e.Cluster == "" {
		return e.Title
	}
	return e.Title + " (" + e.Cluster + ")"
}

// ofSecond ends the key of what the second person is told.
const ofSecond = ":second"

// toSecond sends what the thread is told to the second person too, who does not
// see that thread.
func toSecond(d *runbook.Duty, second string, m runbook.Message) runbook.Message {
	m.Key += ofSecond
	m.Channel = second
	return inSecondThread(d, m)
}

// inSecondThread puts m into the thread under the card that called the second
// person, once that has been sent.
func inSecondThread(d *runbook.Duty, m runbook.Message) runbook.Message {
	if d.SecondChannel != "" {
		m.Channel, m.Thread = d.SecondChannel, d.SecondThread
	}
	return m
}

// secondCall is the card that calls the second person.
func secondCall(e runbook.Escalation, second, why string, now time.Time) runbook.Message {
	return runbook.Message{
		Key: fmt.Sprintf("second:%d", e.ID), Kind: kindSecond, Escalation: e.ID, Channel: second, CreatedAt: now,
		Text: fmt.Sprintf("The person on call %s. You are called in their place.\n%s", why, callText(e)),
	}
}

// secondNote tells the thread that the second person was called.
func secondNote(e runbook.Escalation, why string, now time.Time) runbook.Message {
	return runbook.Message{
		Key: fmt.Sprintf("second-note:%d", e.ID), Kind: "note", Escalation: e.ID, CreatedAt: now,
		Text: fmt.Sprintf("The person on call %s, so the second person was called.", why),
	}
}

// repingMessage asks whoever acknowledged d whether it is still theirs.
func (e *Escalator) repingMessage(d *runbook.Duty, now time.Time) runbook.Message {
	text := fmt.Sprintf("%sNothing has happened here for %s, and it is yours since %s. Is it over, or still in your hands? "+
		"Reply here, or press Resolve.\n%s", mention(d.AckedBy), elapsed(now.Sub(d.TouchedAt)), clock(d.AckedAt), textEscaper.Replace(summaryOf(d.Escalation)))
	m := urgent(d.Escalation, fmt.Sprintf("reping:%d:%d", d.ID, d.Repings+1), "nag", text, now)
	if second := e.second(); second != "" && d.AckedBy == second {
		return toSecond(d, second, m)
	}
	return m
}

// resolvedNote says once in the thread that e is over. It mentions nobody: it
// must not wake the person whom it lets sleep.
func resolvedNote(e runbook.Escalation, by string, now time.Time) runbook.Message {
	text := "Resolved."
	switch by {
	case byAlerts:
		text = "Resolved: none of its alerts fires any more."
	case byVerdict:
		text = "Resolved: the event has its verdict now."
	case bySession:
		text = "Resolved by the session."
	}
	return runbook.Message{
		Key: fmt.Sprintf("resolved:%d", e.ID), Kind: "resolved", Escalation: e.ID, Text: text + " " + e.Title, CreatedAt: now,
	}
}
