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

const escalationColumns = `id, key, delivery_id, title, severity, env, cluster, service, alert, impact, checked, found,
	recommend, silence, opened_by, state, opened_at, nags, next_nag_at, acked_by, acked_at, snoozed_until,
	resolved_by, resolved_at, slack_channel, slack_ts`

func scanEscalation(r row) (runbook.Escalation, error) {
	var e runbook.Escalation
	var opened, next, acked, snoozed, resolved int64
	err := r.Scan(&e.ID, &e.Key, &e.Delivery, &e.Title, &e.Severity, &e.Env, &e.Cluster, &e.Service, &e.Alert,
		&e.Impact, &e.Checked, &e.Found, &e.Recommend, &e.Default, &e.OpenedBy, &e.State, &opened, &e.Nags, &next,
		&e.AckedBy, &acked, &snoozed, &e.ResolvedBy, &resolved, &e.Channel, &e.Thread)
	e.OpenedAt, e.NextNagAt, e.AckedAt = at(opened), at(next), at(acked)
	e.SnoozedUntil, e.ResolvedAt = at(snoozed), at(resolved)
	return e, err
}

// Escalate stores e and the first message about it, text, in one step. Key must
// be set; a second Escalate under a key returns the escalation that is there
// and false. Names that e leaves empty come from its delivery, and the
// delivery's incident, if it has one, is marked as escalated.
func (s *Store) Escalate(ctx context.Context, e runbook.Escalation, text string) (out runbook.Escalation, created bool, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		out, created, err = escalate(ctx, tx, e, text)
		return err
	})
	if err != nil {
		return out, false, fmt.Errorf("escalate %q: %w", e.Title, err)
	}
	return out, created, nil
}

func escalate(ctx context.Context, tx *sql.Tx, e runbook.Escalation, text string) (out runbook.Escalation, created bool, err error) {
	out, err = findEscalation(ctx, tx, `key = ?`, e.Key)
	if !errors.Is(err, sql.ErrNoRows) {
		return out, false, err
	}
	if e.Delivery != 0 {
		d, err := findDelivery(ctx, tx, e.Delivery)
		if err != nil {
			return out, false, err
		}
		e = fromDelivery(e, d)
	}
	if err := insertEscalation(ctx, tx, e); err != nil {
		return out, false, err
	}
	if out, err = findEscalation(ctx, tx, `key = ?`, e.Key); err != nil {
		return out, false, err
	}
	if err := markEscalated(ctx, tx, out); err != nil {
		return out, false, err
	}
	return out, true, insertMessage(ctx, tx, runbook.Message{
		Key: fmt.Sprintf("escalation:%d", out.ID), Kind: "escalation",
		Escalation: out.ID, Text: text, CreatedAt: e.OpenedAt, NextAt: e.OpenedAt,
	})
}

func fromDelivery(e runbook.Escalation, d deliveryRow) runbook.Escalation {
	fill := func(to *string, from string) {
		if *to == "" {
			*to = from
		}
	}
	e.Delivery = d.ID
	fill(&e.Alert, d.Alert)
	fill(&e.Service, d.Service)
	fill(&e.Cluster, d.Cluster)
	if e.Severity == "" {
		e.Severity = d.Severity
	}
	if e.Env == "" || e.Env == runbook.EnvUnknown {
		e.Env = d.Env
	}
	return e
}

func insertEscalation(ctx context.Context, tx *sql.Tx, e runbook.Escalation) error {
	if e.Severity == "" {
		e.Severity = runbook.SeverityUnknown
	}
	if e.Env == "" {
		e.Env = runbook.EnvUnknown
	}
	if runbook.Nags(e.Severity, e.Env) && e.NextNagAt.IsZero() {
		e.NextNagAt = e.OpenedAt.Add(runbook.NagEvery)
	}
	_, err := tx.ExecContext(ctx, `
		INSERT INTO escalations (key, delivery_id, title, severity, env, cluster, service, alert, impact, checked,
		  found, recommend, silence, opened_by, state, opened_at, next_nag_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'open', ?, ?)`,
		e.Key, e.Delivery, e.Title, e.Severity, e.Env, e.Cluster, e.Service, e.Alert, e.Impact, e.Checked, e.Found,
		e.Recommend, e.Default, e.OpenedBy, ms(e.OpenedAt), ms(e.NextNagAt))
	return err
}

// markEscalated carries an escalation that came after the verdict into it.
func markEscalated(ctx context.Context, tx *sql.Tx, e runbook.Escalation) error {
	if e.Delivery == 0 || e.OpenedBy == "watchdog" {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE incidents SET escalated = 1 WHERE delivery_id = ?`, e.Delivery); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `UPDATE occurrences SET escalated = 1 WHERE delivery_id = ?`, e.Delivery)
	return err
}

// Page tells a human directly that nobody decides delivery id: an escalation of
// its own, and the delivery is not pushed again to this session. Paging again
// changes nothing.
func (s *Store) Page(ctx context.Context, e runbook.Escalation, text string) error {
	if _, _, err := s.Escalate(ctx, e, text); err != nil {
		return err
	}
	return s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE deliveries SET paged_at = ? WHERE id = ? AND paged_at = 0`, ms(e.OpenedAt), e.Delivery)
		return err
	})
}

// Escalations returns those in the given states, oldest first; all of them for
// none.
func (s *Store) Escalations(ctx context.Context, states ...runbook.EscalationState) ([]runbook.Escalation, error) {
	where, args := `1`, []any{}
	if len(states) > 0 {
		where = `state IN (?` + strings.Repeat(`, ?`, len(states)-1) + `)`
		for _, st := range states {
			args = append(args, st)
		}
	}
	return collect(ctx, s.read, func(r *sql.Rows) (runbook.Escalation, error) { return scanEscalation(r) },
		`SELECT `+escalationColumns+` FROM escalations WHERE `+where+` ORDER BY id`, args...)
}

// Escalation returns escalation id.
func (s *Store) Escalation(ctx context.Context, id int64) (runbook.Escalation, error) {
	e, err := findEscalation(ctx, s.read, `id = ?`, id)
	if err != nil {
		return e, fmt.Errorf("escalation %d: %w", id, domainErr(err))
	}
	return e, nil
}

func findEscalation(ctx context.Context, q querier, where string, args ...any) (runbook.Escalation, error) {
	return scanEscalation(q.QueryRowContext(ctx, `SELECT `+escalationColumns+` FROM escalations WHERE `+where, args...))
}

// Acknowledge records that user took escalation id at now, and stops its nags.
// A resolved one stays resolved: [runbook.ErrClosed].
func (s *Store) Acknowledge(ctx context.Context, id int64, user string, now time.Time) error {
	return s.changeEscalation(ctx, id, "acknowledge", `
		UPDATE escalations SET state = 'acked', acked_by = CASE acked_by WHEN '' THEN ?2 ELSE acked_by END,
		  acked_at = CASE acked_at WHEN 0 THEN ?3 ELSE acked_at END, next_nag_at = 0, snoozed_until = 0 WHERE id = ?1`,
		id, user, ms(now))
}

// Snooze holds the nags of escalation id back until then.
func (s *Store) Snooze(ctx context.Context, id int64, user string, until time.Time) error {
	return s.changeEscalation(ctx, id, "snooze", `
		UPDATE escalations SET state = 'snoozed', acked_by = ?2, snoozed_until = ?3, next_nag_at = ?3 WHERE id = ?1`,
		id, user, ms(until))
}

// ResolveEscalation ends escalation id for good.
func (s *Store) ResolveEscalation(ctx context.Context, id int64, user string, now time.Time) error {
	return s.changeEscalation(ctx, id, "resolve", `
		UPDATE escalations SET state = 'resolved', resolved_by = ?2, resolved_at = ?3, next_nag_at = 0 WHERE id = ?1`,
		id, user, ms(now))
}

// changeEscalation runs one update of an escalation that is not resolved.
func (s *Store) changeEscalation(ctx context.Context, id int64, verb, update string, args ...any) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		e, err := findEscalation(ctx, tx, `id = ?`, id)
		if err != nil {
			return err
		}
		if e.State == runbook.EscalationResolved {
			return runbook.ErrClosed
		}
		_, err = tx.ExecContext(ctx, update, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s escalation %d: %w", verb, id, err)
	}
	return nil
}

// AddFinding appends a line to what was found.
func (s *Store) AddFinding(ctx context.Context, id int64, finding string) error {
	return s.changeEscalation(ctx, id, "add a finding to", `
		UPDATE escalations SET found = CASE found WHEN '' THEN ?2 ELSE found || char(10) || ?2 END WHERE id = ?1`, id, finding)
}
