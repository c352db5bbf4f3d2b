package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"watchkeeper/cmd/internal/house"
	"watchkeeper/cmd/internal/people"
	"watchkeeper/runbook"
	"watchkeeper/state"
)

// terminal is the channel of what was shown in the terminal, because there was
// no Slack to send it to.
const terminal = "terminal"

// reachPeople brings what is said to people to Slack, or to the terminal while
// no Slack is configured.
func reachPeople(ctx context.Context, h *house.House, way *people.Way, out io.Writer) error {
	if people.Configured(h) {
		return way.Link(ctx)
	}
	h.Log.WarnContext(ctx, "no Slack: messages are shown here only; set SLACK_BOT_TOKEN and SLACK_APP_TOKEN, see docs/slack.md")
	return h.Dir.Host(ctx, state.Link, h.Log, func(ctx context.Context) error {
		watch, err := h.Store.Watch(ctx)
		if err != nil {
			return fmt.Errorf("watch the memory: %w", err)
		}
		defer watch.Close()
		for ctx.Err() == nil {
			if err := showMessages(ctx, h, out); err != nil && ctx.Err() == nil {
				h.Log.ErrorContext(ctx, "messages not shown", "err", err)
			}
			if err := watch.Wait(ctx, time.Second); err != nil && ctx.Err() == nil {
				return fmt.Errorf("watch the memory: %w", err)
			}
		}
		return nil
	})
}

// showMessages prints what is due and marks it as sent: a Slack that is
// configured later must not be flooded with it.
func showMessages(ctx context.Context, h *house.House, out io.Writer) error {
	due, err := h.Store.Outbox(ctx, time.Now())
	if err != nil {
		return err
	}
	for _, m := range due {
		fmt.Fprint(out, paper(m))
		if err := h.Store.MarkSent(ctx, m.ID, terminal, fmt.Sprint(m.ID), time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// paper is a message as the terminal shows it.
func paper(m runbook.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "── %s, %s\n", m.Kind, m.CreatedAt.Local().Format("15:04:05"))
	for line := range strings.SplitSeq(strings.TrimSpace(m.Text), "\n") {
		b.WriteString("   " + plain(line) + "\n")
	}
	return b.String()
}
