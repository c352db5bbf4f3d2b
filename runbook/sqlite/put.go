package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"watchkeeper/runbook"
)

// statements are prepared once: the intake runs them thousands of times a
// second.
type statements struct {
	find, latest, insert, repeat, resolve, flap *sql.Stmt
	findGroup, newDelivery, joinDelivery        *sql.Stmt
}

func (s *Store) prepare(ctx context.Context) error {
	for text, stmt := range map[string]**sql.Stmt{
		`SELECT id, status, delivery_id FROM occurrences
		 WHERE source = ? AND fingerprint = ? AND starts_at = ?`: &s.stmts.find,
		`SELECT o.id, o.status, o.delivery_id, o.starts_at, d.state, d.kind
		 FROM occurrences o JOIN deliveries d ON d.id = o.delivery_id
		 WHERE o.source = ? AND o.fingerprint = ? ORDER BY o.starts_at DESC LIMIT 1`: &s.stmts.latest,
		`INSERT INTO occurrences (source, fingerprint, starts_at, ends_at, status, alert, service, family, cluster,
		   namespace, env, severity, severity_raw, no_data, test, unrecognised, received_at, delivery_id, detail)
		 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`: &s.stmts.insert,
		`UPDATE occurrences SET count = count + 1 WHERE id = ?`:                                       &s.stmts.repeat,
		`UPDATE occurrences SET status = 'resolved', ends_at = ? WHERE id = ?`:                        &s.stmts.resolve,
		`UPDATE occurrences SET flaps = flaps + 1 WHERE id = ?`:                                       &s.stmts.flap,
		`SELECT ` + deliveryColumns + ` FROM deliveries WHERE group_key = ? ORDER BY id DESC LIMIT 1`: &s.stmts.findGroup,
		`INSERT INTO deliveries (kind, channel, state, group_key, alert, service, cluster, namespace, severity,
		   env, status, alerts, firing, created_at, last_at, due_at, done_at)
		 VALUES (?, 'webhook', 'queued', ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, 0)`: &s.stmts.newDelivery,
		`UPDATE deliveries SET service = ?, cluster = ?, namespace = ?, severity = ?, env = ?, status = ?,
		   alerts = alerts + ?, firing = firing + ?, last_at = ?, due_at = ? WHERE id = ?`: &s.stmts.joinDelivery,
	} {
		var err error
		if *stmt, err = s.write.PrepareContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// A putter stores the alerts of one batch.
type putter struct {
	s         *Store
	ctx       context.Context //nolint:containedctx // lives for one call; it saves a parameter in every step
	tx        *sql.Tx
	now       time.Time
	gathering *gathering
}

func (s *Store) putBatch(ctx context.Context, tx *sql.Tx, p *put, g *gathering) error {
	p.receipt = runbook.Receipt{}
	w := putter{s: s, ctx: ctx, tx: tx, now: p.batch.ReceivedAt, gathering: g}
	if err := w.heard(SenderSign+p.batch.Source, ""); err != nil {
		return err
	}
	for i := range p.batch.Alerts {
		a := p.batch.Alerts[i]
		fresh, err := w.alert(a)
		if err != nil {
			return fmt.Errorf("store alert %q: %w", a.Name, err)
		}
		if fresh {
			p.receipt.Accepted++
		} else {
			p.receipt.Duplicates++
		}
	}
	return nil
}

func (w putter) stmt(s *sql.Stmt) *sql.Stmt { return w.tx.StmtContext(w.ctx, s) }

// A known is an occurrence that the memory has.
type known struct {
	id       int64
	status   runbook.Status
	delivery int64
	startsAt int64
	state    runbook.DeliveryState
	kind     runbook.EventKind
}

// alert stores a and reports whether it was news.
func (w putter) alert(a runbook.Alert) (fresh bool, err error) {
	if a.Heartbeat {
		if a.Status == runbook.Resolved { // the end of a heartbeat is its silence
			return false, nil
		}
		return true, w.heard(HeartbeatSign+a.Cluster, a.Name)
	}
	if ours, fresh, err := w.canary(a); ours || err != nil {
		return fresh, err
	}
	last, err := w.latest(a)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	if ns(a.StartsAt) == 0 { // the sender gave no start: the running occurrence, or a new one from now
		a.StartsAt = w.now
		if last.status == runbook.Firing {
			a.StartsAt = time.Unix(0, last.startsAt)
		}
	}
	k, err := w.find(a, last)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return true, w.insert(a, last)
	case err != nil:
		return false, err
	case a.Status == runbook.Resolved && k.status == runbook.Firing:
		return true, w.resolve(k, a)
	}
	// A repetition, or a firing that arrives after its own end: a resolve never
	// reopens.
	_, err = w.stmt(w.s.stmts.repeat).ExecContext(w.ctx, k.id)
	return false, err
}

func (w putter) latest(a runbook.Alert) (known, error) {
	var k known
	err := w.stmt(w.s.stmts.latest).QueryRowContext(w.ctx, a.Source, a.Fingerprint).
		Scan(&k.id, &k.status, &k.delivery, &k.startsAt, &k.state, &k.kind)
	return k, err
}

func (w putter) find(a runbook.Alert, last known) (known, error) {
	if last.id == 0 {
		return known{}, sql.ErrNoRows
	}
	if last.startsAt == ns(a.StartsAt) {
		return last, nil
	}
	var k known
	err := w.stmt(w.s.stmts.find).QueryRowContext(w.ctx, a.Source, a.Fingerprint, ns(a.StartsAt)).
		Scan(&k.id, &k.status, &k.delivery)
	return k, err
}

// insert stores a new occurrence. A newer start of the same label set ends the
// one before, whose resolve was missed; while the delivery of that one is
// open, the new one is a flap of it and is not pushed again.
func (w putter) insert(a runbook.Alert, last known) error {
	if last.id != 0 && last.status == runbook.Firing && last.startsAt < ns(a.StartsAt) {
		if err := w.flush(); err != nil {
			return err
		}
		if err := w.end(last, a.StartsAt); err != nil {
			return err
		}
	}
	delivery, err := w.deliver(a, last)
	if err != nil {
		return err
	}
	detail, err := json.Marshal(detail{a.Labels, a.Annotations, a.GeneratorURL, a.Body})
	if err != nil {
		return err
	}
	_, err = w.stmt(w.s.stmts.insert).ExecContext(w.ctx, a.Source, a.Fingerprint, ns(a.StartsAt), ns(a.EndsAt),
		a.Status, a.Name, a.Service, runbook.Family(a.Service), a.Cluster, a.Namespace, a.Env, a.Severity,
		a.SeverityRaw, a.NoData, a.Test, a.Unrecognised, ms(w.now), delivery, string(detail))
	return err
}

// detail is what only people and the renderer read.
type detail struct {
	Labels       map[string]string `json:"labels,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	GeneratorURL string            `json:"generator_url,omitempty"`
	Body         string            `json:"body,omitempty"`
}

// deliver returns the delivery that a belongs to.
func (w putter) deliver(a runbook.Alert, last known) (int64, error) {
	open := last.id != 0 && (last.state == runbook.Queued || last.state == runbook.Pushed || last.state == runbook.Claimed)
	if open && last.kind.NeedsVerdict() {
		if _, err := w.stmt(w.s.stmts.flap).ExecContext(w.ctx, last.id); err != nil {
			return 0, err
		}
		d, err := w.delivery(last.delivery)
		if err != nil {
			return 0, err
		}
		w.join(d, a)
		return last.delivery, nil
	}
	kind := runbook.EventAlert
	switch {
	case a.Unrecognised:
		kind = runbook.EventUnrecognised
	case a.Status == runbook.Resolved:
		kind = runbook.EventResolved
	}
	return w.gather(kind, a)
}

// resolve ends k. The session hears of it where it matters: while the delivery
// is open, or after somebody was told that it is real.
func (w putter) resolve(k known, a runbook.Alert) error {
	if err := w.flush(); err != nil { // what follows looks at deliveries
		return err
	}
	ended := a.EndsAt
	if ns(ended) == 0 {
		ended = w.now
	}
	if err := w.end(k, ended); err != nil {
		return err
	}
	var tell bool
	err := w.tx.QueryRowContext(w.ctx, `
		SELECT d.state IN ('pushed', 'claimed') OR o.verdict = 'real' OR o.escalated
		FROM occurrences o JOIN deliveries d ON d.id = o.delivery_id WHERE o.id = ?`, k.id).Scan(&tell)
	if err != nil || !tell {
		return err
	}
	_, err = w.gather(runbook.EventResolved, a)
	return err
}

// end marks an occurrence as over, and its delivery when nothing else of it
// fires.
func (w putter) end(k known, when time.Time) error {
	if _, err := w.stmt(w.s.stmts.resolve).ExecContext(w.ctx, ns(when), k.id); err != nil {
		return err
	}
	if _, err := w.tx.ExecContext(w.ctx, `
		UPDATE deliveries SET firing = max(firing - 1, 0),
		  status = CASE WHEN firing <= 1 THEN 'resolved' ELSE status END WHERE id = ?`, k.delivery); err != nil {
		return err
	}
	_, err := w.tx.ExecContext(w.ctx, `
		UPDATE incidents SET ended_at = ? WHERE delivery_id = ?
		  AND (SELECT firing FROM deliveries WHERE id = ?) = 0`, ms(when), k.delivery, k.delivery)
	return err
}
