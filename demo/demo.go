package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"watchkeeper/demo/cluster"
	"watchkeeper/responder"
	"watchkeeper/runbook"
)

// DefaultListen is where the intake listens, unless the port is taken or
// another one is asked for.
const DefaultListen = "127.0.0.1:8788"

// defaultWithin is how long the demo may take until every alert has its verdict.
const defaultWithin = 60 * time.Second

// Options are the settings of a demo. Out and Playbooks are required.
type Options struct {
	Out       io.Writer
	Playbooks runbook.Playbooks
	Listen    string        // "" is DefaultListen, or a free port if that is taken
	State     string        // state directory; "" is a temporary one, removed at the end
	Exit      bool          // end when every alert has its verdict
	Color     bool          // write colours
	Within    time.Duration // until every alert has its verdict; 0 is a minute
	Pause     time.Duration // between two alerts, for people who read along
	Log       *slog.Logger  // nil logs nothing
}

var (
	errDone = errors.New("done")
	// ErrUndecided means that not every alert had its verdict in time.
	ErrUndecided = errors.New("not every alert has its verdict")
)

// Run shows the demo until ctx is done, or with Exit until every alert has its
// verdict. It returns nil then, and [ErrUndecided] if that took too long or,
// with Exit, ctx was done before.
func Run(ctx context.Context, o Options) error {
	o.Within = cmp.Or(o.Within, defaultWithin)
	h, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer h.close()
	now := time.Now()
	if h.fresh {
		if err := remember(ctx, h.store, now); err != nil {
			return err
		}
	}
	p := newPrinter(o.Out, o.Color)
	p.intro(h)
	g, ctx := errgroup.WithContext(ctx)
	told := make(chan responder.Report, 1)
	g.Go(func() error { return h.run(ctx, cluster.New(now), func(r responder.Report) { hand(ctx, told, r) }) })
	g.Go(func() error { return h.tell(ctx, p, now, told) })
	switch err := g.Wait(); {
	case errors.Is(err, errDone):
		return nil
	case err != nil && !errors.Is(err, context.Canceled):
		return err
	case o.Exit:
		return fmt.Errorf("%w: interrupted", ErrUndecided)
	}
	p.end()
	return nil
}

// hand gives r to whoever prints.
func hand(ctx context.Context, told chan<- responder.Report, r responder.Report) {
	select {
	case told <- r:
	case <-ctx.Done():
	}
}

// tell plays all scenes, shows what came of them, and then whatever else
// comes.
func (h *house) tell(ctx context.Context, p *printer, now time.Time, told <-chan responder.Report) error {
	message, err := h.play(ctx, p, now, told)
	if err != nil {
		return err
	}
	briefing, err := h.store.Briefing(ctx, time.Now(), 7)
	if err != nil {
		return err
	}
	p.message(message)
	p.briefing(briefing.String())
	if h.o.Exit {
		return errDone
	}
	p.invite(h.url())
	for {
		select {
		case <-ctx.Done():
			return nil
		case r := <-told:
			p.scene("An alert from you")
			p.report(r)
		}
	}
}

// play sends one scene after the other and prints what becomes of it. It
// returns the first thing that a person is told.
func (h *house) play(ctx context.Context, p *printer, now time.Time, told <-chan responder.Report) (first *runbook.Escalation, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.o.Within)
	defer cancel()
	for _, s := range scenes() {
		p.scene(s.title)
		if err := s.send(ctx, h.url(), now); err != nil {
			return nil, h.undecided(ctx, err)
		}
		select {
		case <-ctx.Done():
			return nil, h.undecided(ctx, ctx.Err())
		case r := <-told:
			p.report(r)
			if first == nil {
				first = r.Escalation
			}
		}
		pause(ctx, h.o.Pause)
	}
	open, err := h.store.Open(ctx)
	if err == nil && len(open) > 0 {
		err = context.DeadlineExceeded
	}
	return first, h.undecided(ctx, err)
}

// undecided says which alerts lack a verdict, if err is that time is up.
func (h *house) undecided(ctx context.Context, err error) error {
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	open, err := h.store.Open(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUndecided, err)
	}
	names := make([]string, len(open))
	for i, d := range open {
		names[i] = fmt.Sprintf("%s %q", d.ID, d.Alert)
	}
	return fmt.Errorf("%w within %s; open: %s", ErrUndecided, h.o.Within, strings.Join(names, ", "))
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
