package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"watchkeeper/runbook"
)

// Duties returns the escalations that are not resolved, and those whose card
// in the outbox is older than they are; oldest first.
func (s *Store) Duties(ctx context.Context) ([]runbook.Duty, error) {
	// The outbox is asked with the words of its partial index, twice where one
	// state is meant: it grows for years, and the escalator looks often.
	return collect(ctx, s.read, scanDuty, `
		SELECT `+prefixed("e", escalationColumns)+`,
		  e.policed, e.fired AND coalesce(d.firing, 1) = 0 AND NOT EXISTS (SELECT 1 FROM occurrences x WHERE `+alike+` AND x.status = 'firing'),
		  max(coalesce((SELECT max(x.ends_at) FROM occurrences x WHERE x.delivery_id = d.id), 0),
		    coalesce((SELECT max(x.ends_at) FROM occurrences x WHERE `+alike+`), 0)), coalesce(d.state, '') = 'done', e.touched_at, e.repings, e.second_at,
		  e.revision, e.shown, coalesce(o.channel, ''), coalesce(o.ts, ''),
		  CASE WHEN EXISTS (SELECT 1 FROM outbox f WHERE f.state IN ('queued', 'sending') AND f.state = 'queued' AND f.error <> '')
		  THEN (SELECT count(*) FROM outbox n WHERE `+nagAbout("n", "e")+` AND n.state IN ('queued', 'failed')
		    AND n.id > coalesce((SELECT max(l.id) FROM outbox l WHERE `+nagAbout("l", "e")+` AND l.state IN ('sending', 'sent')), 0)) ELSE 0 END
		FROM escalations e
		LEFT JOIN deliveries m ON m.id = e.delivery_id
		LEFT JOIN deliveries d ON d.id = CASE m.state WHEN 'merged' THEN m.merged_into ELSE m.id END
		LEFT JOIN outbox o ON o.key = 'second:' || e.id AND o.state = 'sent'
		WHERE e.state IN ('open', 'acked', 'snoozed') OR e.revision > e.shown ORDER BY e.id`)
}

// alike is the condition for an occurrence to be the alert of an escalation,
// whichever delivery told of it: what comes and goes is one trouble. A day
// before the escalation bounds what is read.
const alike = `x.alert = e.alert AND x.service = e.service AND x.cluster = e.cluster AND x.starts_at > (e.opened_at - 86400000) * 1000000`

// nagAbout is the condition for a row of the outbox to call the person on call
// about an escalation.
func nagAbout(message, escalation string) string {
	return strings.NewReplacer("m.", message+".", "e.", escalation+".").Replace(`m.kind = 'nag' AND m.key LIKE 'nag:%' AND m.key NOT LIKE '%:second'
		AND (m.escalation = e.id OR e.id IN (SELECT value FROM json_each(m.about)))`)
}

func scanDuty(r *sql.Rows) (runbook.Duty, error) {
	var d runbook.Duty
	var touched, second, over int64
	e, err := scanEscalation(scanner{r, []any{
		&d.Policed, &d.Over, &over, &d.Decided, &touched, &d.Repings, &second, &d.Revision, &d.Shown, &d.SecondChannel, &d.SecondThread, &d.Stuck,
	}})
	d.Escalation, d.TouchedAt, d.SecondAt, d.OverSince = e, at(touched), at(second), atNanos(over)
	return d, err
}

// A scanner scans more columns behind those that it is asked for.
type scanner struct {
	row  row
	more []any
}

// Scan implements row.
func (s scanner) Scan(dest ...any) error { return s.row.Scan(append(dest, s.more...)...) }

// step changes one row and, if it was as the query wants it, stores the
// messages that tell of it: both or nothing, so that two processes that see the
// same deadline speak once. It reports whether it did.
func (s *Store) step(ctx context.Context, what string, messages []runbook.Message, query string, args ...any) (done bool, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		if err != nil || n == 0 {
			return err
		}
		done = true
		for _, m := range messages {
			if err := insertMessage(ctx, tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("%s %v: %w", what, args[0], err)
	}
	return done, nil
}

// Police sets the first deadline of escalation id, once; the zero time is
// none. One that has moved on already keeps what it has.
func (s *Store) Police(ctx context.Context, id int64, next time.Time) error {
	_, err := s.step(ctx, "police escalation", nil, `
		UPDATE escalations SET policed = 1, next_nag_at = CASE WHEN state = 'open' AND nags = 0 THEN ?2 ELSE next_nag_at END
		WHERE id = ?1 AND policed = 0`, id, ms(next))
	return err
}

// Nag takes the next step of each of nags, and stores what is said about those
// that it took, which words makes. One that has moved on since it was read is
// not among them, and keeps what it has. Words is asked once, and not at all if
// none was taken.
func (s *Store) Nag(ctx context.Context, nags []runbook.Nag, words func(taken []runbook.Nag) []runbook.Message) (taken []runbook.Nag, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		for _, n := range nags {
			ok, err := nag(ctx, tx, n)
			if err != nil {
				return fmt.Errorf("escalation %d: %w", n.Escalation, err)
			}
			if ok {
				taken = append(taken, n)
			}
		}
		if len(taken) == 0 {
			return nil
		}
		if err := replaceNags(ctx, tx, taken); err != nil {
			return err
		}
		for _, m := range words(taken) {
			if err := insertMessage(ctx, tx, m); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("nag: %w", err)
	}
	return taken, nil
}

func nag(ctx context.Context, tx *sql.Tx, n runbook.Nag) (bool, error) {
	res, err := tx.ExecContext(ctx, `
		UPDATE escalations SET nags = ?2, next_nag_at = ?3, state = 'open', snoozed_until = 0
		WHERE id = ?1 AND state IN ('open', 'snoozed') AND next_nag_at = ?4`, n.Escalation, n.Number, ms(n.Next), ms(n.Was))
	if err != nil {
		return false, err
	}
	rows, err := res.RowsAffected()
	return rows == 1, err
}

// replaceNags gives up the nags that still wait to be sent, if the new ones
// speak for them. One about several stays while it alone speaks for any.
func replaceNags(ctx context.Context, tx *sql.Tx, taken []runbook.Nag) error {
	var spoken []int64
	for _, n := range taken {
		if n.Replaces {
			spoken = append(spoken, n.Escalation)
		}
	}
	if len(spoken) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `UPDATE outbox SET state = 'failed', error = 'replaced by a later nag'
		WHERE state IN ('queued', 'sending') AND state = 'queued' AND kind = 'nag'
		  AND (escalation IN (SELECT value FROM json_each(?1)) OR about <> '[]')
		  AND NOT EXISTS (SELECT 1 FROM json_each(about) j JOIN escalations e ON e.id = j.value
		    WHERE e.state = 'open' AND e.id NOT IN (SELECT value FROM json_each(?1)))`, list(spoken))
	return err
}

// CallSecond stores the messages that call the second person about escalation
// id, once, while nobody has taken it.
func (s *Store) CallSecond(ctx context.Context, id int64, now time.Time, messages ...runbook.Message) (bool, error) {
	return s.step(ctx, "call the second person about escalation", messages, `
		UPDATE escalations SET second_at = ?2 WHERE id = ?1 AND second_at = 0 AND state = 'open'`, id, ms(now))
}

// Reping stores question number n to whoever acknowledged escalation id.
func (s *Store) Reping(ctx context.Context, id int64, n int, now time.Time, messages ...runbook.Message) (bool, error) {
	return s.step(ctx, "ask again about escalation", messages, `
		UPDATE escalations SET repings = ?2, touched_at = ?3 WHERE id = ?1 AND state = 'acked' AND repings = ?2 - 1`, id, n, ms(now))
}

// Settle resolves escalation id because of what by names, and stores what is
// said about it.
func (s *Store) Settle(ctx context.Context, id int64, by string, now time.Time, messages ...runbook.Message) (bool, error) {
	return s.step(ctx, "settle escalation", messages, `
		UPDATE escalations SET state = 'resolved', resolved_by = ?2, resolved_at = ?3, next_nag_at = 0
		WHERE id = ?1 AND state <> 'resolved'`, id, by, ms(now))
}

// ShowCard stores the edits that bring the cards of escalation id to revision.
func (s *Store) ShowCard(ctx context.Context, id int64, revision int, edits ...runbook.Message) (bool, error) {
	return s.step(ctx, "show escalation", edits, `UPDATE escalations SET shown = ?2 WHERE id = ?1 AND shown < ?2`, id, revision)
}

// Take does what a person asked for by a button: state is that of the
// escalation afterwards, until the end of a snooze. The session is owed an
// event with text, and messages are stored, if that changed anything; asking
// again changes nothing. A resolved one stays so: [runbook.ErrClosed].
func (s *Store) Take(ctx context.Context, t runbook.Taking) (changed bool, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		e, err := findEscalation(ctx, tx, `id = ?`, t.Escalation)
		switch {
		case err != nil:
			return err
		case e.State == runbook.EscalationResolved && e.ResolvedBy == t.User && t.State == e.State:
			return nil
		case e.State == runbook.EscalationResolved:
			return runbook.ErrClosed
		case e.State == t.State && (t.State == runbook.EscalationAcked || e.AckedBy == t.User && ms(e.SnoozedUntil) == ms(t.Until)):
			return nil // the first who takes it has it
		}
		changed = true
		if err := take(ctx, tx, t); err != nil {
			return err
		}
		for _, m := range t.Messages {
			if err := insertMessage(ctx, tx, m); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, `
			INSERT INTO deliveries (kind, channel, state, created_at, last_at, due_at, user, thread, text, escalation)
			VALUES (?1, 'slack', 'queued', ?2, ?2, ?2, ?3, ?4, ?5, ?6)`, runbook.EventAcked, ms(t.At), t.User, t.Thread, t.Text, t.Escalation)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("%s escalation %d: %w", t.State, t.Escalation, err)
	}
	return changed, nil
}

func take(ctx context.Context, tx *sql.Tx, t runbook.Taking) error {
	query := `UPDATE escalations SET state = 'acked', acked_by = ?2, acked_at = ?3, next_nag_at = 0, snoozed_until = 0, touched_at = ?3 WHERE id = ?1`
	switch t.State {
	case runbook.EscalationSnoozed:
		query = `UPDATE escalations SET state = 'snoozed', acked_by = ?2, snoozed_until = ?4, next_nag_at = ?4, touched_at = ?3 WHERE id = ?1`
	case runbook.EscalationResolved:
		query = `UPDATE escalations SET state = 'resolved', resolved_by = ?2, resolved_at = ?3, next_nag_at = 0 WHERE id = ?1`
	}
	_, err := tx.ExecContext(ctx, query, t.Escalation, t.User, ms(t.At), ms(t.Until))
	if err != nil {
		return err
	}
	return insertAudit(ctx, tx, runbook.AuditEntry{
		At: t.At, Actor: "human:" + t.User, Action: string(t.State) + "_escalation",
		Target: fmt.Sprintf("escalation %d", t.Escalation), Phase: "after",
	})
}
