package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"watchkeeper/secret"
)

const (
	pulseEvery  = time.Minute
	pulseWithin = 10 * time.Second
	maxPulse    = 10_000 // bytes of a reason; healthchecks.io keeps as many
)

// A Pulse tells a monitor outside that we live, in the way of healthchecks.io: a
// GET of URL while all is well, a POST of the reasons to URL/fail while it is
// not, and silence when we are dead.
type Pulse struct {
	URL    secret.Value // may hold a token
	Unwell func(now time.Time) []string
	Log    *slog.Logger
	Client *http.Client // nil is one of its own
}

// Check returns what is wrong with the address, without it.
func (p *Pulse) Check() error {
	u, err := url.Parse(p.URL.Reveal())
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("WATCHKEEPER_HEARTBEAT_URL is no http or https address without a query; want the one that the monitor shows, such as https://hc-ping.com/your-uuid")
	}
	return nil
}

// Run tells every minute until ctx is done, and returns nil then.
func (p *Pulse) Run(ctx context.Context) error {
	failed := false
	for ctx.Err() == nil {
		err := p.Step(ctx, time.Now())
		if err != nil && ctx.Err() == nil && !failed {
			p.Log.WarnContext(ctx, "outside monitor not told; said once until it works again", "err", err)
		}
		failed = err != nil
		sleep(ctx, pulseEvery)
	}
	return nil
}

// Step tells once. Its error does not hold the address.
func (p *Pulse) Step(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, pulseWithin)
	defer cancel()
	method, address, body := http.MethodGet, p.URL.Reveal(), ""
	if unwell := p.Unwell(now); len(unwell) > 0 {
		method, address = http.MethodPost, strings.TrimRight(address, "/")+"/fail"
		body = secret.Redact(strings.Join(unwell, "\n"))
		body = body[:min(len(body), maxPulse)]
	}
	req, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return errors.New("the address is not valid")
	}
	client := p.Client
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err // without the address
		}
		return fmt.Errorf("ask the outside monitor: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxPulse)) // so that the connection is used again
	if resp.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the outside monitor answers %s", resp.Status)
	}
	return nil
}
