package slack

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	slackgo "github.com/slack-go/slack"

	"watchkeeper/secret"
)

// RequiredScopes are what the bot token must be allowed to do. The manifest in
// deploy/slack asks for them.
func RequiredScopes() []string {
	return []string{"chat:write", "dnd:read", "files:write", "im:history", "im:read", "im:write", "reactions:write", "users:read"}
}

// A Finding is one thing that the way to people needs, and whether it is there.
type Finding struct {
	What   string // "bot token", "scopes", "person on call U0123", …
	OK     bool
	Detail string // one line; what was seen
	Fix    string // what to do; "" if OK
}

// An Examination says what Doctor looks at.
type Examination struct {
	URL      string // of the Web API, with a slash at its end
	Bot, App secret.Value
	People   People
	Alone    bool // no link runs: connect for a moment, to see that Socket Mode works
	TestCard bool // send the person on call a card that says it is a test
}

const install = "install the app again from deploy/slack/manifest.yaml (docs/slack.md)"

// Doctor looks whether people can be reached and heard. It never fails: what
// goes wrong is a finding. Findings come in the order in which to mend them.
func Doctor(ctx context.Context, x Examination) []Finding {
	d := &doctor{Examination: x, client: NewClient(x.URL, x.Bot, x.App)}
	if d.botToken(ctx) {
		d.scopes()
		d.people(ctx)
		d.deadman(ctx)
	}
	d.appToken(ctx)
	return d.findings
}

type doctor struct {
	Examination
	client   *Client
	findings []Finding
}

func (d *doctor) fine(what, detail string) bool {
	d.findings = append(d.findings, Finding{What: what, OK: true, Detail: detail})
	return true
}

func (d *doctor) wrong(what, detail, fix string) bool {
	d.findings = append(d.findings, Finding{What: what, Detail: detail, Fix: fix})
	return false
}

// failed is what went wrong with a call.
func (d *doctor) failed(what string, err error, fix string) bool {
	return d.wrong(what, d.client.clean(err.Error()), fix)
}

func (d *doctor) botToken(ctx context.Context) bool {
	const what = "bot token"
	switch token := d.Bot.Reveal(); {
	case token == "":
		return d.wrong(what, "not set", "set SLACK_BOT_TOKEN to the Bot User OAuth Token (xoxb-…) of the app's page OAuth & Permissions")
	case strings.HasPrefix(token, "xapp-"):
		return d.wrong(what, "it is an app-level token", "exchange SLACK_BOT_TOKEN and SLACK_APP_TOKEN")
	}
	me, err := d.client.Identify(ctx)
	if err != nil {
		return d.failed(what, err, "look at slack.api_url and the network; else copy the token again from the page OAuth & Permissions")
	}
	return d.fine(what, fmt.Sprintf("bot %s in team %s", me.User, me.Team))
}

func (d *doctor) scopes() {
	d.client.mu.Lock()
	has := strings.Split(strings.ReplaceAll(d.client.scopes, " ", ""), ",")
	d.client.mu.Unlock()
	missing := slices.DeleteFunc(RequiredScopes(), func(s string) bool { return slices.Contains(has, s) })
	if len(missing) > 0 {
		d.wrong("scopes", "missing: "+strings.Join(missing, ", "), install)
		return
	}
	d.fine("scopes", "all that are needed")
}

func (d *doctor) people(ctx context.Context) {
	if d.People.OnCall == "" {
		d.wrong("person on call", "nobody is named", "set oncall.slack_user to the member ID (U…) of a person")
		return
	}
	for _, user := range d.People.all() {
		d.person(ctx, user)
	}
}

// person looks whether one of the people can be written to and read.
func (d *doctor) person(ctx context.Context, user string) bool {
	what := "person on call " + user
	info, err := d.client.api.GetUserInfoContext(ctx, user)
	switch {
	case err != nil:
		return d.failed(what, d.client.wrap("look up "+user, err), "copy the member ID from the person's Slack profile (⋮, Copy member ID) into oncall")
	case info.Deleted:
		return d.wrong(what, "the account is deactivated", "name somebody else in oncall")
	case info.IsBot:
		return d.wrong(what, "it is a bot", "name a person in oncall")
	}
	channel, err := d.client.DM(ctx, user)
	if err != nil {
		return d.failed(what, err, install)
	}
	if _, err := d.client.api.GetConversationHistoryContext(ctx, &slackgo.GetConversationHistoryParameters{ChannelID: channel, Limit: 1}); err != nil {
		return d.failed(what, d.client.wrap("read the conversation", err), install)
	}
	d.fine(what, fmt.Sprintf("%s, conversation %s", cmp.Or(info.RealName, info.Name), channel))
	d.notifications(ctx, user)
	if d.TestCard && user == d.People.OnCall {
		return d.testCard(ctx, channel)
	}
	return true
}

func (d *doctor) notifications(ctx context.Context, user string) {
	what := "notifications of " + user
	until, off, err := d.client.Quiet(ctx, user, time.Now())
	switch {
	case err != nil:
		d.failed(what, err, install)
	case off:
		d.wrong(what, "Slack holds them back until "+until.UTC().Format("15:04")+" UTC", "nothing if that is meant; a page at night reaches only a phone on which Slack may ring")
	default:
		d.fine(what, "on")
	}
}

// TestActionID is the button of the test card; pressing it changes nothing.
const TestActionID = "watchkeeper_test"

func (d *doctor) testCard(ctx context.Context, channel string) bool {
	const text = "This is a test of Watchkeeper: messages reach you. Press the button, and answer in this thread, to see that you reach it."
	button := slackgo.NewButtonBlockElement(TestActionID, "test", slackgo.NewTextBlockObject(slackgo.PlainTextType, "It works", false, false))
	_, ts, err := d.client.api.PostMessageContext(ctx, channel, slackgo.MsgOptionText(text, false),
		slackgo.MsgOptionBlocks(
			slackgo.NewSectionBlock(slackgo.NewTextBlockObject(slackgo.PlainTextType, text, false, false), nil, nil),
			slackgo.NewActionBlock("", button),
		))
	if err != nil {
		return d.failed("test card", d.client.wrap("post", err), install)
	}
	return d.fine("test card", "sent as "+ts)
}

// deadman looks whether Slack takes a scheduled message and gives it back.
func (d *doctor) deadman(ctx context.Context) bool {
	const what = "dead-man's switch"
	if d.People.OnCall == "" {
		return false // is a finding already
	}
	channel, err := d.client.DM(ctx, d.People.OnCall)
	if err != nil {
		return false // is a finding already
	}
	_, id, err := d.client.api.ScheduleMessageContext(ctx, channel, strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10),
		slackgo.MsgOptionText("A test of Watchkeeper that should have been deleted; please ignore it.", false))
	if err != nil {
		return d.failed(what, d.client.wrap("schedule a message", err), install)
	}
	if _, err := d.client.api.DeleteScheduledMessageContext(ctx, &slackgo.DeleteScheduledMessageParameters{Channel: channel, ScheduledMessageID: id}); err != nil {
		return d.failed(what, d.client.wrap("delete the scheduled message", err), "none: a message that says it is a test arrives in an hour")
	}
	return d.fine(what, "a message can be scheduled and deleted")
}

func (d *doctor) appToken(ctx context.Context) bool {
	const what = "app token"
	switch token := d.App.Reveal(); {
	case token == "":
		return d.wrong(what, "not set", "set SLACK_APP_TOKEN to an app-level token (xapp-…) with connections:write, from the app's page Basic Information")
	case strings.HasPrefix(token, "xoxb-"):
		return d.wrong(what, "it is a bot token", "exchange SLACK_BOT_TOKEN and SLACK_APP_TOKEN")
	}
	if !d.Alone {
		if _, _, err := d.client.api.StartSocketModeContext(ctx); err != nil {
			return d.failed(what, d.client.wrap("open a connection", err), "make an app-level token with connections:write, and switch Socket Mode on")
		}
		return d.fine(what, "a connection may be opened; the running link has its own")
	}
	return d.hello(ctx)
}

// hello connects and hangs up. What Slack sends in between is not acknowledged,
// and so comes again.
func (d *doctor) hello(ctx context.Context) bool {
	const what = "Socket Mode"
	conn, err := (&Link{Client: d.client}).dial(ctx)
	if err != nil {
		return d.failed(what, err, "make an app-level token with connections:write, and switch Socket Mode on")
	}
	defer conn.Close()
	_, raw, err := conn.ReadMessage()
	if err != nil {
		return d.failed(what, d.client.wrap("wait for hello", err), "try again; if it stays, look at the app's page Socket Mode")
	}
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil || e.Type != "hello" {
		return d.wrong(what, "Slack did not say hello", "switch Socket Mode off and on again on the app's page")
	}
	if e.NumConnections > 1 {
		return d.wrong(what, fmt.Sprintf("%d connections are open besides ours", e.NumConnections-1), "another process is connected as this app and takes some of its events: stop it")
	}
	return d.fine(what, "connected, and nobody else is")
}
