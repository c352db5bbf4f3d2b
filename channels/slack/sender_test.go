package slack_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/channels/slack"
	"watchkeeper/channels/slack/fakeslack"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// A mailroom is a workspace, and a sender that has not started.
type mailroom struct {
	*fakeslack.Server
	memory *sqlite.Store
	sender *slack.Sender
	n      int
}

func openMailroom(t *testing.T, o fakeslack.Options) *mailroom {
	t.Helper()
	if o.Burst == 0 {
		o.Burst = -1
	}
	f := &mailroom{Server: newWorkspace(t, o), memory: newMemory(t)}
	f.sender = &slack.Sender{
		Memory: f.memory, Client: clientOf(f.Server), People: slack.People{OnCall: ann, Second: ben}, Log: discard(),
		Every: 10 * time.Millisecond, Settle: 50 * time.Millisecond,
	}
	return f
}

// owe stores a message, under a key of its own if it has none.
func (f *mailroom) owe(t *testing.T, m runbook.Message) string {
	t.Helper()
	if f.n++; m.Key == "" {
		m.Key = fmt.Sprint("m", f.n)
	}
	if m.Kind == "" {
		m.Kind = "message"
	}
	m.CreatedAt = time.Now()
	if err := f.memory.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return m.Key
}

func (f *mailroom) message(t *testing.T, key string) runbook.Message {
	t.Helper()
	m, err := f.memory.Message(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// until waits until the messages are in a state.
func (f *mailroom) until(t *testing.T, state string, keys ...string) {
	t.Helper()
	for _, key := range keys {
		eventually(t, key+" "+state, func() bool { return f.message(t, key).State == state })
	}
}

// read returns what Ann sees.
func (f *mailroom) read() (texts []string) {
	for _, m := range f.Seen(f.DM(ann)) {
		texts = append(texts, m.Text)
	}
	return texts
}

func TestTextRingsOnlyThePeopleOnCall(t *testing.T) {
	tests := []struct {
		name string
		in   runbook.Message
		want string
	}{
		{"plain text is escaped", runbook.Message{Text: "a < b && <!channel> <@U0ANN>"}, "a &lt; b &amp;&amp; &lt;!channel&gt; &lt;@U0ANN&gt;"},
		{"our mentions stay", runbook.Message{Text: "<@U0ANN> and <@U0BEN|ben>", Mrkdwn: true}, "<@U0ANN> and <@U0BEN>"},
		{"a mention of others is shown as text", runbook.Message{Text: "<@U0EVE> <!channel> <!subteam^S1> <#C1>", Mrkdwn: true}, "&lt;@U0EVE&gt; &lt;!channel&gt; &lt;!subteam^S1&gt; &lt;#C1&gt;"},
		{"links stay", runbook.Message{Text: "> see <https://x.example/?a=1&amp;b|the page>", Mrkdwn: true}, "> see <https://x.example/?a=1&amp;b|the page>"},
		{"other schemes do not", runbook.Message{Text: "<javascript:x|a> <file:///etc>", Mrkdwn: true}, "&lt;javascript:x|a&gt; &lt;file:///etc&gt;"},
		{"an open bracket opens nothing", runbook.Message{Text: "a <!channel", Mrkdwn: true}, "a &lt;!channel"},
		{"secrets are removed", runbook.Message{Text: "password=hunter2hunter2"}, "password=[redacted]"},
		{"an empty text is sent as such", runbook.Message{Text: "  "}, "(empty)"},
	}
	f := openMailroom(t, fakeslack.Options{})
	for _, tt := range tests {
		f.owe(t, tt.in)
	}
	background(t, f.sender.Run)
	eventually(t, "all messages", func() bool { return len(f.read()) == len(tests) })
	for i, m := range f.Seen(f.DM(ann)) {
		t.Run(tests[i].name, func(t *testing.T) {
			if m.Text != tests[i].want {
				t.Errorf("%q is seen as %q, want %q", tests[i].in.Text, m.Text, tests[i].want)
			}
			if m.Unfurl {
				t.Errorf("%q: slack would fetch its links", m.Text)
			}
		})
	}
}

func TestMessageIsSeenOnceWhateverGoesWrong(t *testing.T) {
	tests := []struct {
		name   string
		faults []fakeslack.Fault
	}{
		{"nothing", nil},
		{"the reply is lost", []fakeslack.Fault{{LoseReply: true}}},
		{"the reply is a page", []fakeslack.Fault{{Garble: true}}},
		{"the reply is lost three times, after errors", []fakeslack.Fault{{Status: 500}, {Drop: true}, {LoseReply: true}, {LoseReply: true}, {LoseReply: true}}},
		{"the server is down", []fakeslack.Fault{{Status: 503, Times: 3}}},
		{"the connection is cut", []fakeslack.Fault{{Drop: true}}},
		{"slack has an internal error", []fakeslack.Fault{{Error: "internal_error"}, {Error: "fatal_error"}}},
		{"slack limits the rate", []fakeslack.Fault{{RetryAfter: time.Second}}},
	}
	for _, thread := range []bool{false, true} {
		for _, tt := range tests {
			t.Run(fmt.Sprintf("%s, thread %t", tt.name, thread), func(t *testing.T) {
				t.Parallel()
				f := openMailroom(t, fakeslack.Options{})
				m, want := runbook.Message{Text: "a"}, 2
				if thread {
					m.Thread, want = f.SaySilently(ann, "", "hello"), 3
				}
				for _, fault := range tt.faults {
					fault.Method = "chat.postMessage"
					f.Inject(fault)
				}
				first, second := f.owe(t, m), f.owe(t, m)
				background(t, f.sender.Run)
				f.until(t, "sent", first, second)
				seen := f.Seen(f.DM(ann))
				if len(seen) != want {
					t.Errorf("%d messages are seen, want %d: %v", len(seen), want, f.read())
				}
				if got := []string{f.message(t, first).TS, f.message(t, second).TS}; got[0] != seen[want-2].TS || got[1] != seen[want-1].TS {
					t.Errorf("the memory says they stand at %v, want them in order: %v", got, seen)
				}
			})
		}
	}
}

func TestMessageOfAProcessThatDiedIsLookedFor(t *testing.T) {
	tests := []struct {
		name    string
		arrived bool
	}{
		{"it had arrived", true},
		{"it had not", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := openMailroom(t, fakeslack.Options{})
			key := f.owe(t, runbook.Message{Text: "a"})
			if tt.arrived {
				stop := background(t, f.sender.Run)
				f.until(t, "sent", key)
				stop()
			}
			id := f.message(t, key).ID
			if err := f.memory.MarkSending(t.Context(), id, time.Now()); err != nil {
				t.Fatal(err)
			}
			background(t, f.sender.Run)
			f.until(t, "sent", key)
			if got := f.read(); len(got) != 1 {
				t.Errorf("seen: %q, want the message once", got)
			}
		})
	}
}

// longText is a text of n paragraphs that differ.
func longText(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%d %s\n\n", i, strings.Repeat("word ", 100))
	}
	return strings.TrimSpace(b.String())
}

func TestLongTextIsCutBetweenParagraphs(t *testing.T) {
	f := openMailroom(t, fakeslack.Options{})
	text := longText(20)
	f.Inject(fakeslack.Fault{Method: "chat.postMessage", LoseReply: true, Times: 2})
	key := f.owe(t, runbook.Message{Text: text})
	background(t, f.sender.Run)
	f.until(t, "sent", key)
	got := f.read()
	if len(got) != 4 {
		t.Fatalf("%d parts, want 4", len(got))
	}
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	if diff := cmp.Diff(squeeze(text), squeeze(strings.Join(got, "\n\n"))); diff != "" {
		t.Errorf("the parts are not the text (-want +got):\n%s", diff)
	}
	for _, part := range got {
		if len(part) > 3500 || !strings.HasPrefix(strings.TrimLeft(part, "0123456789"), " word") {
			t.Errorf("a part of %d characters begins with %.20q, want whole paragraphs", len(part), part)
		}
	}
	if ts := f.Seen(f.DM(ann))[0].TS; f.message(t, key).TS != ts {
		t.Errorf("the message stands at %s, want its first part %s", f.message(t, key).TS, ts)
	}
}

func TestCodeThatIsCutIsClosedAndOpenedAgain(t *testing.T) {
	f := openMailroom(t, fakeslack.Options{})
	key := f.owe(t, runbook.Message{Mrkdwn: true, Text: "Log:\n```\n" + strings.Repeat("a line of a log that is long\n", 200) + "```\nend"})
	background(t, f.sender.Run)
	f.until(t, "sent", key)
	got := f.read()
	if len(got) != 2 {
		t.Fatalf("%d parts, want 2", len(got))
	}
	for _, part := range got {
		if strings.Count(part, "```") != 2 {
			t.Errorf("a part has %d fences, want it closed: %.30q … %.30q", strings.Count(part, "```"), part, part[len(part)-30:])
		}
	}
}

func TestVeryLongTextIsAttached(t *testing.T) {
	f := openMailroom(t, fakeslack.Options{})
	text := longText(60) + "\n<!channel>\npassword=hunter2hunter2"
	f.Inject(fakeslack.Fault{Method: "files.completeUploadExternal", LoseReply: true})
	key := f.owe(t, runbook.Message{Text: text})
	background(t, f.sender.Run)
	f.until(t, "sent", key)
	seen := f.Seen(f.DM(ann))
	if len(seen) != 3 {
		t.Fatalf("%d messages are seen, want the beginning, a hint and the file", len(seen))
	}
	want := strings.Replace(text, "hunter2hunter2", "[redacted]", 1)
	if file := seen[2]; len(file.Files) != 1 || file.Files[0].Content != want || file.Thread != seen[0].TS {
		t.Errorf("the file is %+v, want the whole text without the secret, in the thread", file)
	}
}

func TestCardIsPostedTamedAndEdited(t *testing.T) {
	f := openMailroom(t, fakeslack.Options{})
	blocks := func(text string) string {
		return fmt.Sprintf(`[{"type":"header","text":{"type":"plain_text","text":"Disk"}},{"type":"section","text":{"type":"mrkdwn","text":%q}},
			{"type":"actions","elements":[{"type":"button","action_id":"ack","value":"7","text":{"type":"plain_text","text":"Acknowledge"}}]}]`, text)
	}
	f.owe(t, runbook.Message{Key: "card", Text: "Disk", Blocks: blocks("<!channel> <@U0ANN> token=abcdefghijkl")})
	background(t, f.sender.Run)
	f.until(t, "sent", "card")
	m := f.Seen(f.DM(ann))[0]
	for _, want := range []string{`\u0026lt;!channel\u0026gt;`, `\u003c@U0ANN\u003e`, `token=[redacted]`, `"action_id":"ack"`, `"value":"7"`} {
		if !strings.Contains(m.Blocks, want) {
			t.Errorf("the card has no %s: %s", want, m.Blocks)
		}
	}
	f.Inject(fakeslack.Fault{Method: "chat.update", LoseReply: true})
	f.owe(t, runbook.Message{Key: "edit", Kind: "edit", EditOf: "card", Text: "Disk, taken", Blocks: blocks("taken by Ann")})
	f.until(t, "sent", "edit")
	seen := f.Seen(f.DM(ann))
	if len(seen) != 1 || seen[0].Text != "Disk, taken" || !strings.Contains(seen[0].Blocks, "taken by Ann") || !strings.Contains(seen[0].Metadata, `"card"`) {
		t.Errorf("after the edit: %+v", seen)
	}
	if n := len(f.Notifications()); n != 1 {
		t.Errorf("the phone rang %d times, want once: an edit rings nobody", n)
	}
}

func TestCardThatSlackRefusesIsSentAsText(t *testing.T) {
	tests := []struct{ name, blocks string }{
		{"it is no JSON", `[{`},
		{"it is too long", fmt.Sprintf(`[{"type":"section","text":{"type":"mrkdwn","text":%q}}]`, strings.Repeat("x", 3001))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := openMailroom(t, fakeslack.Options{})
			key := f.owe(t, runbook.Message{Text: "Disk", Blocks: tt.blocks})
			background(t, f.sender.Run)
			f.until(t, "sent", key)
			if got := f.read(); len(got) != 1 || got[0] != "Disk" {
				t.Errorf("seen: %q, want the text", got)
			}
		})
	}
}

func TestMessageIsRenderedWhenItIsSent(t *testing.T) {
	f := openMailroom(t, fakeslack.Options{})
	var edits atomic.Int32
	f.sender.Render = func(_ context.Context, m runbook.Message) (string, string, error) {
		switch {
		case m.Text == "broken":
			return "", "", errors.New("no card")
		case strings.HasPrefix(m.Kind, "escalation"):
			return fmt.Sprint("card, look ", edits.Add(1)), `[{"type":"divider"}]`, nil
		}
		return "*" + m.Text + "*", "", nil
	}
	f.owe(t, runbook.Message{Key: "e", Kind: "escalation", Text: "made early"})
	f.owe(t, runbook.Message{Key: "m", Text: "bold"})
	f.owe(t, runbook.Message{Key: "markup", Text: "_is_ already", Mrkdwn: true})
	f.owe(t, runbook.Message{Key: "b", Text: "broken"})
	background(t, f.sender.Run)
	f.until(t, "sent", "e", "m", "markup", "b")
	if diff := cmp.Diff([]string{"card, look 1", "*bold*", "_is_ already", "broken"}, f.read()); diff != "" {
		t.Errorf("seen (-want +got):\n%s", diff)
	}
	f.owe(t, runbook.Message{Key: "edit", Kind: "escalation_edit", EditOf: "e", Text: "made early"})
	f.until(t, "sent", "edit")
	if got := f.Seen(f.DM(ann))[0]; got.Text != "card, look 2" || !strings.Contains(got.Blocks, "divider") {
		t.Errorf("after the edit: %+v", got)
	}
}

func TestPlainWordsAreSentAsTheyAre(t *testing.T) {
	f := openMailroom(t, fakeslack.Options{})
	f.sender.Render = slack.Cards{Memory: f.memory}.Render
	f.owe(t, runbook.Message{Key: "plain", Kind: "reply", Text: "Looking."})
	f.owe(t, runbook.Message{Key: "rich", Kind: "reply", Text: "Only **one** pod."})
	background(t, f.sender.Run)
	f.until(t, "sent", "plain", "rich")
	if diff := cmp.Diff([]string{"Looking.", "Only *one* pod."}, f.read()); diff != "" {
		t.Errorf("seen (-want +got):\n%s", diff)
	}
}

func TestThreadOfAnEscalationFollowsItsRoot(t *testing.T) {
	f := openMailroom(t, fakeslack.Options{})
	f.Inject(fakeslack.Fault{Method: "chat.postMessage", Status: 503, Times: 2})
	e, _, err := f.memory.Escalate(t.Context(), runbook.Escalation{Key: "k", Title: "Disk", Severity: runbook.Critical, OpenedBy: "session", OpenedAt: time.Now()}, "Disk is full")
	if err != nil {
		t.Fatal(err)
	}
	f.owe(t, runbook.Message{Key: "nag", Kind: "nag", Escalation: e.ID, Text: "<@" + ann + "> Nag #1", Mrkdwn: true, Broadcast: true})
	f.owe(t, runbook.Message{Key: "second", Kind: "nag", Escalation: e.ID, Channel: ben, Text: "for Ben"})
	background(t, f.sender.Run)
	f.until(t, "sent", "nag", "second")
	seen := f.Seen(f.DM(ann))
	if len(seen) != 2 || seen[1].Thread != seen[0].TS || !seen[1].Broadcast {
		t.Fatalf("Ann sees %+v, want the nag in the thread of the root, and outside it", seen)
	}
	if e, err = f.memory.Escalation(t.Context(), e.ID); err != nil || e.Thread != seen[0].TS || e.Channel != f.DM(ann) {
		t.Errorf("escalation stands at %s %s, %v, want %s", e.Channel, e.Thread, err, seen[0].TS)
	}
	if seen := f.Seen(f.DM(ben)); len(seen) != 1 || seen[0].Thread != "" {
		t.Errorf("Ben sees %+v", seen)
	}
}

func TestAnswerGoesWhereTheThreadIs(t *testing.T) {
	f := openMailroom(t, fakeslack.Options{})
	ts := f.SaySilently(ben, "", "what changed?")
	if _, err := f.memory.Hear(t.Context(), runbook.Heard{EventID: "E", Channel: f.DM(ben), TS: ts, User: ben}); err != nil {
		t.Fatal(err)
	}
	key := f.owe(t, runbook.Message{Kind: "reply", Thread: ts, Text: "nothing"})
	background(t, f.sender.Run)
	f.until(t, "sent", key)
	if seen := f.Seen(f.DM(ben)); len(seen) != 2 || seen[1].Thread != ts {
		t.Errorf("Ben sees %+v, want the answer in his thread", seen)
	}
}

func TestThreadThatWasDeletedLosesNoMessage(t *testing.T) {
	f := openMailroom(t, fakeslack.Options{})
	key := f.owe(t, runbook.Message{Channel: ann, Thread: "1600000000.000001", Text: "found it"})
	background(t, f.sender.Run)
	f.until(t, "sent", key)
	if got := f.read(); len(got) != 1 {
		t.Errorf("seen: %q", got)
	}
}

func TestMessageThatLostItsThreadAndTheReplyIsSeenOnce(t *testing.T) {
	f := openMailroom(t, fakeslack.Options{})
	f.Inject(fakeslack.Fault{Method: "chat.postMessage", Delay: time.Millisecond}) // is told that the thread is gone
	f.Inject(fakeslack.Fault{Method: "chat.postMessage", LoseReply: true})
	key := f.owe(t, runbook.Message{Channel: ann, Thread: "1600000000.000001", Text: "found it"})
	background(t, f.sender.Run)
	f.until(t, "sent", key)
	if got := f.read(); len(got) != 1 {
		t.Errorf("seen: %q", got)
	}
}

func TestQuietHoursHoldBackWhatIsNotCritical(t *testing.T) {
	f := openMailroom(t, fakeslack.Options{})
	var open quiet
	f.sender.People.Quiet = open.quiet
	critical, _, err := f.memory.Escalate(t.Context(), runbook.Escalation{Key: "a", Title: "down", Severity: runbook.Critical, OpenedBy: "session", OpenedAt: time.Now()}, "critical")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.memory.Escalate(t.Context(), runbook.Escalation{Key: "b", Title: "warn", Severity: runbook.Warning, OpenedBy: "session", OpenedAt: time.Now()}, "warning"); err != nil {
		t.Fatal(err)
	}
	f.owe(t, runbook.Message{Key: "held", Text: "by the way"})
	f.owe(t, runbook.Message{Key: "nag", Kind: "nag", Escalation: critical.ID, Text: "nag"})
	f.owe(t, runbook.Message{Key: "reply", Kind: "reply", Text: "you asked"})
	f.owe(t, runbook.Message{Key: "urgent", Text: "may I?", Urgent: true})
	stop := background(t, f.sender.Run)
	f.until(t, "sent", "escalation:1", "nag", "reply", "urgent")
	for _, key := range []string{"held", "escalation:2"} {
		if m := f.message(t, key); m.State != "queued" {
			t.Errorf("%s is %s at night, want it queued", key, m.State)
		}
	}
	stop()
	open.end()
	background(t, f.sender.Run)
	f.until(t, "sent", "held", "escalation:2")
}

// quiet is a night that ends.
type quiet struct{ over bool }

func (q *quiet) quiet(time.Time) bool { return !q.over }
func (q *quiet) end()                 { q.over = true }

func TestSenderKeepsTheRateOfSlack(t *testing.T) {
	f := openMailroom(t, fakeslack.Options{Burst: 1})
	f.sender.Every = 0
	var keys []string
	for range 4 {
		keys = append(keys, f.owe(t, runbook.Message{Text: "a"}))
	}
	background(t, f.sender.Run)
	f.until(t, "sent", keys...)
	for _, c := range f.Calls("chat.postMessage") {
		if c.Error != "" {
			t.Errorf("a message was answered with %s, want none too fast", c.Error)
		}
	}
}

func TestRejectedTokenKeepsTheMessages(t *testing.T) {
	f := openMailroom(t, fakeslack.Options{})
	f.Revoke(f.BotToken())
	key := f.owe(t, runbook.Message{Text: "a"})
	background(t, f.sender.Run)
	eventually(t, "the trouble", func() bool { return strings.Contains(f.sender.Trouble(), "token_revoked") })
	f.until(t, "queued", key)
}

func TestMessageToNobodyWaits(t *testing.T) {
	tests := []struct {
		name   string
		people slack.People
		want   string
	}{
		{"nobody is on call", slack.People{}, "oncall.slack_user"},
		{"the person on call does not exist", slack.People{OnCall: "U0NOBODY"}, "user_not_found"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := openMailroom(t, fakeslack.Options{})
			f.sender.People = tt.people
			key := f.owe(t, runbook.Message{Text: "a"})
			background(t, f.sender.Run)
			eventually(t, "the reason", func() bool { return strings.Contains(f.message(t, key).Error, tt.want) })
			if m := f.message(t, key); m.State != "queued" {
				t.Errorf("the message is %s, want it queued", m.State)
			}
		})
	}
}

func TestMessageThatSlackRefusesDoesNotHoldUpTheOthers(t *testing.T) {
	f := openMailroom(t, fakeslack.Options{})
	bad := f.owe(t, runbook.Message{Channel: "C0NONE", Text: "a"})
	good := f.owe(t, runbook.Message{Text: "b"})
	background(t, f.sender.Run)
	f.until(t, "failed", bad)
	f.until(t, "sent", good)
	if m := f.message(t, bad); !strings.Contains(m.Error, "channel_not_found") {
		t.Errorf("error = %q", m.Error)
	}
}
