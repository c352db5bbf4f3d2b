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
