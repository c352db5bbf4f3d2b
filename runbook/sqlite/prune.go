package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
)

// A Retention says what is old enough to be forgotten.
//
// Raw is what senders and people wrote, word for word: labels, annotations and
// bodies of alerts, and messages. Everything else lives as long as its
// incident: who fired when, the verdict, what was done. So an alert that was
// real in spring is still known to be in winter, for a few hundred bytes.
type Retention struct {
	Raw       time.Time // raw text from before is forgotten
	Incidents time.Time // incidents from before, and all that belongs to them
}

// A Pruned says how much of one kind was forgotten.
type Pruned struct {
	What string
	Rows int
}

// How Prune keeps out of the way of the intake: a transaction takes some
// milliseconds, and between two of them everybody else has the memory.
const (
	pruneBatch = 200
	prunePause = 20 * time.Millisecond
)

// Prune forgets what r says, and never what is open: an event without its
// verdict, an alert that fires, an escalation that is not resolved, a message
// that is not sent, and whatever these refer to. It works in many small
// transactions, newest last, and may be interrupted at any time; the next one
// goes on. The file keeps its size, and what was freed is used again.
func (s *Store) Prune(ctx context.Context, r Retention) ([]Pruned, error) {
	var done []Pruned
	for _, w := range sweeps() {
		before := r.Incidents
		if w.raw {
			before = r.Raw
		}
		n, err := s.sweep(ctx, w, ms(before))
		if n > 0 {
			done = append(done, Pruned{w.what, n})
		}
		if err != nil {
			return done, fmt.Errorf("prune %s: %w", w.what, err)
		}
	}
	return done, nil
}

// A sweeping is one kind of row that grows old.
type sweeping struct {
	what  string
	table string
	raw   bool   // old by Retention.Raw
	old   string // condition; ?1 is the time in milliseconds
	erase string // statement up to its WHERE; "" deletes the rows
}

// Conditions on a row that belongs to a delivery.
const (
	settled = ` AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.id = delivery_id AND d.state IN ('queued', 'pushed', 'claimed'))
		AND NOT EXISTS (SELECT 1 FROM escalations e WHERE e.delivery_id = %[1]s.delivery_id AND e.state <> 'resolved')`
	unheard = ` AND NOT EXISTS (SELECT 1 FROM occurrences o WHERE o.delivery_id = deliveries.id)
		AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.delivery_id = deliveries.id)
		AND NOT EXISTS (SELECT 1 FROM escalations e WHERE e.delivery_id = deliveries.id AND e.state <> 'resolved')`
)

// sweeps lists what grows old, what refers to something before what it refers
// to. The tables that are not here are small: beats, proposals, slack_notes.
func sweeps() []sweeping {
	of := func(table string) string { return fmt.Sprintf(settled, table) }
	return []sweeping{
		{
			what: "texts of alerts", table: "occurrences", raw: true, erase: `UPDATE occurrences SET detail = '{}'`,
			old: `received_at < ?1 AND detail <> '{}' AND status = 'resolved'` + of("occurrences"),
		},
		{
			what: "messages to people", table: "outbox", raw: true,
			old: `created_at < ?1 AND state IN ('sent', 'failed') AND NOT EXISTS (
				SELECT 1 FROM escalations e WHERE e.id = outbox.escalation AND (e.state <> 'resolved' OR e.resolved_at >= ?1))`,
		},
		{what: "messages of people", table: "slack_inbox", raw: true, old: `received_at < ?1 AND handled_at > 0` + of("slack_inbox")},
		{what: "events of messages", table: "deliveries", raw: true, old: `created_at < ?1 AND channel = 'slack' AND state = 'done'` + unheard},
		{what: "pressed buttons", table: "slack_presses", raw: true, old: `received_at < ?1 AND handled_at > 0`},
		{what: "permissions asked for", table: "approvals", raw: true, old: `asked_at < ?1 AND state <> 'open'`},
		{what: "canaries", table: "canaries", raw: true, old: `sent_at < ?1 AND (decided_at > 0 OR lost_at > 0)`},
		{what: "events of canaries", table: "deliveries", raw: true, old: `created_at < ?1 AND kind = 'canary' AND state = 'done'`},
		{what: "steps of events", table: "spans", raw: true, old: `ended_at < ?1 * 1000000`},
		{what: "confirmations of writes", table: "confirmations", raw: true, old: `expires_at < ?1`},

		{what: "incidents", table: "incidents", old: `decided_at < ?1` + of("incidents")},
		{what: "alerts", table: "occurrences", old: `received_at < ?1` + of("occurrences")},
		{what: "escalations", table: "escalations", old: `state = 'resolved' AND resolved_at < ?1`},
		{what: "events", table: "deliveries", old: `created_at < ?1 AND state IN ('done', 'merged')` + unheard},
		{what: "troubles", table: "troubles", old: `ended_at > 0 AND ended_at < ?1`},
		{what: "audit", table: "audit", old: `at < ?1`},
		{what: "sessions", table: "sessions", old: `started_at < ?1`},
	}
}

// sweep looks for old rows on a reader, which blocks nobody, and takes them on
// the writer. The newest row of a table stays, whatever its age: numbers are
// given out from there, and none may come twice.
func (s *Store) sweep(ctx context.Context, w sweeping, before int64) (n int, err error) {
	find := fmt.Sprintf(`SELECT rowid FROM %[1]s WHERE rowid > ?2 AND rowid < (SELECT max(rowid) FROM %[1]s) AND %s
		ORDER BY rowid LIMIT %d`, w.table, w.old, pruneBatch)
	erase := w.erase
	if erase == "" {
		erase = `DELETE FROM ` + w.table
	}
	// Asked again: a row may have been opened since it was found.
	erase += ` WHERE rowid IN (SELECT value FROM json_each(?2)) AND ` + w.old
	for last := int64(0); ; {
		ids, err := collect(ctx, s.read, func(r *sql.Rows) (id int64, err error) { return id, r.Scan(&id) }, find, before, last)
		if err != nil || len(ids) == 0 {
			return n, err
		}
		last = ids[len(ids)-1]
		erased, err := s.erase(ctx, erase, before, ids)
		n += erased
		if err != nil {
			return n, err
		}
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-time.After(prunePause):
		}
	}
}

func (s *Store) erase(ctx context.Context, statement string, before int64, ids []int64) (int, error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return 0, err
	}
	var n int64
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, statement, before, string(list))
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	return int(n), err
}
