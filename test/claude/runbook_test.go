package claude_test

import (
	"strings"
	"testing"
)

// TestTheModelHasTheRunbook guards what everything rests on: a rule of the
// settings that denies Read keeps the CLI from loading CLAUDE.md, silently in
// stream mode.
func TestTheModelHasTheRunbook(t *testing.T) {
	script, api := model(t, investigation(nil)...)
	h := newHouse(t, api, "")
	h.post(payload(t))
	h.decided(crashLoop)
	dispatcher, investigator := false, false
	for _, r := range script.Requests() {
		dispatcher = dispatcher || !r.SubAgent() && strings.Contains(r.System(), "# Watchkeeper: the runbook")
		investigator = investigator || r.SubAgent() && strings.Contains(r.System(), "You investigate one alert")
	}
	if !dispatcher {
		t.Error("the dispatcher works without CLAUDE.md; is Read denied in .claude/settings.json?")
	}
	if !investigator {
		t.Error("the investigator works without its page in .claude/agents")
	}
}
