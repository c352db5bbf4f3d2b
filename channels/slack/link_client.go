package slack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	slackgo "github.com/slack-go/slack"

	"watchkeeper/secret"
)

// callTimeout ends a call to the Web API. Whether it was done is then unknown.
const callTimeout = 30 * time.Second

// A Client is Slack's Web API with the two tokens of the app. Its errors hold
// neither of them. It is safe for concurrent use.
type Client struct {
	api      *slackgo.Client
	bot, app secret.Value
	mu       sync.Mutex
	dms      map[string]string // conversation by user
	scopes   string            // of the bot token, as the last answer told
}

// NewClient returns a Client of the Web API at url, which ends with a slash.
// bot posts and reads (xoxb-…); app opens Socket Mode connections (xapp-…).
func NewClient(url string, bot, app secret.Value) *Client {
	c := &Client{bot: bot, app: app, dms: map[string]string{}}
	c.api = slackgo.New(bot.Reveal(), slackgo.OptionAPIURL(url), slackgo.OptionAppLevelToken(app.Reveal()),
		slackgo.OptionHTTPClient(&http.Client{Timeout: callTimeout}),
		slackgo.OptionOnResponseHeaders(func(path string, h http.Header) {
			if path == "auth.test" {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.scopes = h.Get("X-OAuth-Scopes")
			}
		}))
	return c
}

// An Identity is who we are in Slack.
type Identity struct {
	Team, User, BotID string
}

// Identify asks Slack who the bot token is.
func (c *Client) Identify(ctx context.Context) (Identity, error) {
	r, err := c.api.AuthTestContext(ctx)
	if err != nil {
		return Identity{}, c.wrap("identify the bot", err)
	}
	return Identity{Team: r.Team, User: r.UserID, BotID: r.BotID}, nil
}

// DM returns the direct conversation with user. It is asked for once.
func (c *Client) DM(ctx context.Context, user string) (string, error) {
	c.mu.Lock()
	id := c.dms[user]
	c.mu.Unlock()
	if id != "" {
		return id, nil
	}
	ch, _, _, err := c.api.OpenConversationContext(ctx, &slackgo.OpenConversationParameters{Users: []string{user}, ReturnIM: true})
	if err != nil {
		return "", c.wrap("open the conversation with "+user, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dms[user] = ch.ID
	return ch.ID, nil
}

// Quiet reports whether Slack holds back the notifications of user now, and
// until when it does.
func (c *Client) Quiet(ctx context.Context, user string, now time.Time) (until time.Time, on bool, err error) {
	d, err := c.api.GetDNDInfoContext(ctx, &user)
	if err != nil {
		return time.Time{}, false, c.wrap("ask for the notifications of "+user, err)
	}
	if d.SnoozeEnabled && now.Unix() < int64(d.SnoozeEndTime) {
		return time.Unix(int64(d.SnoozeEndTime), 0), true, nil
	}
	if d.Enabled && int64(d.NextStartTimestamp) <= now.Unix() && now.Unix() < int64(d.NextEndTimestamp) {
		return time.Unix(int64(d.NextEndTimestamp), 0), true, nil
	}
	return time.Time{}, false, nil
}

// React adds the emoji name to a message. One that is there already is no
// error.
func (c *Client) React(ctx context.Context, channel, ts, name string) error {
	err := c.api.AddReactionContext(ctx, name, slackgo.NewRefToMessage(channel, ts))
	if err != nil && err.Error() != "already_reacted" {
		return c.wrap("react to "+ts, err)
	}
	return nil
}

// SetStatus shows what we are doing under a thread, such as "is looking into
// it…"; "" clears it. Slack shows it for assistants only and refuses it
// elsewhere: a caller may ignore the error.
func (c *Client) SetStatus(ctx context.Context, channel, thread, status string) error {
	err := c.api.SetAssistantThreadsStatusContext(ctx, slackgo.AssistantThreadsSetStatusParameters{
		ChannelID: channel, ThreadTS: thread, Status: status,
	})
	return c.wrap("set the status of "+thread, err)
}

// A RejectedError means that Slack does not accept the tokens or the app: a
// person must act, trying again does not help.
type RejectedError struct {
	Code string // of Slack, such as "invalid_auth"
}

// Error says what to do.
func (e *RejectedError) Error() string {
	switch e.Code {
	case linkDisabled:
		return "Socket Mode is switched off; switch it on in the settings of the Slack app"
	case "missing_scope":
		return "missing_scope: the Slack app lacks a scope; install it again from deploy/slack/manifest.yaml"
	case "not_allowed_token_type":
		return "not_allowed_token_type: SLACK_BOT_TOKEN must be the xoxb- token and SLACK_APP_TOKEN the xapp- one"
	}
	return e.Code + ": Slack rejects the token; make a new one in the settings of the Slack app and restart"
}

// rejections are the answers after which the same token will not do better.
var rejections = map[string]bool{
	"invalid_auth": true, "account_inactive": true, "not_authed": true, "token_revoked": true, "token_expired": true,
	"no_permission": true, "missing_scope": true, "not_allowed_token_type": true, "app_uninstalled": true,
	"team_access_not_granted": true, "access_denied": true, linkDisabled: true,
}

// wrap says what was tried, and removes what must not be seen. nil stays nil.
func (c *Client) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if code := slackCode(err); rejections[code] {
		return fmt.Errorf("%s: %w", what, &RejectedError{code})
	}
	if c.clean(err.Error()) == err.Error() {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %s", what, c.clean(err.Error()))
}

var ticket = regexp.MustCompile(`(ticket=)[^&\s"']+`)

// clean removes the tokens, and the tickets of Socket Mode addresses.
func (c *Client) clean(text string) string {
	for _, v := range []secret.Value{c.bot, c.app} {
		if v.Set() {
			text = strings.ReplaceAll(text, v.Reveal(), "[redacted]")
		}
	}
	return secret.Redact(ticket.ReplaceAllString(text, "${1}[redacted]"))
}

// slackCode returns the error that Slack answered with, or "".
func slackCode(err error) string {
	if answer, ok := errors.AsType[slackgo.SlackErrorResponse](err); ok {
		return answer.Err
	}
	return ""
}

// isRejected reports whether a person must act before err goes away.
func isRejected(err error) bool {
	_, ok := errors.AsType[*RejectedError](err)
	return ok
}

// retryAfter returns how long Slack asked us to wait, 0 if it did not.
func retryAfter(err error) time.Duration {
	if limited, ok := errors.AsType[*slackgo.RateLimitedError](err); ok {
		return max(limited.RetryAfter, time.Second)
	}
	return 0
}

// sleep returns after d or when ctx is done.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
