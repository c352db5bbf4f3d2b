package claude_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"watchkeeper/test/fakes/claude"
)

// inChannels gives a house a CLI that takes channels, and the mode.
func inChannels(p *claude.Play, mode string) func(*house) {
	return func(h *house) {
		if _, err := exec.LookPath("tmux"); err != nil {
			missing(h.t, "no tmux: %v", err)
		}
		h.set("{mode: stream, claude: "+cli(h.t)+"}", "{mode: "+mode+", claude: "+p.Path+"}")
	}
}

// channelsHouse is a house in channels mode, whose session is up.
func channelsHouse(t *testing.T, config string, prepare ...func(*house)) (*house, *claude.Play) {
	t.Helper()
	p := claude.New(t)
	h := newHouse(t, "http://127.0.0.1:1", config, append(prepare, inChannels(p, "channels"))...)
	h.pushedBy("webhook-channel")
	return h, p
}

// house status, as far as these tests read it.
type houseStatus struct {
	Parts map[string]*struct {
		PID     int    `json:"pid"`
		Program string `json:"program"`
	} `json:"parts"`
	Session *struct {
		ID      int64      `json:"id"`
		Mode    string     `json:"mode"`
		PID     int        `json:"pid"`
		EndedAt *time.Time `json:"ended_at"`
		Reason  string     `json:"reason"`
	} `json:"session"`
	Queue map[string]int `json:"queue"`
	Beats map[string]struct {
		Detail string `json:"detail"`
	} `json:"beats"`
}

func (h *house) status() houseStatus {
	h.t.Helper()
	var s houseStatus
	if err := json.Unmarshal(h.run("status", "--json"), &s); err != nil {
		h.t.Fatal(err)
	}
	return s
}

// pushedBy waits until program pushes the alerts.
func (h *house) pushedBy(program string) {
	h.t.Helper()
	h.poll("pump of "+program, func() bool {
		s := h.status()
		pump, talk := s.Parts["pump"], s.Parts["talk"]
		return pump != nil && pump.Program == program && (talk != nil || s.Session.Mode == "responder")
	})
}

// reached are the names of the alerts that reached a CLI, in order.
func reached(p *claude.Play) []string {
	var all []string
	for _, r := range p.Records("event") {
		all = append(all, r.Meta["alert"])
	}
	return all
}

func TestChannelsModeLetsTheSessionsServersPush(t *testing.T) {
	h, p := channelsHouse(t, "")
	p.Set("verdict", "noise")
	h.post(payload(t))
	if o := h.decided(crashLoop); o.Verdict != "noise" {
		t.Errorf("occurrence = %+v, want noise", o)
	}
	if got := reached(p); len(got) != 1 {
		t.Errorf("events = %q, want one", got)
	}
	s := h.status()
	if s.Session.Mode != "channels" || s.Session.EndedAt != nil || s.Beats["channels"].Detail != "registered" {
		t.Errorf("session = %+v, channels %q, want one in channels mode", s.Session, s.Beats["channels"].Detail)
	}
	for part, program := range map[string]string{"intake": "watchkeeper", "link": "watchkeeper", "escalator": "watchkeeper", "talk": "slack-channel"} {
		if who := s.Parts[part]; who == nil || who.Program != program {
			t.Errorf("%s is hosted by %+v, want %s", part, who, program)
		}
	}
	prompts := p.Records("prompt")
	if len(prompts) != 1 || !strings.Contains(prompts[0].Text, "=== SRE Briefing") || !strings.Contains(prompts[0].Text, "You are on duty.") {
		t.Errorf("prompts = %+v, want the briefing alone", prompts)
	}
}

func TestNothingIsPushedBeforeTheRegistration(t *testing.T) {
	p := claude.New(t)
	p.Set("gate", "closed")
	h := newHouse(t, "http://127.0.0.1:1", "", inChannels(p, "channels"))
	h.post(payload(t))
	h.poll("attempt", func() bool { s := h.status(); return s.Session != nil && s.Session.EndedAt != nil })
	s := h.status()
	if !strings.Contains(s.Session.Reason, "channels feature is not currently available") || s.Queue["queued"] != 1 {
		t.Errorf("session %+v, queue %v, want the reason and one event queued", s.Session, s.Queue)
	}
	if got := reached(p); len(got) != 0 {
		t.Errorf("events = %q, want none", got)
	}
	h.pushedBy("watchkeeper")
}

func TestRestartInChannelsModeKeepsTheEvents(t *testing.T) {
	h, p := channelsHouse(t, "")
	first := h.status().Session.PID
	h.post(payload(t))
	h.poll("event", func() bool { return len(reached(p)) == 1 })
	h.run("restart")
	h.pushedBy("webhook-channel")
	h.poll("event in the fresh session", func() bool { return len(reached(p)) == 2 })
	if s := h.status().Session; s.PID == first || runs(first) {
		t.Errorf("session %+v after process %d, want a new one and the old one gone", s, first)
	}
	records := p.Records("event")
	if records[0].PID == records[1].PID || records[0].Meta["delivery"] != records[1].Meta["delivery"] {
		t.Errorf("events = %+v, want the same one in both sessions", records)
	}
	if n := len(p.Records("prompt")); n != 2 {
		t.Errorf("%d briefings, want one for each session", n)
	}
}

func TestNothingIsPushedIntoASessionThatDrains(t *testing.T) {
	h, p := channelsHouse(t, "")
	p.Set("claim", "yes")
	h.post(payload(t))
	h.poll("claim", func() bool { return h.status().Queue["claimed"] == 1 })
	restart := exec.Command(binary(t, "watchkeeper"), "restart", "--config", filepath.Join(h.dir, "watchkeeper.yaml"), "--state", h.state)
	restart.Env = h.env
	if err := restart.Start(); err != nil {
		t.Fatal(err)
	}
	defer restart.Wait()
	defer restart.Process.Kill()
	h.pushedBy("watchkeeper")
	h.post(strings.NewReplacer(crashLoop, "AnotherAlert", `"fingerprint":"`, `"fingerprint":"f`).Replace(payload(t)))
	h.poll("another alert", func() bool { return h.status().Queue["queued"] == 1 })
	if got, s := reached(p), h.status(); len(got) != 1 || s.Session.EndedAt != nil || s.Parts["pump"].Program != "watchkeeper" {
		t.Errorf("events = %q, %+v; want the first alone while the session drains", got, s.Session)
	}
}

func TestCrashInChannelsModeIsMended(t *testing.T) {
	h, p := channelsHouse(t, "")
	h.post(payload(t))
	h.poll("event", func() bool { return len(reached(p)) == 1 })
	if err := syscall.Kill(h.status().Session.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.Set("verdict", "real")
	if o := h.decided(crashLoop); o.Verdict != "real" {
		t.Errorf("occurrence = %+v, want real", o)
	}
	if !strings.Contains(h.log.String(), "cause=crashed detail=\"the process ended") {
		t.Errorf("the log does not say how the session ended:\n%s", h.log)
	}
}

func TestKilledKeeperLeavesASessionThatTheNextOneEnds(t *testing.T) {
	h, p := channelsHouse(t, "")
	orphan := h.status().Session.PID
	h.cmd.Process.Kill()
	<-h.done
	h.up()
	h.poll("fresh session", func() bool { s := h.status().Session; return s.PID != orphan && s.EndedAt == nil })
	h.pushedBy("webhook-channel")
	if runs(orphan) {
		t.Errorf("process %d of the killed keeper lives on", orphan)
	}
	h.post(payload(t))
	h.poll("event", func() bool { return len(reached(p)) > 0 })
	if r := p.Records("event"); len(r) != 1 || r[0].PID == orphan {
		t.Errorf("events = %+v, want one, in the fresh session", r)
	}
}

func TestKeeperInAnotherModeEndsTheSessionThatWasLeft(t *testing.T) {
	h, _ := channelsHouse(t, "")
	orphan := h.status().Session.PID
	h.cmd.Process.Kill()
	<-h.done
	h.set("{mode: channels", "{mode: responder")
	h.up()
	h.pushedBy("watchkeeper")
	if runs(orphan) {
		t.Errorf("process %d of the killed keeper lives on", orphan)
	}
}

func TestServerThatIsKilledInChannelsModeComesBack(t *testing.T) {
	h, p := channelsHouse(t, "")
	session := h.status().Session.PID
	if err := syscall.Kill(h.status().Parts["pump"].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	h.post(payload(t))
	h.poll("event", func() bool { return len(reached(p)) == 1 })
	if s := h.status().Session; s.PID != session {
		t.Errorf("session = %+v, want still process %d", s, session)
	}
	if n := len(p.Records("event")); n != 1 {
		t.Errorf("%d events, want one", n)
	}
}

func TestQuotaThatIsGoneInChannelsModeIsRelieved(t *testing.T) {
	p := claude.New(t)
	p.Set("fail", "rate_limit")
	h := newHouse(t, "http://127.0.0.1:1", "", inChannels(p, "auto"))
	const relief = `msg="the responder takes over" cause=out_of_quota`
	h.poll("relief by the responder", func() bool { return strings.Contains(h.log.String(), relief) })
	if who := h.status().Parts["pump"]; who == nil || who.Program != "watchkeeper" {
		t.Errorf("the pump is hosted by %+v, want watchkeeper", who)
	}
}

func TestEndOfDutyEndsTheTerminal(t *testing.T) {
	h, _ := channelsHouse(t, "")
	pid := h.status().Session.PID
	h.stop()
	if runs(pid) {
		t.Errorf("process %d lives on", pid)
	}
	for _, name := range []string{"intake", "pump", "talk", "session"} {
		if who := h.status().Parts[name]; who != nil {
			t.Errorf("%s is hosted by %+v after the end", name, who)
		}
	}
	h.up() // the end of the test stops it again
}

// attached shows what watchkeeper attach shows, in a terminal of its own.
func (h *house) attached(args ...string) tmux {
	h.t.Helper()
	attach := []string{binary(h.t, "watchkeeper"), "attach", "--config", filepath.Join(h.dir, "watchkeeper.yaml"), "--state", h.state}
	return inTerminal(h.t, h.dir, append(slices.Clone(h.env), "TERM=xterm-256color"), append(attach, args...)...)
}

func TestAttachShowsTheTerminal(t *testing.T) {
	h, p := channelsHouse(t, "")
	w := h.attached()
	h.poll("screen", func() bool { return strings.Contains(w.run("capture-pane", "-p"), "[watchkeeper]") })
	w.run("send-keys", "-l", "hello from a person")
	w.run("send-keys", "Enter")
	h.poll("message", func() bool {
		return slices.ContainsFunc(p.Records("prompt"), func(r claude.Record) bool { return r.Text == "hello from a person" })
	})
	looker := h.attached("--read-only")
	h.poll("screen", func() bool { return strings.Contains(looker.run("capture-pane", "-p"), "[watchkeeper]") })
	looker.run("send-keys", "-l", "not for you")
	looker.run("send-keys", "Enter")
	w.run("send-keys", "-l", "the last one")
	w.run("send-keys", "Enter")
	h.poll("message", func() bool {
		return slices.ContainsFunc(p.Records("prompt"), func(r claude.Record) bool { return r.Text == "the last one" })
	})
	for _, r := range p.Records("prompt") {
		if strings.Contains(r.Text, "not for you") {
			t.Errorf("a looker typed %q", r.Text)
		}
	}
}

func TestPermissionIsRelayedToThePhone(t *testing.T) {
	slack, config, tokens := withSlack(t)
	h, p := channelsHouse(t, config, tokens)
	p.Set("permission", "mcp__sre-tools__restart_deployment")
	slack.Say(onCall, "restart the cart, please")
	card := sees(t, h, slack, "restart_deployment")
	p.Set("permission", "")
	slack.Reply(onCall, card.TS, "yes abcde")
	h.poll("answer", func() bool { return len(p.Records("permission")) == 1 })
	if got := p.Records("permission")[0]; got.Server != "slack" || got.Text != "allow" || got.Meta["id"] != "abcde" {
		t.Errorf("the CLI got %+v, want allow for abcde", got)
	}
}

// With the real CLI.

func TestAutoFallsBackToTheStreamAndSaysWhyOnce(t *testing.T) {
	script, api := model(t, investigation(nil)...)
	h := newHouse(t, api, "", func(h *house) { h.set("mode: stream", "mode: auto") })
	h.post(payload(t))
	if o := h.decided(crashLoop); o.Verdict != "real" {
		t.Errorf("occurrence = %+v, want real", o)
	}
	const why = "channels feature is not currently available"
	if s := h.status(); s.Session.Mode != "stream" || !strings.Contains(s.Beats["channels"].Detail, why) {
		t.Errorf("session = %+v, channels %q, want the stream and why", s.Session, s.Beats["channels"].Detail)
	}
	if n := strings.Count(h.log.String(), `msg="no channels"`); n != 1 {
		t.Errorf("the log says %d times why:\n%s", n, h.log)
	}
	if n := script.Count("dispatch"); n != 1 {
		t.Errorf("%d dispatches, want one", n)
	}
	cmd := exec.Command(binary(t, "watchkeeper"), "attach", "--state", h.state)
	cmd.Env = h.env
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "the session runs in stream mode, which has no terminal") {
		t.Errorf("attach says %s, %v", out, err)
	}
}

// elsewhere is the real CLI with another HOME than the one in which Watchkeeper
// marks the folder as trusted: it asks everything.
func elsewhere(t *testing.T, settings string) (path string) {
	t.Helper()
	home, dir := t.TempDir(), t.TempDir()
	write(t, home, ".claude.json", `{"hasCompletedOnboarding":true,"theme":"dark"}`)
	write(t, home, ".claude/settings.json", settings)
	path = write(t, dir, "claude", "#!/bin/sh\nHOME='"+home+"' exec '"+cli(t)+"' \"$@\"\n")
	if err := os.Chmod(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRealDialogsAreAnswered(t *testing.T) {
	_, api := model(t)
	h := newHouse(t, api, "", func(h *house) {
		h.set("{mode: stream, claude: "+cli(t)+"}", "{mode: channels, claude: "+elsewhere(t, "{}")+"}")
	})
	h.poll("registration", func() bool { return strings.Contains(h.log.String(), "channels feature is not currently available") })
	for _, dialog := range []string{"dialog=trust", `dialog="API key"`} {
		if !strings.Contains(h.log.String(), dialog) {
			t.Errorf("no %s in the log:\n%s", dialog, h.log)
		}
	}
}

func TestRealDialogThatIsUnknownIsShownToAPerson(t *testing.T) {
	_, api := model(t)
	slack, config, tokens := withSlack(t)
	h := newHouse(t, api, config, tokens, func(h *house) {
		h.set("{mode: stream, claude: "+cli(t)+"}", "{mode: auto, claude: "+elsewhere(t, `{"permissions":{"allow":"everything"}}`)+"}")
	})
	var w tmux
	h.poll("terminal", func() bool { return h.status().Session != nil })
	w = h.attached("--read-only")
	h.poll("dialog on the screen", func() bool { return strings.Contains(w.run("capture-pane", "-p"), "Settings Error") })
	m := sees(t, h, slack, "Settings Error")
	for _, want := range []string{"something that Watchkeeper does not know", "goes on in stream mode", "run claude by hand"} {
		if !strings.Contains(m.Text, want) {
			t.Errorf("the message lacks %q:\n%s", want, m.Text)
		}
	}
	h.poll("stream", func() bool { s := h.status().Session; return s.Mode == "stream" && s.EndedAt == nil })
}
