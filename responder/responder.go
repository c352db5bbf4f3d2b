package responder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"watchkeeper/channels"
	"watchkeeper/runbook"
)

const (
	// workers is how many events are triaged at once.
	workers = 4
	// lookWithin bounds the first look. A cluster that does not answer is
	// itself a finding, and a person should not wait for it.
	lookWithin = 15 * time.Second
	// The memory is tried again after retryFirst, then ever more slowly.
	retryFirst = 250 * time.Millisecond
	retryMost  = 15 * time.Second
)

// A Store is what the responder needs of the memory.
type Store interface {
	StartSession(ctx context.Context, mode string, pid int) (int64, error)
	EndSession(ctx context.Context, id int64, reason string) error
	Claim(ctx context.Context, id runbook.DeliveryID, now time.Time) (runbook.Delivery, error)
	Delivery(ctx context.Context, id runbook.DeliveryID) (runbook.Delivery, error)
	Alerts(ctx context.Context, id runbook.DeliveryID, limit int) ([]runbook.Occurrence, error)
	Groups(ctx context.Context, id runbook.DeliveryID, limit int) ([]runbook.AlertGroup, error)
	History(ctx context.Context, alert, service, cluster string, now time.Time, except runbook.DeliveryID) (runbook.History, error)
	Escalations(ctx context.Context, states ...runbook.EscalationState) ([]runbook.Escalation, error)
	Escalate(ctx context.Context, e runbook.Escalation, text string) (runbook.Escalation, bool, error)
	AddFinding(ctx context.Context, id int64, finding string) error
	LogVerdict(ctx context.Context, in runbook.Incident, revise bool) (runbook.Incident, error)
}

// A Config is what a [Responder] works with. Store and Log are required.
type Config struct {
	Store     Store
	Looker    Looker // nil: nothing can be looked at
	Policy    runbook.Policy
	Playbooks runbook.Playbooks
	Log       *slog.Logger

	// Report is told what became of each event, once the memory has it. It is
	// called by several goroutines at once; nil tells nobody.
	Report func(Report)
}

// A Responder triages events. It is a [channels.Sink] that listens while Run
// runs.
type Responder struct {
	Config
	reader  channels.Reader
	session atomic.Int64
	queue   queue
	flood   sync.Mutex // one escalation after the other, so that a flood is seen as one
}

// New returns a Responder. It does nothing until Run is called.
func New(c Config) *Responder {
	return &Responder{
		Config: c,
		reader: channels.Reader{Past: c.Store, Policy: c.Policy, Playbooks: c.Playbooks},
		queue:  newQueue(),
	}
}

// Session implements [channels.Sink].
func (r *Responder) Session() int64 { return r.session.Load() }

// Push implements [channels.Sink]. It returns at once. An event that is being
// worked on is not taken twice: what is under way answers it.
func (r *Responder) Push(_ context.Context, e channels.Event) error {
	if r.Session() == 0 {
		return channels.ErrNoSession
	}
	r.queue.put(e.Delivery)
	return nil
}

// Run triages what is pushed until ctx is done, and returns nil then. It
// retries failures instead of returning them.
func (r *Responder) Run(ctx context.Context) error {
	id, err := r.start(ctx)
	if err != nil {
		return nil //nolint:nilerr // the only failure that is not retried is the end of ctx
	}
	r.session.Store(id)
	var g errgroup.Group
	for range workers {
		g.Go(func() error {
			for d := range r.queue.all(ctx) {
				r.work(ctx, d)
			}
			return nil
		})
	}
	_ = g.Wait() // no worker returns an error
	r.session.Store(0)
	r.queue.clear()
	return r.end(ctx, id)
}

// start gives the responder the number of a session, so that the pump owes it
// what the one before left undone.
func (r *Responder) start(ctx context.Context) (id int64, err error) {
	r.retry(ctx, "session not recorded", func() error {
		id, err = r.Store.StartSession(ctx, "responder", os.Getpid())
		return err
	})
	return id, err
}

// end records that nobody listens any more. Nothing depends on it.
func (r *Responder) end(ctx context.Context, id int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if err := r.Store.EndSession(ctx, id, "stopped"); err != nil {
		r.Log.WarnContext(ctx, "end of session not recorded", "err", err)
	}
	return nil
}

// work triages d until that worked or ctx is done.
func (r *Responder) work(ctx context.Context, d runbook.Delivery) {
	defer r.queue.done(d.ID)
	r.retry(ctx, "triage failed", func() error {
		report, err := r.triage(ctx, d)
		switch {
		case errors.Is(err, runbook.ErrNotFound):
			r.Log.ErrorContext(ctx, "event is gone", "delivery", d.ID.String(), "err", err)
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", d.ID, err)
		case report != nil && r.Report != nil:
			r.Report(*report)
		}
		return nil
	})
}

// retry calls fn until it returns nil or ctx is done.
func (r *Responder) retry(ctx context.Context, failed string, fn func() error) {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		err := fn()
		if err == nil || ctx.Err() != nil {
			return
		}
		r.Log.ErrorContext(ctx, failed, "err", err, "retry_after", wait) //nolint:sloglint // one of two constants
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
