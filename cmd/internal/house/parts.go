package house

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mark3labs/mcp-go/server"
	"golang.org/x/sync/errgroup"

	"watchkeeper/channels"
	"watchkeeper/channels/webhook"
	"watchkeeper/runbook"
	"watchkeeper/state"
	"watchkeeper/trace"
)

// Intake receives webhooks while this process holds the lock, until ctx is
// done.
func (h *House) Intake(ctx context.Context) error {
	return h.Dir.Host(ctx, state.Intake, h.Log, func(ctx context.Context) error {
		if err := h.Config.CheckListen(); err != nil {
			return err
		}
		ln, err := webhook.Listen(ctx, h.Config.Listen)
		if err != nil {
			return err
		}
		h.Log.InfoContext(ctx, "listening", "addr", ln.Addr().String())
		return webhook.NewServer(ln, h.handler(), h.Log).Run(ctx)
	})
}

func (h *House) handler() *webhook.Handler {
	c := h.Config
	return webhook.New(webhook.Config{
		Store: h.Store, Normalizer: webhook.NewNormalizer(c.Webhook, c.Clusters), Log: h.Log,
		Token: c.Secrets.WebhookToken, HMAC: c.Secrets.WebhookHMAC,
		HMACHeader: c.Webhook.HMACHeader, HMACTimestamp: c.Webhook.HMACTimestamp,
		Ready: h, Gauges: h.gauges(), Received: h.received(),
	})
}

// Recorder keeps the steps of program for tracing. It is nil, and costs nothing,
// without a receiver of traces.
func (h *House) Recorder(program string) *trace.Recorder {
	if h.Config.Telemetry.OTLPEndpoint == "" {
		return nil
	}
	return trace.New(h.Store, program, h.Log)
}

func (h *House) received() func(context.Context, runbook.Batch, time.Time, time.Time, time.Time) {
	if r := h.Recorder("intake"); r != nil {
		return r.Received
	}
	return nil
}

// Ping implements [webhook.Pinger].
func (h *House) Ping(ctx context.Context) error { return h.Store.Check(ctx) }

// Pump pushes the events of channel into sink, while this process holds the
// lock of part.
func (h *House) Pump(ctx context.Context, part state.Part, channel string, sink channels.Sink) error {
	return h.Dir.Host(ctx, part, h.Log, func(ctx context.Context) error { return h.pump(ctx, channel, sink) })
}

// PumpWhile is like [House.Pump], as long as allowed says so.
func (h *House) PumpWhile(ctx context.Context, allowed func() bool, part state.Part, channel string, sink channels.Sink) error {
	return h.Dir.HostWhile(ctx, part, h.Log, allowed, func(ctx context.Context) error { return h.pump(ctx, channel, sink) })
}

func (h *House) pump(ctx context.Context, channel string, sink channels.Sink) error {
	watch, err := h.Store.Watch(ctx)
	if err != nil {
		return fmt.Errorf("watch the memory: %w", err)
	}
	defer watch.Close()
	reader := channels.Reader{Past: h.Store, Policy: h.Config.Policy.Rules(), Playbooks: h.Playbooks}
	pump := &channels.Pump{Channel: channel, Memory: h.Store, Subject: reader.Subject, Sink: sink, Log: h.Log}
	return pump.Run(ctx, watch)
}

// errDone ends a group whose main part has ended in order.
var errDone = errors.New("done")

// Together runs fns until one of them fails, or until main ends: then the
// others are told to. It returns the first failure.
func Together(ctx context.Context, main func(context.Context) error, fns ...func(context.Context) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		if err := main(ctx); err != nil {
			return err
		}
		return errDone
	})
	for _, fn := range fns {
		g.Go(func() error { return fn(ctx) })
	}
	if err := g.Wait(); !errors.Is(err, errDone) {
		return err
	}
	return nil
}

// ListenerVariable carries the token of a session in channels mode to its
// servers, see [state.Dir.MayPush].
const ListenerVariable = "WATCHKEEPER_LISTENER"

// PushTo pushes the events of channel as notifications of server, while this
// process may, and holds the lock of part. Only then does the session get a
// number: Claude Code starts copies of a server that nobody listens to.
func (h *House) PushTo(ctx context.Context, s *server.MCPServer, part state.Part, channel string) error {
	token := os.Getenv(ListenerVariable)
	sink := channels.NewNotifier(s, func(ctx context.Context) (int64, error) { return h.number(ctx, part) }, h.Log)
	allowed := func() bool { return h.Dir.MayPush(token) }
	return h.Dir.HostWhile(ctx, part, h.Log, allowed, func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return sink.Run(ctx) })
		g.Go(func() error { return h.pump(ctx, channel, sink) })
		return g.Wait()
	})
}

// number is that of the session that this server belongs to: the one that the
// keeper has recorded, else a new one. A server of alerts that somebody started
// by hand cannot know what the one before it has handed over, so all that is not
// claimed comes again; what people said does not, while the CLI is the same.
func (h *House) number(ctx context.Context, part state.Part) (int64, error) {
	last, err := h.Store.LastSession(ctx)
	if err != nil && !errors.Is(err, runbook.ErrNotFound) {
		return 0, err
	}
	_, kept := h.Dir.Holder(state.Session)
	same := kept || part == state.Talk && last.PID == os.Getppid()
	if same && last.Mode == "channels" && last.EndedAt.IsZero() {
		return last.ID, nil
	}
	return h.Store.StartSession(ctx, "channels", os.Getppid())
}
