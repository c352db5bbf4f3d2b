package sqlite

import (
	"database/sql"
	"errors"
	"time"

	"watchkeeper/runbook"
)

// A gathering holds the deliveries that a transaction has read and not yet
// written back: in a flood hundreds of alerts join the same one.
type gathering struct {
	byID    map[int64]*gathered
	byGroup map[string]*gathered
}

type gathered struct {
	deliveryRow
	alerts, firing int // joined and not yet written
}

func newGathering() *gathering {
	return &gathering{byID: map[int64]*gathered{}, byGroup: map[string]*gathered{}}
}

// flush writes back what has joined, and forgets what it knows: others may
// change it now.
func (w putter) flush() error {
	for id, g := range w.gathering.byID {
		if g.alerts == 0 {
			continue
		}
		_, err := w.stmt(w.s.stmts.joinDelivery).ExecContext(w.ctx, g.Service, g.Cluster, g.Namespace, g.Severity, g.Env,
			g.Status, g.alerts, g.firing, ms(g.lastAt), ms(g.DueAt), id)
		if err != nil {
			return err
		}
	}
	clear(w.gathering.byID)
	clear(w.gathering.byGroup)
	return nil
}

// delivery returns delivery id as it stands with what has joined it.
func (w putter) delivery(id int64) (*gathered, error) {
	if g, ok := w.gathering.byID[id]; ok {
		return g, nil
	}
	d, err := scanDelivery(w.tx.QueryRowContext(w.ctx, `SELECT `+deliveryColumns+` FROM deliveries WHERE id = ?`, id))
	if err != nil {
		return nil, err
	}
	g := &gathered{deliveryRow: d}
	w.gathering.byID[id] = g
	return g, nil
}

// group returns the newest delivery of a group, nil if there is none.
func (w putter) group(key string) (*gathered, error) {
	if g, ok := w.gathering.byGroup[key]; ok {
		return g, nil
	}
	d, err := scanDelivery(w.stmt(w.s.stmts.findGroup).QueryRowContext(w.ctx, key))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	g, ok := w.gathering.byID[int64(d.ID)]
	if !ok {
		g = &gathered{deliveryRow: d}
		w.gathering.byID[int64(d.ID)] = g
	}
	w.gathering.byGroup[key] = g
	return g, nil
}

// gather puts a into the event that is being gathered for its kind, name and
// cluster, or begins one. The first of its kind is due at once; what follows
// within QuietFor waits until it has been quiet for so long, at most
// GatherAtMost.
func (w putter) gather(kind runbook.EventKind, a runbook.Alert) (int64, error) {
	key := string(kind) + "\x00" + a.Name + "\x00" + a.Cluster
	g, err := w.group(key)
	if err != nil {
		return 0, err
	}
	if g != nil && g.State == runbook.Queued && g.Pushes == 0 {
		w.join(g, a)
		return int64(g.ID), nil
	}
	due := w.now
	if g != nil && w.now.Sub(g.lastAt) < runbook.QuietFor {
		due = w.now.Add(runbook.QuietFor)
	}
	delete(w.gathering.byGroup, key) // there is a newer one now
	res, err := w.stmt(w.s.stmts.newDelivery).ExecContext(w.ctx, kind, key, a.Name, a.Service, a.Cluster, a.Namespace,
		a.Severity, a.Env, a.Status, firing(a), ms(w.now), ms(w.now), ms(due))
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// join adds a to delivery g. An event that is still being gathered waits a
// little longer.
func (w putter) join(g *gathered, a runbook.Alert) {
	g.add(a)
	if gathering := g.DueAt.After(g.CreatedAt); g.Pushes == 0 && gathering {
		g.DueAt = earliest(w.now.Add(runbook.QuietFor), g.CreatedAt.Add(runbook.GatherAtMost))
	}
	g.lastAt = w.now
	g.alerts++
	g.firing += firing(a)
}

func firing(a runbook.Alert) int {
	if a.Status == runbook.Firing {
		return 1
	}
	return 0
}

// several stands where the alerts of an event disagree.
const several = "several"

// add folds a into what the delivery says of all its alerts: the worst
// severity, the strictest environment, the common names.
func (d *deliveryRow) add(a runbook.Alert) {
	if a.Severity.Rank() < d.Severity.Rank() {
		d.Severity = a.Severity
	}
	if a.Env.Strict() && !d.Env.Strict() || a.Env == runbook.Prod {
		d.Env = a.Env
	}
	if a.Status == runbook.Firing {
		d.Status = runbook.Firing
	}
	d.Service = common(d.Service, a.Service)
	d.Cluster = common(d.Cluster, a.Cluster)
	d.Namespace = common(d.Namespace, a.Namespace)
}

func common(a, b string) string {
	if a == b {
		return a
	}
	return several
}

func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
