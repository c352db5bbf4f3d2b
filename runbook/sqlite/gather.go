package sqlite

import (
	"database/sql"
	"errors"
	"time"

	"watchkeeper/runbook"
)

// gather puts a into the event that is being gathered for its kind, name and
// cluster, or begins one. The first of its kind is due at once; what follows
// within QuietFor waits until it has been quiet for so long, at most
// GatherAtMost.
func (w putter) gather(kind runbook.EventKind, a runbook.Alert) (int64, error) {
	key := string(kind) + "\x00" + a.Name + "\x00" + a.Cluster
	g, err := scanDelivery(w.stmt(w.s.stmts.findGroup).QueryRowContext(w.ctx, key))
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return 0, err
	}
	found := err == nil
	if found && g.State == runbook.Queued && g.Pushes == 0 {
		return int64(g.ID), w.join(int64(g.ID), a)
	}
	due := w.now
	if found && w.now.Sub(g.lastAt) < runbook.QuietFor {
		due = w.now.Add(runbook.QuietFor)
	}
	firing := 0
	if a.Status == runbook.Firing {
		firing = 1
	}
	res, err := w.stmt(w.s.stmts.newDelivery).ExecContext(w.ctx, kind, key, a.Name, a.Service, a.Cluster, a.Namespace,
		a.Severity, a.Env, a.Status, firing, ms(w.now), ms(w.now), ms(due))
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// join adds a to delivery id. An event that is still being gathered waits a
// little longer.
func (w putter) join(id int64, a runbook.Alert) error {
	d, err := scanDelivery(w.tx.QueryRowContext(w.ctx, `SELECT `+deliveryColumns+` FROM deliveries WHERE id = ?`, id))
	if err != nil {
		return err
	}
	d.add(a)
	due := d.DueAt
	if gathering := due.After(d.CreatedAt); d.Pushes == 0 && gathering {
		due = earliest(w.now.Add(runbook.QuietFor), d.CreatedAt.Add(runbook.GatherAtMost))
	}
	firing := 0
	if a.Status == runbook.Firing {
		firing = 1
	}
	_, err = w.stmt(w.s.stmts.joinDelivery).ExecContext(w.ctx, d.Service, d.Cluster, d.Namespace, d.Severity, d.Env,
		d.Status, firing, ms(w.now), ms(due), id)
	return err
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
