package channels

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/server"

	"watchkeeper/mcptool"
	"watchkeeper/runbook"
)

// An Inbox is what the pending_events tool needs of the store.
type Inbox interface {
	Open(ctx context.Context) ([]runbook.Delivery, error)
	Delivery(ctx context.Context, id runbook.DeliveryID) (runbook.Delivery, error)
	Alerts(ctx context.Context, id runbook.DeliveryID, limit int) ([]runbook.Occurrence, error)
}

// Bounds of the list and of one event shown whole.
const (
	listed     = 30
	alertsList = 100
	wholeEvent = 24_000 // characters: some 6,000 tokens
)

type pendingArgs struct {
	Delivery string `json:"delivery,omitempty" jsonschema:"show all alerts of this one, as d42; leave it out for the list"`
}

// PendingEvents is the tool for when pushes do not arrive, or did not fit.
func PendingEvents(in Inbox) server.ServerTool {
	return mcptool.New("pending_events", "List the events that wait for a verdict, or show every alert of one. Use it at "+
		"the start of a session, when an event says that more alerts were left out, or when no event has come for "+
		"long. Not for history: that is incident_history.", mcptool.ReadOnly,
		func(ctx context.Context, a pendingArgs) (string, error) {
			if a.Delivery == "" {
				return list(ctx, in)
			}
			id, err := runbook.ParseDelivery(a.Delivery)
			if err != nil {
				return "", err
			}
			return show(ctx, in, id)
		})
}

func list(ctx context.Context, in Inbox) (string, error) {
	open, err := in.Open(ctx)
	if err != nil {
		return "", err
	}
	if len(open) == 0 {
		return "Nothing waits: every event has its verdict.", nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d events wait, oldest first:\n", len(open))
	for i, d := range open {
		if i == listed {
			fmt.Fprintf(&b, "(%d more; they come up as these are decided)\n", len(open)-listed)
			break
		}
		fmt.Fprintf(&b, "%s %s %s %s, %d alerts, %s, for %s\n| %s on %s, cluster %s\n", d.ID, d.Kind, d.State, d.Severity,
			d.Alerts, d.Env, runbook.Short(time.Since(d.CreatedAt)), quote(d.Alert), quote(or(d.Service)), quote(or(d.Cluster)))
	}
	return b.String(), nil
}

func show(ctx context.Context, in Inbox, id runbook.DeliveryID) (string, error) {
	d, err := in.Delivery(ctx, id)
	if err != nil {
		return "", fmt.Errorf("%w; call pending_events without a delivery for the list", err)
	}
	alerts, err := in.Alerts(ctx, d.ID, alertsList)
	if err != nil {
		return "", err
	}
	w := &writer{left: wholeEvent}
	w.line(fmt.Sprintf("%s %s %s, %d alerts, status %s", d.ID, d.Kind, d.State, d.Alerts, d.Status))
	w.line(warning)
	now := time.Now()
	for i, a := range alerts {
		if !w.alert(a, now, allWords) {
			alerts = alerts[:i]
			break
		}
	}
	if rest := d.Alerts - len(alerts); rest > 0 {
		w.line(fmt.Sprintf("(%d more are not shown)", rest))
	}
	return w.String(), nil
}
