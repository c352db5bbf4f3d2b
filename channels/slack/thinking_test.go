package slack_test

import (
	"log/slog"
	"testing"
	"time"

	"watchkeeper/channels/slack"
	"watchkeeper/channels/slack/fakeslack"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// hand gives everything that people said to the session.
func hand(t *testing.T, s *sqlite.Store) {
	t.Helper()
	due, err := s.Due(t.Context(), "slack", time.Now(), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range due {
		if err := s.MarkPushed(t.Context(), d.ID, 1, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

// think runs the status and the sender of an office.
func (f *office) think(t *testing.T, log *slog.Logger) {
	t.Helper()
	thinker := &slack.Thinker{Memory: f.memory, Client: clientOf(f.Server), Log: log}
	background(t, thinker.Run)
	sender := &slack.Sender{Memory: f.memory, Client: clientOf(f.Server), People: slack.People{OnCall: ann}, Log: discard(), Every: time.Millisecond}
	background(t, sender.Run)
}

func TestStatusIsShownUntilTheSessionAnswers(t *testing.T) {
	f := openOffice(t, fakeslack.Options{})
	f.think(t, discard())
	dm, ts := f.DM(ann), f.Say(ann, "What changed in the last deploy?")
	eventually(t, "delivery", func() bool { return len(f.deliveries(t)) == 1 })
	if got := f.Status(dm, ts); got != "" {
		t.Errorf("status = %q before the session has the message, want none", got)
	}
	hand(t, f.memory)
	eventually(t, "status", func() bool { return f.Status(dm, ts) == "is looking into it…" })
	// Words elsewhere are no answer.
	other := runbook.Message{Key: "other", Kind: "message", Text: "a proposal", CreatedAt: time.Now()}
	if err := f.memory.Send(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	eventually(t, "other message", func() bool { return len(f.Seen(dm)) == 2 })
	if got := f.Status(dm, ts); got == "" {
		t.Error("the status is gone before the answer")
	}
	answer := runbook.Message{Key: "answer", Kind: "reply", Channel: dm, Thread: ts, Text: "Only the image.", CreatedAt: time.Now()}
	if err := f.memory.Send(t.Context(), answer); err != nil {
		t.Fatal(err)
	}
	eventually(t, "end of the status", func() bool { return f.Status(dm, ts) == "" })
	eventually(t, "explicit end", func() bool {
		calls := f.Calls("assistant.threads.setStatus")
		return calls[len(calls)-1].Args["status"] == ""
	})
}

func TestSlackThatShowsNoStatusIsLeftAlone(t *testing.T) {
	f := openOffice(t, fakeslack.Options{})
	f.Inject(fakeslack.Fault{Method: "assistant.threads.setStatus", Error: "feature_not_enabled", Times: 1000})
	var log lines
	f.think(t, slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		f.Say(ann, "hello?")
	}
	eventually(t, "deliveries", func() bool { return len(f.deliveries(t)) == 3 })
	hand(t, f.memory)
	eventually(t, "refusal", func() bool { return log.find("slack shows no status here") != "" })
	answer := runbook.Message{Key: "answer", Kind: "message", Text: "Here.", CreatedAt: time.Now()}
	if err := f.memory.Send(t.Context(), answer); err != nil {
		t.Fatal(err)
	}
	eventually(t, "answer", func() bool { return len(f.Seen(f.DM(ann))) == 4 })
	if log.find("level=WARN") != "" || log.find("level=ERROR") != "" {
		t.Errorf("log = %s, want no alarm: nothing depends on it", log.String())
	}
}
