package fakeslack_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	slackgo "github.com/slack-go/slack"

	"watchkeeper/channels/slack/fakeslack"
)

const ann, dm = "U0ANN", "D0ANN"

// open starts a workspace with Ann in it, and a client.
func open(t *testing.T, o fakeslack.Options) (*fakeslack.Server, *slackgo.Client) {
	t.Helper()
	s, err := fakeslack.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	s.AddUser(fakeslack.User{ID: ann, Name: "ann"})
	s.DM(ann)
	return s, slackgo.New(s.BotToken(), slackgo.OptionAPIURL(s.URL()), slackgo.OptionAppLevelToken(s.AppToken()))
}

func text(s string) slackgo.MsgOption { return slackgo.MsgOptionText(s, false) }

func section(s string) slackgo.Block {
	return slackgo.NewSectionBlock(slackgo.NewTextBlockObject(slackgo.MarkdownType, s, false, false), nil, nil)
}

func TestPostIsRefusedAsBySlack(t *testing.T) {
	button := func(value string) slackgo.Block {
		return slackgo.NewActionBlock("", slackgo.NewButtonBlockElement("a", value, slackgo.NewTextBlockObject(slackgo.PlainTextType, "b", false, false)))
	}
	many := make([]slackgo.Block, 51)
	for i := range many {
		many[i] = slackgo.NewDividerBlock()
	}
	tests := []struct {
		name    string
		channel string
		options []slackgo.MsgOption
		want    string // "" is accepted
	}{
		{"a text", dm, []slackgo.MsgOption{text("a")}, ""},
		{"to a user", ann, []slackgo.MsgOption{text("a")}, ""},
		{"no text", dm, nil, "no_text"},
		{"too long", dm, []slackgo.MsgOption{text(strings.Repeat("x", 40_001))}, "msg_too_long"},
		{"unknown channel", "C0NONE", []slackgo.MsgOption{text("a")}, "channel_not_found"},
		{"unknown thread", dm, []slackgo.MsgOption{text("a"), slackgo.MsgOptionTS("1.1")}, "thread_not_found"},
		{"a section at the limit", dm, []slackgo.MsgOption{slackgo.MsgOptionBlocks(section(strings.Repeat("é", 3000)))}, ""},
		{"a section above it", dm, []slackgo.MsgOption{slackgo.MsgOptionBlocks(section(strings.Repeat("é", 3001)))}, "invalid_blocks"},
		{"too many blocks", dm, []slackgo.MsgOption{slackgo.MsgOptionBlocks(many...)}, "invalid_blocks"},
		{"a button at the limit", dm, []slackgo.MsgOption{slackgo.MsgOptionBlocks(button(strings.Repeat("v", 2000)))}, ""},
		{"a button above it", dm, []slackgo.MsgOption{slackgo.MsgOptionBlocks(button(strings.Repeat("v", 2001)))}, "invalid_blocks"},
		{"metadata without a type", dm, []slackgo.MsgOption{text("a"), slackgo.MsgOptionMetadata(slackgo.SlackMetadata{})}, "invalid_metadata_schema"},
	}
	_, c := open(t, fakeslack.Options{Burst: -1})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := c.PostMessageContext(t.Context(), tt.channel, tt.options...)
			checkCode(t, err, tt.want)
		})
	}
}

// checkCode wants the error that Slack answers with; "" is none.
func checkCode(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("error = %q, want %q", got, want)
	}
}

func TestTokensAndScopes(t *testing.T) {
	s, c := open(t, fakeslack.Options{Scopes: []string{"chat:write"}})
	_, err := c.GetUserInfoContext(t.Context(), ann)
	checkCode(t, err, "missing_scope")
	_, err = slackgo.New("xoxb-wrong", slackgo.OptionAPIURL(s.URL())).AuthTestContext(t.Context())
	checkCode(t, err, "invalid_auth")
	_, err = slackgo.New("", slackgo.OptionAPIURL(s.URL())).AuthTestContext(t.Context())
	checkCode(t, err, "not_authed")
	_, err = slackgo.New(s.AppToken(), slackgo.OptionAPIURL(s.URL())).AuthTestContext(t.Context())
	checkCode(t, err, "not_allowed_token_type")
	s.Revoke(s.BotToken())
	_, err = c.AuthTestContext(t.Context())
	checkCode(t, err, "token_revoked")
}

func TestRateIsOneMessageASecondAfterABurst(t *testing.T) {
	s, c := open(t, fakeslack.Options{Burst: 2})
	for range 2 {
		if _, _, err := c.PostMessageContext(t.Context(), dm, text("a")); err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := c.PostMessageContext(t.Context(), dm, text("a"))
	var limited *slackgo.RateLimitedError
	if !errors.As(err, &limited) || limited.RetryAfter != time.Second {
		t.Fatalf("third message: %v, want 429 with Retry-After 1", err)
	}
	s.Advance(2 * time.Second)
	if _, _, err := c.PostMessageContext(t.Context(), dm, text("a")); err != nil {
		t.Error(err)
	}
}

func TestScheduleFollowsTheRules(t *testing.T) {
	s, c := open(t, fakeslack.Options{})
	at := func(d time.Duration) string { return fmt.Sprint(s.Now().Add(d).Unix()) }
	schedule := func(d time.Duration, o ...slackgo.MsgOption) (id string, err error) {
		_, id, err = c.ScheduleMessageContext(t.Context(), dm, at(d), append(o, text("later"))...)
		return id, err
	}
	del := func(id string) error {
		_, err := c.DeleteScheduledMessageContext(t.Context(), &slackgo.DeleteScheduledMessageParameters{Channel: dm, ScheduledMessageID: id})
		return err
	}
	_, err := schedule(-time.Minute)
	checkCode(t, err, "time_in_past")
	_, err = schedule(121 * 24 * time.Hour)
	checkCode(t, err, "time_too_far")
	soon, err := schedule(30 * time.Second)
	checkCode(t, err, "")
	checkCode(t, del(soon), "invalid_scheduled_message_id")
	later, err := schedule(time.Hour)
	checkCode(t, err, "")
	checkCode(t, del(later), "")
	checkCode(t, del(later), "invalid_scheduled_message_id")
	_, err = schedule(10*time.Minute, slackgo.MsgOptionMetadata(slackgo.SlackMetadata{EventType: "a", EventPayload: map[string]any{"k": "v"}}))
	checkCode(t, err, "")
	list, _, err := c.GetScheduledMessagesContext(t.Context(), &slackgo.GetScheduledMessagesParameters{Channel: dm})
	if err != nil || len(list) != 2 {
		t.Errorf("scheduled: %v, %v, want 2", list, err)
	}
	s.Advance(time.Hour)
	if seen := s.Seen(dm); len(seen) != 1 {
		t.Errorf("%d messages were posted, want the one without metadata", len(seen))
	}
}

func TestScheduleHoldsThirtyInFiveMinutes(t *testing.T) {
	s, c := open(t, fakeslack.Options{})
	at := s.Now().Add(24 * time.Hour).Truncate(5 * time.Minute)
	for i := range 31 {
		_, _, err := c.ScheduleMessageContext(t.Context(), dm, fmt.Sprint(at.Unix()+int64(i)), text("later"))
		want := ""
		if i == 30 {
			want = "restricted_too_many"
		}
		checkCode(t, err, want)
	}
}

func TestHistoryAndRepliesArePagedAndSplit(t *testing.T) {
	s, c := open(t, fakeslack.Options{Burst: -1})
	var roots []string
	for i := range 5 {
		roots = append(roots, s.Say(ann, fmt.Sprint("root ", i)))
	}
	for i := range 5 {
		s.Reply(ann, roots[2], fmt.Sprint("reply ", i))
	}
	_, _, err := c.PostMessageContext(t.Context(), dm, text("shown outside"), slackgo.MsgOptionTS(roots[2]), slackgo.MsgOptionBroadcast(),
		slackgo.MsgOptionMetadata(slackgo.SlackMetadata{EventType: "a", EventPayload: map[string]any{"k": "v"}}))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	params := &slackgo.GetConversationHistoryParameters{ChannelID: dm, Oldest: roots[0], Limit: 2, IncludeAllMetadata: true}
	for {
		page, err := c.GetConversationHistoryContext(t.Context(), params)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			got = append(got, fmt.Sprintf("%s/%s/%d", m.Text, m.Metadata.EventType, m.ReplyCount))
		}
		if params.Cursor = page.ResponseMetaData.NextCursor; params.Cursor == "" {
			break
		}
	}
	if want := "shown outside/a/0|root 4//0|root 3//0|root 2//6|root 1//0"; strings.Join(got, "|") != want {
		t.Errorf("history = %q, want %q", strings.Join(got, "|"), want)
	}
	msgs, more, next, err := c.GetConversationRepliesContext(t.Context(), &slackgo.GetConversationRepliesParameters{ChannelID: dm, Timestamp: roots[2], Limit: 3})
	if err != nil || !more || next == "" || len(msgs) != 3 || msgs[0].Text != "root 2" || msgs[1].Text != "reply 0" {
		t.Errorf("replies = %+v, %t, %q, %v", msgs, more, next, err)
	}
}

// A peer is a bare Socket Mode client.
type peer struct{ *websocket.Conn }

func dial(t *testing.T, c *slackgo.Client) peer {
	t.Helper()
	_, address, err := c.StartSocketModeContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), address, nil) //nolint:bodyclose // the connection takes it over
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := peer{conn}
	if hello := p.next(t); hello["type"] != "hello" {
		t.Fatalf("first frame = %v, want hello", hello)
	}
	return p
}

func (p peer) next(t *testing.T) map[string]any {
	t.Helper()
	p.SetReadDeadline(time.Now().Add(10 * time.Second))
	var frame map[string]any
	if err := p.ReadJSON(&frame); err != nil {
		t.Fatal(err)
	}
	return frame
}

func TestTicketIsGoodOnce(t *testing.T) {
	_, c := open(t, fakeslack.Options{})
	_, address, err := c.StartSocketModeContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, ok := range []bool{true, false} {
		conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), address, nil) //nolint:bodyclose // the connection takes it over
		if (err == nil) != ok {
			t.Errorf("dial = %v, want success %t", err, ok)
		}
		if conn != nil {
			defer conn.Close()
		}
	}
}

func TestEventComesAgainUntilItIsAcknowledged(t *testing.T) {
	s, c := open(t, fakeslack.Options{AckTimeout: 50 * time.Millisecond, RetryDelays: []time.Duration{0, 0, 0, 0}})
	p := dial(t, c)
	s.Say(ann, "hello")
	var envelopes []any
	var id any
	for attempt := range 3 {
		frame := p.next(t)
		payload := frame["payload"].(map[string]any)
		if got := frame["retry_attempt"]; got != float64(attempt) {
			t.Errorf("retry_attempt = %v, want %d", got, attempt)
		}
		if id == nil {
			id = payload["event_id"]
		}
		if payload["event_id"] != id {
			t.Errorf("event_id = %v, want the same %v", payload["event_id"], id)
		}
		envelopes = append(envelopes, frame["envelope_id"])
	}
	if envelopes[0] == envelopes[1] {
		t.Errorf("envelopes = %v, want one for each attempt", envelopes)
	}
	p.WriteJSON(map[string]any{"envelope_id": envelopes[2]})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Wait(ctx, func() bool { return s.Acked(envelopes[2].(string)) }); err != nil {
		t.Error(err)
	}
}

func TestEventGoesToOneOfTheConnections(t *testing.T) {
	s, c := open(t, fakeslack.Options{AckTimeout: time.Minute})
	peers := []peer{dial(t, c), dial(t, c)}
	for range 4 {
		s.Say(ann, "hello")
	}
	for i, p := range peers {
		for range 2 {
			if frame := p.next(t); frame["type"] != "events_api" {
				t.Errorf("connection %d got %v", i, frame)
			}
		}
	}
}

func TestEventsCanBeReversedAndDoubled(t *testing.T) {
	s, c := open(t, fakeslack.Options{AckTimeout: time.Minute})
	p := dial(t, c)
	s.Reorder(3)
	s.Twice(1)
	for i := range 3 {
		s.Say(ann, fmt.Sprint(i))
	}
	var got []string
	for range 4 {
		got = append(got, p.next(t)["payload"].(map[string]any)["event"].(map[string]any)["text"].(string))
	}
	if strings.Join(got, "") != "2210" {
		t.Errorf("events = %v, want the last first, and that one twice", got)
	}
}

func TestDisconnectSaysWhy(t *testing.T) {
	for _, reason := range []string{fakeslack.Warning, fakeslack.RefreshRequested, fakeslack.LinkDisabled} {
		t.Run(reason, func(t *testing.T) {
			s, c := open(t, fakeslack.Options{})
			p := dial(t, c)
			s.Disconnect(reason)
			if frame := p.next(t); frame["type"] != "disconnect" || frame["reason"] != reason {
				t.Errorf("frame = %v", frame)
			}
			_, _, err := c.StartSocketModeContext(t.Context())
			if (err != nil) != (reason == fakeslack.LinkDisabled) {
				t.Errorf("another connection: %v", err)
			}
		})
	}
}

func TestClientThatAnswersNoPingIsDropped(t *testing.T) {
	s, c := open(t, fakeslack.Options{PingEvery: 50 * time.Millisecond})
	p := dial(t, c)
	p.SetPingHandler(func(string) error { return nil })
	p.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, _, err := p.ReadMessage(); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("read = %v, want that the server hung up", err)
	}
	if n := s.Connections(); n != 0 {
		t.Errorf("%d connections, want none", n)
	}
}

func TestFaultsSpoilTheCallsTheyAreFor(t *testing.T) {
	s, c := open(t, fakeslack.Options{Burst: -1})
	tests := []struct {
		fault fakeslack.Fault
		posts bool
	}{
		{fakeslack.Fault{Status: 503}, false},
		{fakeslack.Fault{Drop: true}, false},
		{fakeslack.Fault{Error: "internal_error"}, false},
		{fakeslack.Fault{RetryAfter: 2 * time.Second}, false},
		{fakeslack.Fault{LoseReply: true}, true},
		{fakeslack.Fault{Garble: true}, true},
	}
	for _, tt := range tests {
		before := len(s.Seen(dm))
		tt.fault.Method = "chat.postMessage"
		s.Inject(tt.fault)
		if _, err := c.AuthTestContext(t.Context()); err != nil {
			t.Errorf("%+v: another method: %v", tt.fault, err)
		}
		if _, _, err := c.PostMessageContext(t.Context(), dm, text("a")); err == nil {
			t.Errorf("%+v: post = nil, want an error", tt.fault)
		}
		if got := len(s.Seen(dm)) > before; got != tt.posts {
			t.Errorf("%+v: posted %t, want %t", tt.fault, got, tt.posts)
		}
	}
	if _, _, err := c.PostMessageContext(t.Context(), dm, text("a")); err != nil {
		t.Errorf("after the faults: %v", err)
	}
}

func TestPhoneRings(t *testing.T) {
	s, c := open(t, fakeslack.Options{Burst: -1})
	post := func(o ...slackgo.MsgOption) string {
		_, ts, err := c.PostMessageContext(t.Context(), dm, o...)
		if err != nil {
			t.Fatal(err)
		}
		return ts
	}
	root := post(text("rings"))
	post(text("does not: she does not follow the thread"), slackgo.MsgOptionTS(root))
	post(text("rings: <@"+ann+">"), slackgo.MsgOptionTS(root))
	if _, _, _, err := c.UpdateMessageContext(t.Context(), dm, root, text("an edit rings nobody <@"+ann+">")); err != nil {
		t.Fatal(err)
	}
	s.AddUser(fakeslack.User{ID: ann, DND: true})
	post(text("she sleeps"))
	if got := len(s.Notifications()); got != 2 {
		t.Errorf("the phone rang %d times, want twice", got)
	}
}

func TestFormAndBodyAreUnderstood(t *testing.T) {
	s, _ := open(t, fakeslack.Options{})
	body := url.Values{"token": {s.BotToken()}, "channel": {dm}, "text": {"a & b"}}.Encode()
	for contentType, body := range map[string]string{
		"application/x-www-form-urlencoded": body,
		"application/json; charset=utf-8":   fmt.Sprintf(`{"token":%q,"channel":%q,"text":"a & b","unfurl_links":false}`, s.BotToken(), dm),
	} {
		resp, err := http.Post(s.URL()+"chat.postMessage", contentType, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(answer), `"ok":true`) {
			t.Errorf("%s: %s", contentType, answer)
		}
	}
	for _, m := range s.Seen(dm) {
		if m.Text != "a & b" {
			t.Errorf("text = %q", m.Text)
		}
	}
	for _, c := range s.Calls("") {
		if c.Args["token"] != "" {
			t.Errorf("call keeps the token: %+v", c)
		}
	}
}
