package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"watchkeeper/runbook"
)

// SendOnce stores m as [Store.Send] does, unless a message with the same Key
// was stored by it within the time before m.CreatedAt: then it reports false,
// and nothing changes. The key of the row is longer than m.Key, so that the
// same words can be said again later.
func (s *Store) SendOnce(ctx context.Context, m runbook.Message, within time.Duration) (stored bool, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		var last int64
		// "0" follows "/" in the order of the index.
		err := tx.QueryRowContext(ctx, `SELECT coalesce(max(created_at), 0) FROM outbox WHERE key >= ?1 || '/' AND key < ?1 || '0'`, m.Key).Scan(&last)
		if err != nil || last != 0 && last > ms(m.CreatedAt.Add(-within)) {
			return err
		}
		m.Key = fmt.Sprintf("%s/%d", m.Key, ms(m.CreatedAt))
		stored = true
		return insertMessage(ctx, tx, m)
	})
	if err != nil {
		return false, fmt.Errorf("store message %q: %w", m.Key, err)
	}
	return stored, nil
}

// Said returns what was said in the thread that hangs under ts, and what was
// sent about escalation (0 for none), oldest first; the last limit lines. An
// edit of a message says nothing new and is left out.
func (s *Store) Said(ctx context.Context, thread string, escalation int64, limit int) ([]runbook.Said, error) {
	lines, err := collect(ctx, s.read, func(r *sql.Rows) (runbook.Said, error) {
		var l runbook.Said
		var when int64
		err := r.Scan(&when, &l.User, &l.Kind, &l.Text, &l.Sent)
		l.At = at(when)
		return l, err
	}, `SELECT at, user, kind, text, sent FROM (
		  SELECT CASE sent_at WHEN 0 THEN created_at ELSE sent_at END AS at, id, '' AS user, kind, text, state = 'sent' AS sent FROM outbox
		  WHERE edit_of = '' AND (?1 <> '' AND (ts = ?1 OR thread = ?1) OR ?2 <> 0 AND (escalation = ?2 OR about <> '[]' AND ?2 IN (SELECT value FROM json_each(about))))
		  UNION ALL
		  SELECT received_at, id, user, '', text, 1 FROM slack_inbox WHERE ?1 <> '' AND (ts = ?1 OR thread = ?1)
		) ORDER BY at DESC, id DESC LIMIT ?3`, thread, escalation, limit)
	slices.Reverse(lines)
	return lines, err
}

// SpokeSince reports whether user wrote to us after then.
func (s *Store) SpokeSince(ctx context.Context, user string, then time.Time) (bool, error) {
	var n int
	err := s.read.QueryRowContext(ctx, `SELECT count(*) FROM slack_inbox WHERE user = ? AND received_at > ?`, user, ms(then)).Scan(&n)
	return n > 0, explain(err)
}

// Renew carries into escalation e.ID what e says anew: texts that are not
// empty replace the old ones, what was found is added to what was found before,
// and a severity that is worse counts from now on. One that nags from now on
// gets its first deadline. Renew returns the escalation as it stands, and
// whether anything changed; a resolved one is left alone.
func (s *Store) Renew(ctx context.Context, e runbook.Escalation, now time.Time) (out runbook.Escalation, changed bool, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		old, err := findEscalation(ctx, tx, `id = ?`, e.ID)
		if err != nil {
			return err
		}
		if out = renewed(old, e, now); out == old || old.State == runbook.EscalationResolved {
			out = old
			return nil
		}
		changed = true
		_, err = tx.ExecContext(ctx, `UPDATE escalations SET severity = ?2, impact = ?3, checked = ?4, found = ?5, recommend = ?6,
			  silence = ?7, next_nag_at = ?8, policed = CASE WHEN severity <> ?2 THEN 0 ELSE policed END, touched_at = ?9 WHERE id = ?1`,
			e.ID, out.Severity, out.Impact, out.Checked, out.Found, out.Recommend, out.Default, ms(out.NextNagAt), ms(now))
		return err
	})
	if err != nil {
		return out, false, fmt.Errorf("renew escalation %d: %w", e.ID, err)
	}
	return out, changed, nil
}

func renewed(old, e runbook.Escalation, now time.Time) runbook.Escalation {
	out := old
	for to, from := range map[*string]string{
		&out.Impact: e.Impact, &out.Checked: e.Checked, &out.Recommend: e.Recommend, &out.Default: e.Default,
	} {
		if from != "" {
			*to = from
		}
	}
	if !strings.Contains(old.Found, e.Found) {
		out.Found = strings.TrimPrefix(old.Found+"\n"+e.Found, "\n")
	}
	if e.Severity != "" && e.Severity.Rank() < old.Severity.Rank() {
		out.Severity = e.Severity
		if old.State == runbook.EscalationOpen && old.NextNagAt.IsZero() && runbook.Nags(out.Severity, out.Env) {
			out.NextNagAt = now.Add(runbook.NagEvery)
		}
	}
	return out
}

// Touch records a sign that somebody works on escalation id.
func (s *Store) Touch(ctx context.Context, id int64, now time.Time) error {
	return s.change(ctx, "touch escalation", `UPDATE escalations SET touched_at = max(touched_at, ?2) WHERE id = ?1`, id, ms(now))
}

// EscalationByKey returns the escalation under key, or [runbook.ErrNotFound].
func (s *Store) EscalationByKey(ctx context.Context, key string) (runbook.Escalation, error) {
	e, err := findEscalation(ctx, s.read, `key = ?`, key)
	if err != nil {
		return e, fmt.Errorf("escalation %q: %w", key, domainErr(err))
	}
	return e, nil
}
