package house

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"watchkeeper/channels"
	"watchkeeper/channels/webhook"
	"watchkeeper/config"
	"watchkeeper/runbook"
	"watchkeeper/state"
	"watchkeeper/watch"
)

// Watchdog pages people for what nobody decides and for what is wrong with the
// watch itself, while this process holds the lock. What cannot be remembered
// goes out by cry; nil cries nowhere.
func (h *House) Watchdog(ctx context.Context, cry watch.Cry, more ...watch.Check) error {
	return h.Dir.Host(ctx, state.Watchdog, h.Log, func(ctx context.Context) error {
		dog := &watch.Watchdog{Memory: h.Store, Checks: append(h.expected(), more...), Cry: cry, Log: h.Log}
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return (&channels.Watchdog{Memory: h.Store, Log: h.Log}).Run(ctx) })
		g.Go(func() error { return dog.Run(ctx) })
		g.Go(func() error { return h.pulse(ctx, dog) })
		return g.Wait()
	})
}

// expected are the senders and clusters that must not fall silent, and people,
// who must be within reach.
func (h *House) expected() []watch.Check {
	var all []watch.Check
	for _, name := range slices.Sorted(maps.Keys(h.Config.Watch.Senders)) {
		all = append(all, watch.Sender(name, time.Duration(h.Config.Watch.Senders[name])))
	}
	for _, name := range slices.Sorted(maps.Keys(h.Config.Clusters)) {
		if c := h.Config.Clusters[name]; c.Heartbeat > 0 {
			all = append(all, watch.Cluster(name, c.Env, time.Duration(c.Heartbeat)))
		}
	}
	if h.Config.Secrets.SlackBot.Set() {
		all = append(all, watch.People{Outbox: h.Store})
	}
	return all
}

// SessionChecks expect a session that works. They are for whoever keeps one.
func (h *House) SessionChecks() []watch.Check {
	mode := h.Config.Session.Mode
	if mode == "responder" {
		return nil
	}
	checks := []watch.Check{watch.Session{StandIn: mode == "auto"}}
	every := h.Config.Watch.Canary
	if _, port, err := net.SplitHostPort(h.Config.Listen); err != nil || port == "0" || every == config.Never {
		return checks // nobody knows where the intake is, or wants a canary
	}
	return append(checks, watch.Canary{Flock: h.Store, Every: time.Duration(every), Post: h.postCanary, Log: h.Log})
}

// pulse tells the monitor outside, if there is one.
func (h *House) pulse(ctx context.Context, dog *watch.Watchdog) error {
	if !h.Config.Secrets.Heartbeat.Set() {
		return nil
	}
	p := &watch.Pulse{URL: h.Config.Secrets.Heartbeat, Unwell: dog.Unwell, Log: h.Log}
	if err := p.Check(); err != nil {
		h.Log.ErrorContext(ctx, "no outside monitor", "err", err)
		return nil // the watch at home goes on
	}
	return p.Run(ctx)
}

// canaryWithin bounds one POST of a canary.
const canaryWithin = 10 * time.Second

// postCanary sends a canary to the intake as a sender does. No proxy is asked
// for the way to ourselves.
func (h *House) postCanary(ctx context.Context, nonce string, sent time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, canaryWithin)
	defer cancel()
	c := h.Config
	body := fmt.Sprintf(`{"version":"4","status":"firing","alerts":[{"status":"firing","startsAt":%q,"fingerprint":%q,"labels":{"alertname":%q,"severity":"info",%q:%q}}]}`,
		sent.UTC().Format(time.RFC3339Nano), nonce, runbook.CanaryAlert, runbook.CanaryLabel, nonce)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+webhook.Reachable(c.Listen)+"/webhook/"+runbook.CanarySource, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("send a canary: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	webhook.Proof{
		Token: c.Secrets.WebhookToken, HMAC: c.Secrets.WebhookHMAC, Header: c.Webhook.HMACHeader, Timestamp: c.Webhook.HMACTimestamp,
	}.Put(req, body, time.Now())
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return fmt.Errorf("send a canary: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return fmt.Errorf("send a canary: the intake answers %s: %s", resp.Status, text)
	}
	return nil
}
