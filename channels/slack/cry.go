package slack

import (
	"context"

	slackgo "github.com/slack-go/slack"
)

// Cry rings user with text at once, past the outbox: for when the memory, which
// the outbox is in, does not work. Nothing remembers that it was said.
func (c *Client) Cry(ctx context.Context, user, text string) error {
	channel, err := c.DM(ctx, user)
	if err != nil {
		return err
	}
	_, _, err = c.api.PostMessageContext(ctx, channel, slackgo.MsgOptionText(mention(user)+escaped(text), false),
		slackgo.MsgOptionDisableLinkUnfurl(), slackgo.MsgOptionDisableMediaUnfurl())
	return c.wrap("cry for help", err)
}
