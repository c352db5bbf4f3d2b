package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"watchkeeper/runbook"
)

// Send stores m as owed to people. A second message under the same key is the
// first one: nothing changes.
func (s *Store) Send(ctx context.Context, m runbook.Message) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error { return insertMessage(ctx, tx, m) })
	if err != nil {
		return fmt.Errorf("store message %q: %w", m.Key, err)
	}
	return nil
}

func insertMessage(ctx context.Context, tx *sql.Tx, m runbook.Message) error {
	next := m.NextAt
	if next.IsZero() {
		next = m.CreatedAt
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO outbox (key, kind, escalation, channel, thread, text, state, created_at, next_at,
		  blocks, edit_of, mrkdwn, urgent, broadcast, about, more)
		VALUES (?, ?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING`,
		m.Key, m.Kind, m.Escalation, m.Channel, m.Thread, m.Text, ms(m.CreatedAt), ms(next),
		m.Blocks, m.EditOf, m.Mrkdwn, m.Urgent, m.Broadcast, list(m.About), m.More)
	return err
}

const messageColumns = `id, key, kind, escalation, channel, thread, text, state, attempts, created_at, next_at, sent_at, ts, error,
	blocks, edit_of, mrkdwn, urgent, broadcast, about, more`

// list writes numbers as a JSON array.
func list(numbers []int64) string {
	if len(numbers) == 0 {
		return "[]"
	}
	text, _ := json.Marshal(numbers) // numbers always marshal
	return string(text)
}

func scanMessage(r *sql.Rows) (runbook.Message, error) { return scanMessageWith(r) }

// scanMessageWith scans the columns of a message, and more that follow them.
func scanMessageWith(r *sql.Rows, more ...any) (runbook.Message, error) {
	var m runbook.Message
	var created, next, sent int64
	var about string
	err := r.Scan(append([]any{
		&m.ID, &m.Key, &m.Kind, &m.Escalation, &m.Channel, &m.Thread, &m.Text, &m.State, &m.Attempts,
		&created, &next, &sent, &m.TS, &m.Error, &m.Blocks, &m.EditOf, &m.Mrkdwn, &m.Urgent, &m.Broadcast, &about, &m.More,
	}, more...)...)
	m.CreatedAt, m.NextAt, m.SentAt = at(created), at(next), at(sent)
	if err == nil && about != "[]" {
		err = json.Unmarshal([]byte(about), &m.About)
	}
	return m, err
}

// Outbox returns what is to be sent at now, oldest first. A row that is
// "sending" was being sent when its process died: look whether it arrived.
func (s *Store) Outbox(ctx context.Context, now time.Time) ([]runbook.Message, error) {
	return collect(ctx, s.read, scanMessage, `SELECT `+messageColumns+` FROM outbox
		WHERE state IN ('queued', 'sending') AND next_at <= ? ORDER BY id LIMIT 100`, ms(now))
}

// Messages returns the messages after id, whatever their state, oldest first.
func (s *Store) Messages(ctx context.Context, after int64, limit int) ([]runbook.Message, error) {
	return collect(ctx, s.read, scanMessage, `SELECT `+messageColumns+` FROM outbox WHERE id > ? ORDER BY id LIMIT ?`, after, limit)
}

// MarkSending records that an attempt to send message id begins.
func (s *Store) MarkSending(ctx context.Context, id int64, now time.Time) error {
	return s.changeMessage(ctx, `UPDATE outbox SET state = 'sending', attempts = attempts + 1, next_at = ?2 WHERE id = ?1`, id, ms(now))
}

// MarkSent records where message id stands in Slack. The first message of an
// escalation becomes the root of its thread with that.
func (s *Store) MarkSent(ctx context.Context, id int64, channel, ts string, now time.Time) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE outbox SET state = 'sent', channel = ?2, ts = ?3, sent_at = ?4, error = '' WHERE id = ?1`,
			id, channel, ts, ms(now))
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `
			UPDATE escalations SET slack_channel = ?2, slack_ts = ?3 WHERE slack_ts = '' AND id =
			  (SELECT escalation FROM outbox WHERE id = ?1 AND kind = 'escalation' AND edit_of = '' AND thread = '')`,
			id, channel, ts)
		return err
	})
	if err != nil {
		return fmt.Errorf("message %d: %w", id, err)
	}
	return nil
}

// MarkRetry records why an attempt failed, and when the next one may be made.
func (s *Store) MarkRetry(ctx context.Context, id int64, reason string, next time.Time) error {
	return s.changeMessage(ctx, `UPDATE outbox SET state = 'queued', error = ?2, next_at = ?3 WHERE id = ?1`, id, reason, ms(next))
}

// MarkFailed gives message id up.
func (s *Store) MarkFailed(ctx context.Context, id int64, reason string) error {
	return s.changeMessage(ctx, `UPDATE outbox SET state = 'failed', error = ?2 WHERE id = ?1`, id, reason)
}

func (s *Store) changeMessage(ctx context.Context, query string, args ...any) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, query, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("message %d: %w", args[0], err)
	}
	return nil
}
