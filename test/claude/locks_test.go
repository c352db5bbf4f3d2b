package claude_test

import (
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"watchkeeper/channels/slack/fakeslack"
	"watchkeeper/test/fakes/claude"
	"watchkeeper/test/messages"
)

// second starts another watchkeeper up on the state directory of h.
func (h *house) second() *house {
	h.t.Helper()
	other := *h
	cmd := exec.Command(binary(h.t, "watchkeeper"), "up", "--config", filepath.Join(h.dir, "watchkeeper.yaml"), "--state", h.state)
	cmd.Dir, cmd.Env = h.dir, h.env
	other.cmd, other.log, other.done = cmd, &output{t: h.t}, make(chan error, 1)
	cmd.Stdout, cmd.Stderr = other.log, other.log
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	go func() { other.done <- cmd.Wait() }()
	h.t.Cleanup(other.stop)
	other.poll("second keeper", func() bool { return strings.Count(other.log.String(), "standing by") >= 5 })
	return &other
}

// hosts are the processes that host the parts.
func (h *house) hosts() map[string]int {
	h.t.Helper()
	all := map[string]int{}
	for part, who := range h.status().Parts {
		if who != nil {
			all[part] = who.PID
		}
	}
	return all
}

// crowd is a house in channels mode with a second keeper and a session that
// was started by hand on the same state directory.
func crowd(t *testing.T) (h, other *house, slack *fakeslack.Server, session, hand *claude.Play) {
	t.Helper()
	slack, config, tokens := withSlack(t)
	h, session = channelsHouse(t, config, tokens)
	other = h.second()
	hand = claude.New(t)
	byHand(t, h.dir, append(slices.Clone(h.env), "CLAUDE="+hand.Path, "WATCHKEEPER_STATE="+h.state))
	h.poll("session by hand", func() bool { return len(hand.Records("ready")) == 1 })
	return h, other, slack, session, hand
}

// quiet fails the test if anything reached a session that keeps nothing.
func quiet(t *testing.T, hand *claude.Play) {
	t.Helper()
	if got := hand.Records("event"); len(got) != 0 {
		t.Errorf("the session by hand took %+v", got)
	}
}

func TestACrowdStealsNothing(t *testing.T) {
	h, _, slack, session, hand := crowd(t)
	before := h.hosts()
	claudeList(t, h)
	h.post(payload(t))
	h.poll("alert", func() bool { return len(session.Records("event")) == 1 })
	slack.Say(onCall, "what is going on?")
	h.poll("message", func() bool { return len(session.Records("event")) == 2 })
	claudeList(t, h)
	if after := h.hosts(); !maps.Equal(before, after) {
		t.Errorf("hosts were %v and are %v", before, after)
	}
	if n, opens := slack.Connections(), slack.Opens(); n != 1 || opens != 1 {
		t.Errorf("%d connections to Slack, %d opened, want one", n, opens)
	}
	if got := session.Records("event"); len(got) != 2 || got[0].Server != "webhook" || got[1].Text != "what is going on?" && !strings.Contains(got[1].Text, "what is going on?") {
		t.Errorf("events = %+v, want the alert and the message, once each", got)
	}
	quiet(t, hand)
}

func TestACrowdStealsNothingFromTheStream(t *testing.T) {
	slack, config, tokens := withSlack(t)
	talk := messages.Rule{Name: "talk", When: messages.Match{Agent: messages.Main, Text: "what is going on"}}
	script, api := model(t, append([]messages.Rule{talk}, investigation(nil)...)...)
	h := newHouse(t, api, config, tokens)
	h.poll("session", func() bool { s := h.status().Session; return s != nil && s.Mode == "stream" })
	hand := claude.New(t)
	byHand(t, h.dir, append(slices.Clone(h.env), "CLAUDE="+hand.Path, "WATCHKEEPER_STATE="+h.state))
	h.poll("session by hand", func() bool { return len(hand.Records("ready")) == 1 })
	before := h.hosts()
	claudeList(t, h)
	h.post(payload(t))
	h.decided(crashLoop)
	slack.Say(onCall, "what is going on?")
	if _, err := script.AwaitRule(within(t), "talk"); err != nil {
		t.Error(err)
	}
	if n := script.Count("dispatch"); n != 1 {
		t.Errorf("%d dispatches, want one", n)
	}
	if after := h.hosts(); !maps.Equal(before, after) {
		t.Errorf("hosts were %v and are %v", before, after)
	}
	if n := slack.Opens(); n != 1 {
		t.Errorf("%d connections were opened to Slack, want one", n)
	}
	quiet(t, hand)
}

// claudeList has the real CLI start a copy of every server, as people do to see
// whether they work.
func claudeList(t *testing.T, h *house) {
	t.Helper()
	dir := t.TempDir()
	copyTree(t, root(t, ".mcp.json"), filepath.Join(dir, ".mcp.json"))
	write(t, dir, ".claude/settings.local.json", `{"enableAllProjectMcpServers":true}`)
	env := append(slices.Clone(h.env), "HOME="+trusted(t, dir), "CLAUDE_PLUGIN_ROOT="+root(t),
		"WATCHKEEPER_STATE="+h.state, "WATCHKEEPER_CONFIG="+filepath.Join(h.dir, "watchkeeper.yaml"))
	out := claudeCommand(t, dir, env, "mcp", "list")
	for _, name := range []string{"webhook", "slack", "sre-tools"} {
		if line := lineWith(out, name+":"); !strings.Contains(line, "Connected") {
			t.Errorf("server %s: %q in\n%s", name, line, out)
		}
	}
}

func TestTheSecondKeeperTakesOverEverything(t *testing.T) {
	h, other, slack, session, hand := crowd(t)
	h.post(payload(t))
	h.poll("alert", func() bool { return len(session.Records("event")) == 1 })
	h.cmd.Process.Kill()
	<-h.done
	h.done <- nil // it has ended, as was meant
	other.poll("takeover", func() bool {
		return other.hosts()["session"] == other.cmd.Process.Pid && len(session.Records("event")) == 2
	})
	records := session.Records("event")
	if records[0].PID == records[1].PID || records[0].Meta["delivery"] != records[1].Meta["delivery"] {
		t.Errorf("events = %+v, want the same one, again in the new session", records)
	}
	if runs(records[0].PID) {
		t.Errorf("the session %d of the killed keeper lives on", records[0].PID)
	}
	other.poll("one link", func() bool { return slack.Connections() == 1 })
	if n := slack.Opens(); n != 2 {
		t.Errorf("%d connections were opened to Slack, want two, one after the other", n)
	}
	quiet(t, hand)
}

func TestAKeeperRelievesASessionByHand(t *testing.T) {
	slack, config, tokens := withSlack(t)
	p, hand := claude.New(t), claude.New(t)
	h := newHouse(t, "http://127.0.0.1:1", config, tokens, inChannels(p, "channels"), func(h *house) {
		byHand(t, h.dir, append(slices.Clone(h.env), "CLAUDE="+hand.Path, "WATCHKEEPER_STATE="+h.state))
		h.log, h.done = &output{t: t}, make(chan error)
		h.pushedBy("webhook-channel")
		h.post(payload(t))
		h.poll("alert by hand", func() bool { return len(hand.Records("event")) == 1 })
	})
	h.poll("alert in the kept session", func() bool { return len(p.Records("event")) == 1 })
	slack.Say(onCall, "who are you?")
	h.poll("message", func() bool { return len(p.Records("event")) == 2 })
	if n := len(hand.Records("event")); n != 1 {
		t.Errorf("%d events by hand, want the one before the keeper came", n)
	}
	if n := slack.Opens(); n != 1 {
		t.Errorf("%d connections were opened to Slack, want the one of the session by hand", n)
	}
	if who := h.status().Parts["intake"]; who.Program != "webhook-channel" {
		t.Errorf("the intake is hosted by %+v; nobody is pushed out", who)
	}
}
