package people

import (
	"context"
	"errors"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/watch"
)

// Cry returns how the people on call are reached without the memory; nil if
// there is no Slack.
func Cry(h *house.House) watch.Cry {
	if !Configured(h) {
		return nil
	}
	c := client(h)
	return func(ctx context.Context, text string) error {
		var errs []error
		for _, user := range []string{h.Config.OnCall.SlackUser, h.Config.OnCall.Second} {
			if user != "" {
				errs = append(errs, c.Cry(ctx, user, text))
			}
		}
		return errors.Join(errs...)
	}
}
