package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"watchkeeper/runbook"
)

// A group lets concurrent Puts share a commit, so that syncing to the disk does
// not cost throughput: whoever gets the turn writes everything that has
// gathered meanwhile, in one transaction, and the others only wait for it.
// There is no goroutine of its own to outlive anybody.
type group struct {
	turn chan struct{} // holds one token while a leader writes
	mu   sync.Mutex
	wait []*put
}

type put struct {
	batch   runbook.Batch
	receipt runbook.Receipt
	done    chan error // buffered
}

func newGroup() group { return group{turn: make(chan struct{}, 1)} }

// Put stores b. It returns when that is durable, or with an error when nothing
// of b was stored. ctx does not interrupt a write that has begun.
func (s *Store) Put(ctx context.Context, b runbook.Batch) (runbook.Receipt, error) {
	p := &put{batch: b, done: make(chan error, 1)}
	s.puts.add(p)
	select {
	case err := <-p.done:
		return p.receipt, err
	case s.puts.turn <- struct{}{}:
	}
	s.putAll(context.WithoutCancel(ctx), s.puts.take())
	<-s.puts.turn
	return p.receipt, <-p.done // taken now, or by the leader before
}

func (g *group) add(p *put) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wait = append(g.wait, p)
}

func (g *group) take() []*put {
	g.mu.Lock()
	defer g.mu.Unlock()
	puts := g.wait
	g.wait = nil
	return puts
}

// putAll stores puts in one transaction. When that fails, each is tried alone,
// so that one bad batch does not take the others with it.
func (s *Store) putAll(ctx context.Context, puts []*put) {
	if len(puts) == 0 {
		return
	}
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		g := newGathering()
		for _, p := range puts {
			if err := s.putBatch(ctx, tx, p, g); err != nil {
				return err
			}
		}
		return putter{s: s, ctx: ctx, tx: tx, gathering: g}.flush()
	})
	if err != nil && len(puts) > 1 {
		for _, p := range puts {
			s.putAll(ctx, []*put{p})
		}
		return
	}
	for _, p := range puts {
		if err != nil {
			p.receipt = runbook.Receipt{}
		}
		p.done <- err
	}
}
