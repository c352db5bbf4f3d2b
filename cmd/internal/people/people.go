// Package people builds the way to people and back: the link to Slack, what
// is sent there, who is called again, and who is asked for permissions.
package people

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"watchkeeper/channels/slack"
	"watchkeeper/cmd/internal/house"
	"watchkeeper/runbook"
	"watchkeeper/state"
)

// OnCall returns who is on call.
func OnCall(h *house.House) slack.People {
	c := h.Config.OnCall
	p := slack.People{OnCall: c.SlackUser, Second: c.Second}
	if c.QuietHours.Set {
		p.Quiet = c.QuietHours.Contains
	}
	return p
}

// Calling returns who is called, how soon and how often.
func Calling(h *house.House) slack.Calling {
	c := h.Config.OnCall
	prod := time.Duration(c.Nags.Prod)
	return slack.Calling{
		People:      OnCall(h),
		First:       map[runbook.Env]time.Duration{runbook.Prod: prod, runbook.EnvUnknown: prod, runbook.Dev: time.Duration(c.Nags.Dev)},
		Every:       time.Duration(c.Nags.Every),
		SecondAfter: c.SecondAfterNags,
		Reping:      time.Duration(c.Nags.Reping),
	}
}

// Configured reports whether there is a Slack to speak to.
func Configured(h *house.House) bool {
	return h.Config.Secrets.SlackBot.Set() && h.Config.Secrets.SlackApp.Set()
}

// client returns the client of the configured Slack.
func client(h *house.House) *slack.Client {
	return slack.NewClient(h.Config.Slack.APIURL, h.Config.Secrets.SlackBot, h.Config.Secrets.SlackApp)
}

// Approvals asks the person on call for permissions.
func Approvals(h *house.House) *slack.Approvals {
	return &slack.Approvals{Memory: h.Store, People: OnCall(h), Log: h.Log}
}

// A Way is the way to people as one process hosts it. Its parts are built
// together, so that whoever hears a person wakes whoever calls them.
type Way struct {
	house     *house.House
	escalator *slack.Escalator
}

// New returns the Way of h. Nothing runs yet.
func New(h *house.House) *Way {
	calling := Calling(h)
	if Configured(h) {
		calling.Presence = client(h)
	}
	return &Way{house: h, escalator: slack.NewEscalator(h.Store, calling, h.Log)}
}

// Link keeps the connection to Slack, sends the outbox and keeps the dead-man's
// switch ahead, while this process holds the lock. It needs the tokens.
func (w *Way) Link(ctx context.Context) error {
	h := w.house
	return h.Dir.Host(ctx, state.Link, h.Log, func(ctx context.Context) error {
		c, who := client(h), OnCall(h)
		desk := &slack.Desk{Memory: h.Store, Approvals: Approvals(h), People: who, Log: h.Log, Wake: w.escalator.Wake}
		link := &slack.Link{Memory: h.Store, Client: c, People: who, Actions: desk, Answers: desk, Log: h.Log}
		cards := slack.Cards{Memory: h.Store, Calling: Calling(h)}
		sender := &slack.Sender{Memory: h.Store, Client: c, People: who, Log: h.Log, Render: cards.Render}
		dark := &slack.Deadman{Memory: h.Store, Client: c, People: who, Log: h.Log}
		thinker := &slack.Thinker{Memory: h.Store, Client: c, Log: h.Log}
		g, ctx := errgroup.WithContext(ctx)
		for _, part := range []interface{ Run(context.Context) error }{link, sender, dark, thinker} {
			g.Go(func() error { return part.Run(ctx) })
		}
		return g.Wait()
	})
}

// Escalator calls again whoever did not answer, while this process holds the
// lock.
func (w *Way) Escalator(ctx context.Context) error {
	return w.house.Dir.Host(ctx, state.Escalator, w.house.Log, w.escalator.Run)
}

// Permission asks the person on call whether tool may be called with input.
// message says why not, for the model.
func Permission(ctx context.Context, h *house.House, tool, description string, input json.RawMessage) (allow bool, message string, err error) {
	allow, message, err = Approvals(h).Ask(ctx, tool, description, input)
	if err != nil {
		return false, message, fmt.Errorf("ask for a permission: %w", err)
	}
	return allow, message, nil
}
