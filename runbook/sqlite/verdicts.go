package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"watchkeeper/runbook"
)

// LogVerdict closes in.Delivery and its occurrences with one incident, and
// returns it with what the memory adds: identifier, names, times, whether it
// was escalated. DecidedAt and DecidedBy are the caller's. A delivery that has
// its verdict gives [runbook.ErrDecided] and the incident as it stands, unless
// revise is set: then the verdict is replaced, and the audit keeps the old one.
func (s *Store) LogVerdict(ctx context.Context, in runbook.Incident, revise bool) (runbook.Incident, error) {
	canary := false
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		d, err := findDelivery(ctx, tx, in.Delivery)
		if err != nil {
			return err
		}
		if !d.Kind.NeedsVerdict() {
			return fmt.Errorf("%w: event %q of delivery %s needs no verdict", runbook.ErrDecided, d.Kind, d.ID)
		}
		in.Delivery = d.ID
		if d.Kind == runbook.EventCanary {
			canary = true
			in, err = canaryBack(ctx, tx, in, d)
			return err
		}
		old, err := findIncident(ctx, tx, d.ID)
		switch {
		case errors.Is(err, sql.ErrNoRows):
		case err != nil:
			return err
		case !revise:
			in = old
			return runbook.ErrDecided
		default:
			if err := replace(ctx, tx, old, in); err != nil {
				return err
			}
		}
		if in, err = complete(ctx, tx, in, d); err != nil {
			return err
		}
		return decide(ctx, tx, in)
	})
	if err != nil {
		return in, fmt.Errorf("log verdict of %s: %w", in.Delivery, err)
	}
	if canary {
		return in, nil
	}
	return findIncident(ctx, s.read, in.Delivery)
}

// replace removes the old verdict and keeps it in the audit.
func replace(ctx context.Context, tx *sql.Tx, old, in runbook.Incident) error {
	err := insertAudit(ctx, tx, runbook.AuditEntry{
		At: in.DecidedAt, Actor: in.DecidedBy, Action: "revise_verdict",
		Target: old.Delivery.String(), Phase: "before", Delivery: old.Delivery,
		Detail: fmt.Sprintf("was %s by %s: %s", old.Verdict, old.DecidedBy, old.Summary),
	})
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM incidents WHERE delivery_id = ?`, old.Delivery)
	return err
}

// complete copies into the incident what the raw rows know.
func complete(ctx context.Context, tx *sql.Tx, in runbook.Incident, d deliveryRow) (runbook.Incident, error) {
	in.Alert, in.Service, in.Cluster, in.Namespace = d.Alert, d.Service, d.Cluster, d.Namespace
	in.Env, in.Severity, in.Alerts = d.Env, d.Severity, d.Alerts
	var started, ended, firing int64
	err := tx.QueryRowContext(ctx, `
		SELECT coalesce(min(starts_at), 0), coalesce(max(ends_at), 0), coalesce(sum(status = 'firing'), 0),
		  EXISTS (SELECT 1 FROM escalations WHERE delivery_id = ?1 AND opened_by <> 'watchdog')
		FROM occurrences WHERE delivery_id = ?1`, d.ID).Scan(&started, &ended, &firing, &boolOr{&in.Escalated})
	in.StartedAt = atNanos(started)
	if firing == 0 {
		in.EndedAt = atNanos(ended)
	}
	if in.StartedAt.IsZero() {
		in.StartedAt = d.CreatedAt
	}
	return in, err
}

// A boolOr sets its target when the column is true, and never clears it.
type boolOr struct{ to *bool }

// Scan implements [sql.Scanner].
func (b *boolOr) Scan(v any) error {
	if n, ok := v.(int64); ok && n != 0 {
		*b.to = true
	}
	return nil
}

func decide(ctx context.Context, tx *sql.Tx, in runbook.Incident) error {
	_, err := tx.ExecContext(ctx, `
		INSERT INTO incidents (delivery_id, verdict, escalated, summary, root_cause, actions, evidence, decided_by,
		  decided_at, alert, service, cluster, namespace, env, severity, started_at, ended_at, alerts)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		in.Delivery, in.Verdict, in.Escalated, in.Summary, in.RootCause, in.Actions, in.Evidence, in.DecidedBy,
		ms(in.DecidedAt), in.Alert, in.Service, in.Cluster, in.Namespace, in.Env, in.Severity, ms(in.StartedAt),
		ms(in.EndedAt), in.Alerts)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE occurrences SET verdict = ?, escalated = ?, decided_at = ? WHERE delivery_id = ?`,
		in.Verdict, in.Escalated, ms(in.DecidedAt), in.Delivery)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		UPDATE deliveries SET state = 'done', done_at = ?1, claimed_at = CASE claimed_at WHEN 0 THEN ?1 ELSE claimed_at END
		WHERE id = ?2`, ms(in.DecidedAt), in.Delivery)
	if err != nil {
		return err
	}
	return insertAudit(ctx, tx, runbook.AuditEntry{
		At: in.DecidedAt, Actor: in.DecidedBy, Action: "log_verdict",
		Target: in.Delivery.String(), Phase: "after", Delivery: in.Delivery, Detail: string(in.Verdict),
	})
}

const incidentColumns = `id, delivery_id, verdict, escalated, summary, root_cause, actions, evidence, decided_by,
	decided_at, alert, service, cluster, namespace, env, severity, started_at, ended_at, alerts`

func findIncident(ctx context.Context, q querier, d runbook.DeliveryID) (runbook.Incident, error) {
	return scanIncident(q.QueryRowContext(ctx, `SELECT `+incidentColumns+` FROM incidents WHERE delivery_id = ?`, d))
}

func scanIncident(r row) (runbook.Incident, error) {
	var in runbook.Incident
	var decided, started, ended int64
	err := r.Scan(&in.ID, &in.Delivery, &in.Verdict, &in.Escalated, &in.Summary, &in.RootCause, &in.Actions,
		&in.Evidence, &in.DecidedBy, &decided, &in.Alert, &in.Service, &in.Cluster, &in.Namespace, &in.Env,
		&in.Severity, &started, &ended, &in.Alerts)
	in.DecidedAt, in.StartedAt, in.EndedAt = at(decided), at(started), at(ended)
	return in, err
}
