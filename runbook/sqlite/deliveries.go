package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"watchkeeper/runbook"
)

const deliveryColumns = `id, kind, channel, state, alert, service, cluster, namespace, severity, env, status, alerts,
	pushes, reminders, session_id, created_at, last_at, due_at, pushed_at, claimed_at, paged_at,
	user, thread, text, escalation, merged_into`

// A deliveryRow is a delivery with what only the memory needs.
type deliveryRow struct {
	runbook.Delivery
	lastAt     time.Time
	mergedInto int64
}

// A row is what Scan needs of *sql.Row and *sql.Rows.
type row interface{ Scan(dest ...any) error }

func scanDelivery(r row) (deliveryRow, error) {
	var d deliveryRow
	var created, last, due, pushed, claimed, paged int64
	err := r.Scan(&d.ID, &d.Kind, &d.Channel, &d.State, &d.Alert, &d.Service, &d.Cluster, &d.Namespace, &d.Severity,
		&d.Env, &d.Status, &d.Alerts, &d.Pushes, &d.Reminders, &d.Session, &created, &last, &due, &pushed, &claimed,
		&paged, &d.User, &d.Thread, &d.Text, &d.Escalation, &d.mergedInto)
	d.CreatedAt, d.lastAt, d.DueAt = at(created), at(last), at(due)
	d.PushedAt, d.ClaimedAt, d.PagedAt = at(pushed), at(claimed), at(paged)
	return d, err
}

// Delivery returns delivery id, or the digest that it was merged into.
func (s *Store) Delivery(ctx context.Context, id runbook.DeliveryID) (runbook.Delivery, error) {
	d, err := findDelivery(ctx, s.read, id)
	if err != nil {
		return runbook.Delivery{}, fmt.Errorf("delivery %s: %w", id, domainErr(err))
	}
	return d.Delivery, nil
}

// A querier is what *sql.DB and *sql.Tx have in common for reading.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func findDelivery(ctx context.Context, q querier, id runbook.DeliveryID) (deliveryRow, error) {
	for {
		d, err := scanDelivery(q.QueryRowContext(ctx, `SELECT `+deliveryColumns+` FROM deliveries WHERE id = ?`, id))
		if err != nil || d.State != runbook.Merged {
			return d, err
		}
		id = runbook.DeliveryID(d.mergedInto)
	}
}

// Due returns what is owed to the session and may be pushed at now: the worst
// first, then the oldest; at most limit.
func (s *Store) Due(ctx context.Context, channel string, now time.Time, limit int) ([]runbook.Delivery, error) {
	return collect(ctx, s.read, func(r *sql.Rows) (runbook.Delivery, error) {
		d, err := scanDelivery(r)
		return d.Delivery, err
	}, `SELECT `+deliveryColumns+` FROM deliveries
		WHERE state = 'queued' AND due_at <= ? AND channel = ?
		ORDER BY CASE severity WHEN 'critical' THEN 0 WHEN 'info' THEN 2 ELSE 1 END, id LIMIT ?`, ms(now), channel, limit)
}

// Open returns every delivery that is not done, oldest first.
func (s *Store) Open(ctx context.Context) ([]runbook.Delivery, error) {
	return collect(ctx, s.read, func(r *sql.Rows) (runbook.Delivery, error) {
		d, err := scanDelivery(r)
		return d.Delivery, err
	}, `SELECT `+deliveryColumns+` FROM deliveries WHERE state IN ('queued', 'pushed', 'claimed') ORDER BY id`)
}

// Pending counts the events that nobody has claimed: owed now, or pushed and
// not paged yet.
func (s *Store) Pending(ctx context.Context, channel string, now time.Time) (int, error) {
	var n int
	err := s.read.QueryRowContext(ctx, `
		SELECT count(*) FROM deliveries
		WHERE channel = ? AND kind <> 'resolved' AND (state = 'queued' AND due_at <= ? OR state = 'pushed' AND paged_at = 0)`,
		channel, ms(now)).Scan(&n)
	return n, err
}

// NextDue returns when the next deadline of channel falls: a push that is
// owed, a claim or a verdict that is missing and asked for once more. The zero
// time means none.
func (s *Store) NextDue(ctx context.Context, channel string) (time.Time, error) {
	var next int64
	err := s.read.QueryRowContext(ctx, `
		SELECT coalesce(min(CASE state WHEN 'queued' THEN due_at WHEN 'pushed' THEN pushed_at + ?1 ELSE claimed_at + ?2 END), 0)
		FROM deliveries WHERE channel = ?5 AND (state = 'queued'
		  OR state = 'pushed' AND paged_at = 0 AND pushes < ?3 OR state = 'claimed' AND paged_at = 0 AND reminders < ?4)`,
		runbook.ClaimWithin.Milliseconds(), runbook.DecideWithin.Milliseconds(), runbook.MaxPushes, runbook.MaxReminders,
		channel).Scan(&next)
	return at(next), err
}

// MarkPushed records that delivery id was handed to session at now. An event
// that needs no verdict is done with that.
func (s *Store) MarkPushed(ctx context.Context, id runbook.DeliveryID, session int64, now time.Time) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		d, err := findDelivery(ctx, tx, id)
		if err != nil {
			return err
		}
		next := runbook.Pushed
		switch {
		case !d.Kind.NeedsVerdict():
			next = runbook.Done
		case !d.ClaimedAt.IsZero() && d.Session == session:
			next = runbook.Claimed // a reminder: its claim is still good
		}
		_, err = tx.ExecContext(ctx, `
			UPDATE deliveries SET state = ?, pushes = pushes + 1, session_id = ?, pushed_at = ?,
			  claimed_at = CASE WHEN ? = 'claimed' THEN ? ELSE 0 END,
			  done_at = CASE WHEN ? = 'done' THEN ? ELSE 0 END
			WHERE id = ? AND state = 'queued'`, next, session, ms(now), next, ms(now), next, ms(now), d.ID)
		return err
	})
}

// Claim records that somebody works on delivery id: a tool call named it. It
// returns the delivery as it stands; claiming again changes nothing.
func (s *Store) Claim(ctx context.Context, id runbook.DeliveryID, now time.Time) (runbook.Delivery, error) {
	var d deliveryRow
	err := s.inTx(ctx, func(tx *sql.Tx) (err error) {
		if d, err = findDelivery(ctx, tx, id); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			UPDATE deliveries SET state = 'claimed', claimed_at = ? WHERE id = ? AND state IN ('queued', 'pushed')`,
			ms(now), d.ID)
		return err
	})
	if err != nil {
		return runbook.Delivery{}, fmt.Errorf("claim %s: %w", id, err)
	}
	return d.Delivery, nil
}

// Requeue owes everything that is open and was pushed to another session to
// session, from now on: that one died with whatever it was doing. What it had
// not claimed keeps its count, so that one deaf session after another still
// ends with a page. What a person asked lately and nobody answered is owed too.
func (s *Store) Requeue(ctx context.Context, channel string, session int64, now time.Time) error {
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE deliveries SET state = 'queued', due_at = ?, pushes = CASE claimed_at WHEN 0 THEN pushes ELSE 0 END, claimed_at = 0
			WHERE state IN ('pushed', 'claimed') AND session_id <> ? AND channel = ?`, ms(now), session, channel)
		if err != nil || channel != "slack" {
			return err
		}
		return requeueUnanswered(ctx, tx, session, now)
	})
}

// Expire queues again what was pushed and not claimed within ClaimWithin, and
// what was claimed and not decided within DecideWithin, as a reminder. What has
// had its share of both is left for [Store.Overdue].
func (s *Store) Expire(ctx context.Context, channel string, now time.Time) error {
	// Asked first, for exactly what would change: the pump looks often, and a
	// commit that changes nothing would wake it again.
	var late bool
	err := s.read.QueryRowContext(ctx, `
		SELECT EXISTS (SELECT 1 FROM deliveries WHERE paged_at = 0 AND channel = ?5 AND
		  (state = 'pushed' AND pushed_at <= ?1 AND pushes < ?2 OR state = 'claimed' AND claimed_at <= ?3 AND reminders < ?4))`,
		ms(now.Add(-runbook.ClaimWithin)), runbook.MaxPushes, ms(now.Add(-runbook.DecideWithin)), runbook.MaxReminders,
		channel).Scan(&late)
	if err != nil || !late {
		return explain(err)
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `
			UPDATE deliveries SET state = 'queued', due_at = ?
			WHERE state = 'pushed' AND pushed_at <= ? AND pushes < ? AND paged_at = 0 AND channel = ?`,
			ms(now), ms(now.Add(-runbook.ClaimWithin)), runbook.MaxPushes, channel)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			UPDATE deliveries SET state = 'queued', due_at = ?, reminders = reminders + 1
			WHERE state = 'claimed' AND claimed_at <= ? AND reminders < ? AND paged_at = 0 AND channel = ?`,
			ms(now), ms(now.Add(-runbook.DecideWithin)), runbook.MaxReminders, channel)
		return err
	})
}

// Overdue returns what a human must be paged for, oldest first: pushed often
// enough and never claimed, reminded of and never decided, or left lying while
// there was no session to push it to again. Whatever happened to it, a verdict
// is missed after DecideAtLast.
func (s *Store) Overdue(ctx context.Context, now time.Time) ([]runbook.Delivery, error) {
	before := func(d time.Duration) int64 { return ms(now.Add(-d)) }
	return collect(ctx, s.read, func(r *sql.Rows) (runbook.Delivery, error) {
		d, err := scanDelivery(r)
		return d.Delivery, err
	}, `SELECT `+deliveryColumns+` FROM deliveries
		WHERE state IN ('queued', 'pushed', 'claimed') AND paged_at = 0 AND kind NOT IN ('resolved', 'canary') AND
		(state = 'pushed' AND (pushes >= ?1 AND pushed_at <= ?2 OR pushes > ?1 AND pushed_at <= ?8 OR pushed_at <= ?3)
		 OR state = 'claimed' AND (reminders >= ?4 AND claimed_at <= ?5 OR claimed_at <= ?6)
		 OR state = 'queued' AND due_at <= ?3
		 OR created_at <= ?7) ORDER BY id LIMIT 100`,
		runbook.MaxPushes, before(runbook.ClaimWithin), before(runbook.ClaimWithin*runbook.MaxPushes),
		runbook.MaxReminders, before(runbook.DecideWithin), before(runbook.DecideWithin*(runbook.MaxReminders+1)),
		before(runbook.DecideAtLast), before(runbook.ClaimAtLast))
}

// collect runs a query and scans every row.
func collect[T any](ctx context.Context, q querier, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, explain(err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, explain(rows.Err())
}
