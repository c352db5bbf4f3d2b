package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/mattn/go-sqlite3"

	"watchkeeper/runbook"
)

const approvalColumns = `id, code, source, person, tool, description, input, state, asked_at, expires_at, decided_at, decided_by`

func scanApproval(r row) (runbook.Approval, error) {
	var a runbook.Approval
	var asked, expires, decided int64
	err := r.Scan(&a.ID, &a.Code, &a.Source, &a.Person, &a.Tool, &a.Description, &a.Input, &a.State, &asked, &expires, &decided, &a.DecidedBy)
	a.AskedAt, a.ExpiresAt, a.DecidedAt = at(asked), at(expires), at(decided)
	return a, err
}

// AskApproval stores a as open, with the message that card makes of it, and
// returns it with its ID. [runbook.ErrDuplicate] means that another open one
// has its code.
func (s *Store) AskApproval(ctx context.Context, a runbook.Approval, card func(runbook.Approval) runbook.Message) (runbook.Approval, error) {
	a.State = runbook.ApprovalOpen
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			INSERT INTO approvals (code, source, person, tool, description, input, state, asked_at, expires_at)
			VALUES (?, ?, ?, ?, ?, ?, 'open', ?, ?)`,
			a.Code, a.Source, a.Person, a.Tool, a.Description, a.Input, ms(a.AskedAt), ms(a.ExpiresAt))
		var taken sqlite3.Error
		if errors.As(err, &taken) && taken.ExtendedCode == sqlite3.ErrConstraintUnique {
			return runbook.ErrDuplicate
		}
		if err != nil {
			return err
		}
		if a.ID, err = res.LastInsertId(); err != nil {
			return err
		}
		return insertMessage(ctx, tx, card(a))
	})
	if err != nil {
		return a, fmt.Errorf("ask for %s: %w", a.Tool, err)
	}
	return a, nil
}

// Approval returns approval id, or [runbook.ErrNotFound].
func (s *Store) Approval(ctx context.Context, id int64) (runbook.Approval, error) {
	a, err := scanApproval(s.read.QueryRowContext(ctx, `SELECT `+approvalColumns+` FROM approvals WHERE id = ?`, id))
	if err != nil {
		return a, fmt.Errorf("approval %d: %w", id, domainErr(err))
	}
	return a, nil
}

// OpenApproval returns the open approval with code, or [runbook.ErrNotFound].
func (s *Store) OpenApproval(ctx context.Context, code string) (runbook.Approval, error) {
	a, err := scanApproval(s.read.QueryRowContext(ctx, `SELECT `+approvalColumns+` FROM approvals WHERE code = ? AND state = 'open'`, code))
	if err != nil {
		return a, fmt.Errorf("approval %s: %w", code, domainErr(err))
	}
	return a, nil
}

// Asking reports whether a person is being asked for a permission now.
func (s *Store) Asking(ctx context.Context) (yes bool, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM approvals WHERE state = 'open' AND expires_at > ?)`, ms(time.Now())).Scan(&yes)
	return yes, explain(err)
}

// ExpiredApprovals returns the open ones whose time is over at now.
func (s *Store) ExpiredApprovals(ctx context.Context, now time.Time) ([]runbook.Approval, error) {
	return collect(ctx, s.read, func(r *sql.Rows) (runbook.Approval, error) { return scanApproval(r) },
		`SELECT `+approvalColumns+` FROM approvals WHERE state = 'open' AND expires_at <= ? ORDER BY id`, ms(now))
}

// DecideApproval ends a with a.State, a.DecidedBy and a.DecidedAt, and stores
// messages. The first to decide wins: it reports false if another was faster,
// or if a person answers when the time is over.
func (s *Store) DecideApproval(ctx context.Context, a runbook.Approval, messages ...runbook.Message) (bool, error) {
	return s.step(ctx, "decide approval", messages, `
		UPDATE approvals SET state = ?2, decided_by = ?3, decided_at = ?4
		WHERE id = ?1 AND state = 'open' AND (?3 = '' OR expires_at > ?4)`, a.ID, a.State, a.DecidedBy, ms(a.DecidedAt))
}
