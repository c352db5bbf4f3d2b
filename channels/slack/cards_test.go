package slack_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"watchkeeper/channels/slack"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
)

// threeInTheMorning is when the escalations of these tests are opened.
var threeInTheMorning = time.Date(2026, 4, 18, 3, 0, 0, 0, time.UTC)

func escalate(t *testing.T, s *sqlite.Store, e runbook.Escalation) runbook.Escalation {
	t.Helper()
	e.OpenedBy, e.OpenedAt = "session", threeInTheMorning
	got, _, err := s.Escalate(t.Context(), e, "CRITICAL: "+e.Title)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// rendered is the first message of escalation id as the sender would send it.
func rendered(t *testing.T, s *sqlite.Store, key string) (text string, blocks []byte) {
	t.Helper()
	m, err := s.Message(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	text, raw, err := slack.Cards{Memory: s}.Render(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return text, pretty(t, raw)
}

func pretty(t *testing.T, raw string) []byte {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Fatalf("blocks %q: %v", raw, err)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func fullEscalation(t *testing.T, s *sqlite.Store) runbook.Escalation {
	t.Helper()
	fire(t, s, "PVC <almost> full", runbook.Firing)
	open, err := s.Open(t.Context())
	if err != nil || len(open) != 1 {
		t.Fatalf("open = %v, %v", open, err)
	}
	return escalate(t, s, runbook.Escalation{
		Key: "k", Delivery: open[0].ID, Severity: runbook.Critical, Title: "PVC at 97% & rising <!channel>",
		Impact: "writes stop in **3 minutes**", Checked: "- pods\n- volume", Found: "`WAL` grows, see [graph](https://signoz.example.com/g?a=1&b=2)",
		Recommend: "free the archive bucket; password=hunter2", Default: "",
	})
}

func TestCards(t *testing.T) {
	at := threeInTheMorning.Add(12 * time.Minute)
	tests := []struct {
		name   string
		change func(s *sqlite.Store, id int64) error
	}{
		{"open", func(*sqlite.Store, int64) error { return nil }},
		{"acked", func(s *sqlite.Store, id int64) error { return s.Acknowledge(t.Context(), id, "U0123", at) }},
		{"snoozed", func(s *sqlite.Store, id int64) error { return s.Snooze(t.Context(), id, "U0123", at) }},
		{"resolved", func(s *sqlite.Store, id int64) error { return s.ResolveEscalation(t.Context(), id, "alerts", at) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newMemory(t)
			e := fullEscalation(t, s)
			if err := tt.change(s, e.ID); err != nil {
				t.Fatal(err)
			}
			text, blocks := rendered(t, s, "escalation:1")
			if text != "CRITICAL: PVC at 97% &amp; rising &lt;!channel&gt;" {
				t.Errorf("text = %q, want it escaped", text)
			}
			golden(t, "card_"+tt.name+".json", blocks)
		})
	}
}

func TestCardOfTheSecondPersonSaysWhyThem(t *testing.T) {
	s := newMemory(t)
	e := fullEscalation(t, s)
	err := s.Send(t.Context(), runbook.Message{
		Key: "second:1", Kind: "second", Escalation: e.ID, Channel: "U2",
		Text: "The person on call has not answered. You are called in their place.\nCRITICAL: …", CreatedAt: threeInTheMorning,
	})
	if err != nil {
		t.Fatal(err)
	}
	_, blocks := rendered(t, s, "second:1")
	golden(t, "card_second.json", blocks)
}

func TestCardKeepsSlacksBounds(t *testing.T) {
	s := newMemory(t)
	long := strings.Repeat("<&> ", 2000) + "\n```\n" + strings.Repeat("x < y\n", 1000) + "```"
	e := escalate(t, s, runbook.Escalation{
		Key: "k", Severity: runbook.Critical, Title: strings.Repeat("<", 150), Impact: long, Checked: long, Found: long, Recommend: long, Default: long,
	})
	_, raw := rendered(t, s, fmt.Sprintf("escalation:%d", e.ID))
	var blocks []struct {
		Text struct{ Text string }
	}
	if err := json.Unmarshal(raw, &blocks); err != nil {
		t.Fatal(err)
	}
	if len(blocks) > 50 || len(blocks) < 7 {
		t.Errorf("card has %d blocks, want all of the escalation in at most 50", len(blocks))
	}
	for i, b := range blocks {
		if n := utf8.RuneCountInString(b.Text.Text); n > 3000 {
			t.Errorf("section %d has %d characters, want at most 3000", i, n)
		}
		if strings.Count(b.Text.Text, "```")%2 != 0 {
			t.Errorf("section %d leaves a block of code open", i)
		}
		if regexp.MustCompile(`&(a|am|l|g|lt|gt|amp)?( …)?$`).MatchString(b.Text.Text) {
			t.Errorf("section %d is cut within an escape: %q", i, b.Text.Text[len(b.Text.Text)-20:])
		}
	}
}

func TestMarkdownBecomesSections(t *testing.T) {
	tests := []struct {
		name, kind, text   string
		wantText, wantPart string // "" means that the message is well as it is
	}{
		{"a reply", "reply", "**v1.42** <@U1>", "*v1.42* &lt;@U1&gt;", `"*v1.42* &lt;@U1&gt;"`},
		{"plain words", "reply", "nothing changed", "", ""},
		{"a page is not Markdown", "page", "**x**", "", ""},
		{"a text for a file", "message", strings.Repeat("**word** ", 3000), "", ""},
		{"a long one is several sections", "message", "**a**\n\n" + strings.Repeat("word ", 1000), "", `"*a*`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text, blocks, err := slack.Cards{}.Render(t.Context(), runbook.Message{Kind: tt.kind, Text: tt.text})
			if err != nil {
				t.Fatal(err)
			}
			if tt.wantPart == "" && blocks != "" {
				t.Errorf("blocks = %s, want none", blocks)
			}
			if tt.wantPart != "" && !strings.Contains(string(pretty(t, blocks)), tt.wantPart) {
				t.Errorf("blocks = %s, want %s in them", blocks, tt.wantPart)
			}
			if tt.wantText != "" && text != tt.wantText {
				t.Errorf("text = %q, want %q", text, tt.wantText)
			}
		})
	}
}

func TestCardPromisesTheNagsThatAreConfigured(t *testing.T) {
	never := map[runbook.Env]time.Duration{runbook.Prod: -1}
	tests := []struct {
		name    string
		env     runbook.Env
		calling slack.Calling
		want    string
	}{
		{"prod", runbook.Prod, slack.Calling{Every: 20 * time.Minute}, "You are called again every 20 minutes, until somebody acknowledges."},
		{"prod that is left alone", runbook.Prod, slack.Calling{First: never}, "It is said once, and not repeated."},
		{"dev", runbook.Dev, slack.Calling{}, "It is said once, and not repeated."},
		{"dev that is called", runbook.Dev, slack.Calling{First: map[runbook.Env]time.Duration{runbook.Dev: time.Hour}}, "every 10 minutes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newMemory(t)
			e := escalate(t, s, runbook.Escalation{Key: "k", Severity: runbook.Critical, Env: tt.env, Title: "down", Default: "It fills up."})
			m, err := s.Message(t.Context(), fmt.Sprintf("escalation:%d", e.ID))
			if err != nil {
				t.Fatal(err)
			}
			_, blocks, err := slack.Cards{Memory: s, Calling: tt.calling}.Render(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"It fills up.", tt.want} {
				if !strings.Contains(blocks, want) {
					t.Errorf("card = %s\nwant …%s…", blocks, want)
				}
			}
		})
	}
}
