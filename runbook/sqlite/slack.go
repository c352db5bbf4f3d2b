package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"watchkeeper/runbook"
)

// Outgoing returns what may be sent at now: the critical first, then in the
// order in which it was stored; at most 100. What must wait is left out: a
// message of an escalation until the first one stands, an edit until its
// message stands. An edit that a later one of the same message replaces is
// marked as sent by [Store.Supersede], and is left out too.
//
// Channel is "" for the on-call person, and Thread is the escalation's unless
// the message names its own place.
func (s *Store) Outgoing(ctx context.Context, now time.Time) ([]runbook.Outgoing, error) {
	return collect(ctx, s.read, scanOutgoing, `
		SELECT `+prefixed("m", messageColumns)+`, coalesce(e.severity, ''), coalesce(e.slack_channel, ''), coalesce(e.slack_ts, ''),
		  coalesce(t.channel, ''), coalesce(t.ts, '')
		FROM outbox m
		LEFT JOIN escalations e ON e.id = m.escalation
		LEFT JOIN outbox t ON t.key = m.edit_of AND m.edit_of <> ''
		WHERE m.state IN ('queued', 'sending') AND m.next_at <= ?1
		  AND (m.edit_of = '' OR t.state = 'sent')
		  AND NOT (m.escalation <> 0 AND m.kind <> 'escalation' AND m.channel = '' AND m.thread = '' AND m.edit_of = ''
		    AND EXISTS (SELECT 1 FROM outbox r WHERE r.escalation = m.escalation AND r.kind = 'escalation' AND r.edit_of = '' AND r.state IN ('queued', 'sending')))
		  AND NOT (m.edit_of <> '' AND EXISTS (SELECT 1 FROM outbox l WHERE l.edit_of = m.edit_of AND l.id > m.id AND l.state <> 'failed'))
		ORDER BY m.urgent OR coalesce(e.severity, '') = 'critical' DESC, m.id LIMIT 100`, ms(now))
}

// prefixed names the table of each column of a list.
func prefixed(table, columns string) string {
	names := strings.Split(columns, ",")
	for i, n := range names {
		names[i] = table + "." + strings.TrimSpace(n)
	}
	return strings.Join(names, ", ")
}

func scanOutgoing(r *sql.Rows) (runbook.Outgoing, error) {
	var severity, escChannel, escTS, editChannel, editTS string
	m, err := scanMessageWith(r, &severity, &escChannel, &escTS, &editChannel, &editTS)
	out := runbook.Outgoing{Message: m, Critical: m.Urgent || severity == string(runbook.Critical)}
	switch {
	case m.EditOf != "":
		out.Channel, out.EditTS = editChannel, editTS
	case m.Escalation != 0 && m.Kind != "escalation" && m.Channel == "" && m.Thread == "":
		out.Channel, out.Thread = escChannel, escTS
	}
	return out, err
}

// NextOutgoing returns when the earliest message that is not sent yet may be
// tried; the zero time means that there is none.
func (s *Store) NextOutgoing(ctx context.Context) (time.Time, error) {
	var next int64
	err := s.read.QueryRowContext(ctx, `SELECT coalesce(min(next_at), 0) FROM outbox WHERE state IN ('queued', 'sending')`).Scan(&next)
	return at(next), err
}

// Supersede marks the edits that a later edit of the same message replaces as
// sent, and gives up the edits of messages that never arrived.
func (s *Store) Supersede(ctx context.Context, now time.Time) error {
	var found bool // asked first: the sender looks often, and a look must not cost a write
	err := s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM outbox m JOIN outbox t ON t.key = m.edit_of
		WHERE m.edit_of <> '' AND m.state IN ('queued', 'sending') AND (t.state = 'failed'
		  OR EXISTS (SELECT 1 FROM outbox l WHERE l.edit_of = m.edit_of AND l.id > m.id AND l.state <> 'failed')))`).Scan(&found)
	if err != nil || !found {
		return explain(err)
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE outbox AS m SET state = 'sent', sent_at = ?, error = 'replaced by a later edit'
			WHERE m.edit_of <> '' AND m.state IN ('queued', 'sending')
			  AND EXISTS (SELECT 1 FROM outbox l WHERE l.edit_of = m.edit_of AND l.id > m.id AND l.state <> 'failed')`, ms(now))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE outbox AS m SET state = 'failed', error = 'the message to edit was never sent'
			WHERE m.edit_of <> '' AND m.state IN ('queued', 'sending')
			  AND EXISTS (SELECT 1 FROM outbox t WHERE t.key = m.edit_of AND t.state = 'failed')`)
		return err
	})
}

// Message returns the message under key, or [runbook.ErrNotFound].
func (s *Store) Message(ctx context.Context, key string) (runbook.Message, error) {
	found, err := collect(ctx, s.read, scanMessage, `SELECT `+messageColumns+` FROM outbox WHERE key = ?`, key)
	if err == nil && len(found) == 0 {
		err = runbook.ErrNotFound
	}
	if err != nil {
		return runbook.Message{}, fmt.Errorf("message %q: %w", key, err)
	}
	return found[0], nil
}

// ThreadChannel returns the channel in which the thread or message ts stands,
// as far as the memory has seen it: what people wrote, what we sent, and the
// roots of escalations. "" means that it is unknown.
func (s *Store) ThreadChannel(ctx context.Context, ts string) (string, error) {
	var channel string
	err := s.read.QueryRowContext(ctx, `
		SELECT channel FROM slack_inbox WHERE ts = ?1 OR thread = ?1
		UNION ALL SELECT channel FROM outbox WHERE ts = ?1 AND state = 'sent'
		UNION ALL SELECT slack_channel FROM escalations WHERE slack_ts = ?1 LIMIT 1`, ts).Scan(&channel)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return channel, explain(err)
}

// EscalationsOfThread returns the escalations whose thread hangs under ts in
// channel, oldest first: the one of that thread, be it that of the first person
// called or that of the second, or all that a nag names. None is no error.
func (s *Store) EscalationsOfThread(ctx context.Context, channel, ts string) ([]runbook.Escalation, error) {
	all, err := collect(ctx, s.read, func(r *sql.Rows) (runbook.Escalation, error) { return scanEscalation(r) }, `
		SELECT `+escalationColumns+` FROM escalations WHERE slack_ts <> '' AND slack_channel = ?1 AND slack_ts = ?2
		  OR id IN (SELECT escalation FROM outbox WHERE ts <> '' AND ts = ?2 AND channel = ?1 AND escalation <> 0)
		  OR id IN (SELECT j.value FROM outbox o, json_each(o.about) j WHERE o.ts <> '' AND o.ts = ?2 AND o.channel = ?1)
		ORDER BY id`, channel, ts)
	if err != nil {
		return nil, fmt.Errorf("escalations of thread %s: %w", ts, err)
	}
	return all, nil
}

const heardColumns = `id, event_id, channel, ts, user, thread, text, received_at`

func scanHeard(r *sql.Rows) (runbook.Heard, error) {
	var h runbook.Heard
	var received int64
	err := r.Scan(&h.ID, &h.EventID, &h.Channel, &h.TS, &h.User, &h.Thread, &h.Text, &received)
	h.ReceivedAt = at(received)
	return h, err
}

// Hear stores what a person said. It reports false for what is stored already,
// under the same event or the same channel and ts.
func (s *Store) Hear(ctx context.Context, h runbook.Heard) (bool, error) {
	stored, err := s.insert(ctx, `INSERT INTO slack_inbox (event_id, channel, ts, user, thread, text, received_at)
		VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, h.EventID, h.Channel, h.TS, h.User, h.Thread, h.Text, ms(h.ReceivedAt))
	if err != nil {
		return false, fmt.Errorf("store message %s of %s: %w", h.TS, h.User, err)
	}
	return stored, nil
}

// Unhandled returns what people said and nobody has handled yet, oldest first;
// at most 100.
func (s *Store) Unhandled(ctx context.Context) ([]runbook.Heard, error) {
	return collect(ctx, s.read, scanHeard, `SELECT `+heardColumns+` FROM slack_inbox WHERE handled_at = 0 ORDER BY id LIMIT 100`)
}

// Conversation returns what people said in a thread, oldest first; at most
// limit.
func (s *Store) Conversation(ctx context.Context, channel, thread string, limit int) ([]runbook.Heard, error) {
	return collect(ctx, s.read, scanHeard, `SELECT `+heardColumns+` FROM slack_inbox
		WHERE channel = ?1 AND (thread = ?2 OR ts = ?2) ORDER BY ts LIMIT ?3`, channel, thread, limit)
}

// Unanswered returns the latest messages of people, of the last 100, that the
// session was given at since or later and has not answered yet, in their thread
// or by a finding about the escalation of that; oldest first. What could not be
// sent counts as an answer, and what says that one will come does not.
func (s *Store) Unanswered(ctx context.Context, since time.Time) ([]runbook.Heard, error) {
	return collect(ctx, s.read, scanHeard, `SELECT `+prefixed("i", heardColumns)+` FROM `+unanswered+`
		AND d.pushed_at >= ?1 AND `+notIn(`'sent', 'failed'`)+` ORDER BY i.id`, ms(since))
}

// unanswered are the messages of people that a session was given.
const unanswered = `slack_inbox i JOIN deliveries d ON d.id = i.delivery_id
	WHERE i.id > (SELECT coalesce(max(id), 0) - 100 FROM slack_inbox) AND d.pushed_at > 0`

// notIn is the condition for a message of unanswered to have no answer in any
// of states.
func notIn(states string) string {
	after := `AND o.state IN (` + states + `) AND o.created_at >= d.pushed_at)`
	return `NOT EXISTS (SELECT 1 FROM outbox o WHERE o.thread <> '' AND o.thread = d.thread AND o.channel = i.channel AND o.kind = 'reply' AND o.more = 0 ` + after + `
		AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.kind = 'finding' AND d.escalation <> 0 AND o.escalation = d.escalation ` + after
}

// askAgainFor is how long after a person wrote a new session is given what an
// earlier one did not answer. Later, a message is taken for one that wants no
// answer.
const askAgainFor = 15 * time.Minute

// requeueUnanswered owes session the messages of people that one before it was
// given and left without an answer: it may have died before it read them. An
// answer counts for everything that was said in its thread before.
func requeueUnanswered(ctx context.Context, tx *sql.Tx, session int64, now time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE deliveries SET state = 'queued', due_at = ?1, done_at = 0 WHERE id IN (SELECT d.id FROM `+unanswered+`
		AND d.kind = 'message' AND d.state = 'done' AND d.session_id <> ?2 AND d.created_at >= ?3 AND `+notIn(`'queued', 'sending', 'sent', 'failed'`)+`)`,
		ms(now), session, ms(now.Add(-askAgainFor)))
	return err
}

// Handled records that message id needs nothing more.
func (s *Store) Handled(ctx context.Context, id int64, now time.Time) error {
	return s.change(ctx, "message", `UPDATE slack_inbox SET handled_at = ?2 WHERE id = ?1`, id, ms(now))
}

// DeliverHeard owes message h to the session, as an event of kind that belongs
// to an escalation (0 for none), and marks h as handled. A second call changes
// nothing: the event is owed once.
func (s *Store) DeliverHeard(ctx context.Context, h runbook.Heard, kind runbook.EventKind, escalation int64, now time.Time) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		var handled int64
		if err := tx.QueryRowContext(ctx, `SELECT handled_at FROM slack_inbox WHERE id = ?`, h.ID).Scan(&handled); err != nil || handled != 0 {
			return err
		}
		res, err := tx.ExecContext(ctx, `
			INSERT INTO deliveries (kind, channel, state, created_at, last_at, due_at, user, thread, text, escalation)
			VALUES (?1, 'slack', 'queued', ?2, ?2, ?2, ?3, ?4, ?5, ?6)`, kind, ms(now), h.User, h.Root(), h.Text, escalation)
		if err != nil {
			return err
		}
		delivery, err := res.LastInsertId()
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE slack_inbox SET handled_at = ?, delivery_id = ? WHERE id = ?`, ms(now), delivery, h.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("deliver message %d: %w", h.ID, err)
	}
	return nil
}

// StorePress stores a press of a button. It reports false for one that is
// stored already.
func (s *Store) StorePress(ctx context.Context, p runbook.Press) (bool, error) {
	stored, err := s.insert(ctx, `INSERT INTO slack_presses (key, user, action, value, channel, ts, thread, received_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, p.Key, p.User, p.Action, p.Value, p.Channel, p.TS, p.Thread, ms(p.ReceivedAt))
	if err != nil {
		return false, fmt.Errorf("store press of %s by %s: %w", p.Action, p.User, err)
	}
	return stored, nil
}

// Presses returns the presses that nobody has handled yet, oldest first; at
// most 100.
func (s *Store) Presses(ctx context.Context) ([]runbook.Press, error) {
	return collect(ctx, s.read, func(r *sql.Rows) (runbook.Press, error) {
		var p runbook.Press
		var received int64
		err := r.Scan(&p.ID, &p.Key, &p.User, &p.Action, &p.Value, &p.Channel, &p.TS, &p.Thread, &received)
		p.ReceivedAt = at(received)
		return p, err
	}, `SELECT id, key, user, action, value, channel, ts, thread, received_at FROM slack_presses WHERE handled_at = 0 ORDER BY id LIMIT 100`)
}

// PressHandled records that press id needs nothing more.
func (s *Store) PressHandled(ctx context.Context, id int64, now time.Time) error {
	return s.change(ctx, "press", `UPDATE slack_presses SET handled_at = ?2 WHERE id = ?1`, id, ms(now))
}

// Note returns what was noted under name, "" if nothing was.
func (s *Store) Note(ctx context.Context, name string) (string, error) {
	var value string
	err := s.read.QueryRowContext(ctx, `SELECT value FROM slack_notes WHERE name = ?`, name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, explain(err)
}

// SetNote notes value under name.
func (s *Store) SetNote(ctx context.Context, name, value string) error {
	return s.change(ctx, "note", `INSERT INTO slack_notes (name, value) VALUES (?1, ?2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
}

// change runs one statement about the thing that its first argument names.
func (s *Store) change(ctx context.Context, what, query string, args ...any) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s %v: %w", what, args[0], err)
	}
	return nil
}

// insert reports whether the statement stored a row.
func (s *Store) insert(ctx context.Context, query string, args ...any) (stored bool, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		stored = n == 1
		return err
	})
	return stored, err
}
