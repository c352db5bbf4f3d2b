package responder

import (
	"context"
	"iter"
	"sync"

	"watchkeeper/runbook"
)

// A queue holds the events that wait for a worker, and knows those that are
// being worked on. It is as short as the pump keeps it: above
// [runbook.StormAbove] unclaimed events the pump makes one of them.
type queue struct {
	mu    sync.Mutex
	wait  []runbook.Delivery
	known map[runbook.DeliveryID]bool // waiting or being worked on
	more  chan struct{}               // holds a token while something may wait
}

func newQueue() queue {
	return queue{known: map[runbook.DeliveryID]bool{}, more: make(chan struct{}, 1)}
}

// put adds d, unless it is known.
func (q *queue) put(d runbook.Delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.known[d.ID] {
		return
	}
	q.known[d.ID] = true
	q.wait = append(q.wait, d)
	q.signal()
}

// all yields what is taken off the queue, oldest first, until ctx is done.
func (q *queue) all(ctx context.Context) iter.Seq[runbook.Delivery] {
	return func(yield func(runbook.Delivery) bool) {
		for {
			select {
			case <-ctx.Done():
				return
			case <-q.more:
			}
			if d, ok := q.take(); ok && !yield(d) {
				return
			}
		}
	}
}

func (q *queue) take() (runbook.Delivery, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.wait) == 0 {
		return runbook.Delivery{}, false
	}
	d := q.wait[0]
	q.wait = q.wait[1:]
	if len(q.wait) > 0 {
		q.signal() // one token wakes one worker, who wakes the next
	}
	return d, true
}

func (q *queue) signal() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// done forgets id, which was taken.
func (q *queue) done(id runbook.DeliveryID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.known, id)
}

// clear forgets everything: the pump owes it to the next one.
func (q *queue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wait = nil
	clear(q.known)
}
