package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"syscall"

	"golang.org/x/sync/errgroup"

	"watchkeeper/channels"
	"watchkeeper/channels/webhook"
	"watchkeeper/config"
	"watchkeeper/demo/cluster"
	"watchkeeper/responder"
	"watchkeeper/runbook"
	"watchkeeper/runbook/sqlite"
	"watchkeeper/state"
	"watchkeeper/tools"
)

// A house is the running parts. Its fields are made by open and closed by
// close.
type house struct {
	o     Options
	log   *slog.Logger
	dir   state.Dir
	store *sqlite.Store
	fresh bool // the memory was empty
	close func()

	intake, samples net.Listener
	moved           bool // the default port was taken
}

// environments are the sample clusters.
func environments() map[string]runbook.Env {
	return map[string]runbook.Env{"platform-prod": runbook.Prod, "platform-dev": runbook.Dev}
}

// open opens the memory and the ports. The caller closes the house.
func open(ctx context.Context, o Options) (*house, error) {
	h := &house{o: o, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)), close: func() {}}
	err := h.remember(ctx)
	if err == nil {
		err = h.listen(ctx)
	}
	if err != nil {
		h.close()
		return nil, err
	}
	return h, nil
}

// marker is the file that tells the memory of a demo from a real one, into
// which nobody may invent a past.
const marker = "demo"

// remember opens the memory, in a folder of its own if none is given.
func (h *house) remember(ctx context.Context) error {
	path := h.o.State
	if path == "" {
		var err error
		if path, err = os.MkdirTemp("", "watchkeeper-demo-"); err != nil {
			return fmt.Errorf("make a state directory: %w", err)
		}
		h.onClose(func() { _ = os.RemoveAll(path) }) // nobody needs it, and nothing can be done
	}
	var err error
	if h.dir, err = state.Open(path); err != nil {
		return err
	}
	if h.fresh, err = isFresh(h.dir); err != nil {
		return err
	}
	lock, err := h.dir.TryLock(state.Pump)
	if err != nil {
		return fmt.Errorf("state directory %s: %w", h.dir, err)
	}
	h.onClose(func() { _ = lock.Release() }) // the kernel does it too
	if h.store, err = sqlite.Open(ctx, h.dir.Database()); err != nil {
		return err
	}
	h.onClose(func() { _ = h.store.Close() }) // commits are durable already
	return nil
}

// isFresh reports whether dir is new; one that holds anything but a demo is an
// error.
func isFresh(dir state.Dir) (bool, error) {
	_, noMarker := os.Stat(dir.Path(marker))
	_, noMemory := os.Stat(dir.Database())
	switch {
	case noMarker == nil:
		return errors.Is(noMemory, fs.ErrNotExist), nil
	case noMemory == nil:
		return false, fmt.Errorf("state directory %s holds a memory that is no demo's; leave --state out, or name a new folder", dir)
	}
	return true, os.WriteFile(dir.Path(marker), []byte("The memory beside this file was made up by watchkeeper demo.\n"), 0o600)
}

// onClose adds what close does, before what it did so far.
func (h *house) onClose(fn func()) {
	before := h.close
	h.close = func() { fn(); before() }
}

// listen opens the ports. Only the default one may be replaced: whoever names
// a port wants that one.
func (h *house) listen(ctx context.Context) error {
	addr := cmp.Or(h.o.Listen, DefaultListen)
	ln, err := webhook.Listen(ctx, addr)
	if h.o.Listen == "" && errors.Is(err, syscall.EADDRINUSE) {
		h.moved = true
		ln, err = webhook.Listen(ctx, "127.0.0.1:0")
	}
	if err != nil {
		return err
	}
	h.intake = ln
	h.onClose(func() { _ = ln.Close() }) // closed by its server, if that ever ran
	if h.samples, err = webhook.Listen(ctx, "127.0.0.1:0"); err != nil {
		return err
	}
	samples := h.samples
	h.onClose(func() { _ = samples.Close() })
	return nil
}

// url is where the intake listens, without a slash at its end.
func (h *house) url() string { return "http://" + h.intake.Addr().String() }

// run runs all parts until ctx is done; report is told of every event.
func (h *house) run(ctx context.Context, clusters http.Handler, report func(responder.Report)) error {
	watch, err := h.store.Watch(ctx)
	if err != nil {
		return err
	}
	defer watch.Close()
	triage := responder.New(responder.Config{
		Store: h.store, Looker: h.look(), Policy: policy(), Playbooks: h.o.Playbooks, Log: h.log, Report: report,
	})
	reader := channels.Reader{Past: h.store, Policy: policy(), Playbooks: h.o.Playbooks}
	pump := &channels.Pump{Channel: "webhook", Memory: h.store, Subject: reader.Subject, Sink: triage, Log: h.log}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return webhook.NewServer(h.samples, clusters, h.log).Run(ctx) })
	g.Go(func() error { return webhook.NewServer(h.intake, h.handler(), h.log).Run(ctx) })
	g.Go(func() error { return triage.Run(ctx) })
	g.Go(func() error { return pump.Run(ctx, watch) })
	return g.Wait()
}

func (h *house) handler() http.Handler {
	known := map[string]config.Cluster{}
	for name, env := range environments() {
		known[name] = config.Cluster{Env: env}
	}
	return webhook.New(webhook.Config{Store: h.store, Normalizer: webhook.NewNormalizer(config.Default().Webhook, known), Log: h.log})
}

func (h *house) look() responder.FirstLook {
	return responder.FirstLook{Tools: tools.NewFirstLook(tools.FirstLookConfig{Clusters: h.clusters()})}
}

func (h *house) clusters() *tools.Clusters {
	var all []tools.ClusterConfig
	for name, env := range environments() {
		all = append(all, tools.ClusterConfig{Name: name, Env: env, Config: cluster.RESTConfig("http://"+h.samples.Addr().String(), name)})
	}
	return tools.NewClusters(all...)
}
