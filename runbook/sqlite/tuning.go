package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"watchkeeper/runbook"
)

// What a look for patterns reads at most.
const (
	patternFrom = 5    // noise in the window
	maxPatterns = 20   // the most frequent
	maxSpells   = 2000 // the newest of each
)

// NoisePatterns returns what was noise again and again in the days before now,
// most frequent first, each with its decided firings of the last 30 days.
func (s *Store) NoisePatterns(ctx context.Context, now time.Time, days int) ([]runbook.Pattern, error) {
	since := ms(now.Add(-time.Duration(days) * runbook.Day))
	rows, err := collect(ctx, s.read, func(r *sql.Rows) (runbook.Recurring, error) {
		var rec runbook.Recurring
		return rec, r.Scan(&rec.Alert, &rec.Service, &rec.Times)
	}, `SELECT alert, service, count(*) FROM occurrences -- "> 0" lets SQLite take the partial index
		WHERE decided_at > ? AND decided_at > 0 AND verdict = 'noise' GROUP BY +alert, +service`, since)
	if err != nil {
		return nil, fmt.Errorf("noise patterns: %w", err)
	}
	groups := slices.DeleteFunc(collapse(rows), func(r runbook.Recurring) bool { return r.Times < patternFrom })
	slices.SortFunc(groups, func(a, b runbook.Recurring) int {
		return cmp.Or(b.Times-a.Times, strings.Compare(a.Alert, b.Alert), strings.Compare(a.Service, b.Service))
	})
	var out []runbook.Pattern
	for _, g := range groups[:min(len(groups), maxPatterns)] {
		p, err := s.pattern(ctx, g.Alert, g.Service, now)
		if err != nil {
			return nil, fmt.Errorf("noise pattern %q: %w", g.Alert, err)
		}
		out = append(out, p)
	}
	return out, nil
}

// Spells returns the decided firings of alert on service, or on all services of
// a family ("tenant-test-*"), that began after since and not after now: oldest
// first, at most the newest 2,000.
func (s *Store) Spells(ctx context.Context, alert, service string, since, now time.Time) ([]runbook.Spell, error) {
	spells, err := collect(ctx, s.read, scanSpell, `
		SELECT delivery_id, service, cluster, starts_at, ends_at, verdict, escalated, flaps FROM occurrences
		WHERE `+ofService(service)+` AND starts_at > ? AND starts_at <= ? AND verdict <> '' ORDER BY starts_at DESC LIMIT ?`,
		alert, service, ns(since), ns(now), maxSpells)
	slices.Reverse(spells)
	return spells, err
}

// pattern reads the firings of alert on service, or on the services of a
// family, up to now.
func (s *Store) pattern(ctx context.Context, alert, service string, now time.Time) (runbook.Pattern, error) {
	p := runbook.Pattern{Alert: alert, Service: service}
	var err error
	if p.Spells, err = s.Spells(ctx, alert, service, now.Add(-runbook.BackTestSpan), now); err != nil || len(p.Spells) == 0 {
		return p, err
	}
	if p.Cluster = p.Spells[0].Cluster; slices.ContainsFunc(p.Spells, func(f runbook.Spell) bool { return f.Cluster != p.Cluster }) {
		p.Cluster = ""
	}
	var text string
	var more detail
	err = s.read.QueryRowContext(ctx, `SELECT source, env, no_data, detail FROM occurrences
		WHERE `+ofService(service)+` AND starts_at = ? AND verdict <> '' LIMIT 1`, alert, service, ns(p.Spells[len(p.Spells)-1].StartedAt)).
		Scan(&p.Source, &p.Env, &p.NoData, &text)
	if err != nil {
		return p, err
	}
	err = json.Unmarshal([]byte(text), &more)
	p.Labels, p.GeneratorURL = more.Labels, more.GeneratorURL
	return p, err
}

// ofService is the condition for an alert on a service, or on all of a family:
// each has its index.
func ofService(service string) string {
	if strings.HasSuffix(service, "-*") {
		return `alert = ? AND family = ? AND family <> service`
	}
	return `alert = ? AND service = ?`
}

func scanSpell(r *sql.Rows) (runbook.Spell, error) {
	var f runbook.Spell
	var started, ended int64
	err := r.Scan(&f.Delivery, &f.Service, &f.Cluster, &started, &ended, &f.Verdict, &f.Escalated, &f.Flaps)
	f.StartedAt = atNanos(started)
	if ended > started {
		f.Lasted = time.Duration(ended - started)
	}
	return f, err
}

// KeepProposals stores what was found now: a new proposal is added, a known one
// gets the new numbers and keeps its state. It returns all that were given, as
// they stand, in the same order.
func (s *Store) KeepProposals(ctx context.Context, found []runbook.Proposal) ([]runbook.Proposal, error) {
	out := make([]runbook.Proposal, len(found))
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		for i, p := range found {
			if err := keepProposal(ctx, tx, p); err != nil {
				return err
			}
			var err error
			if out[i], err = findProposal(ctx, tx, `key = ?`, p.Key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("keep proposals: %w", err)
	}
	return out, nil
}

func keepProposal(ctx context.Context, tx *sql.Tx, p runbook.Proposal) error {
	b := p.BackTest
	_, err := tx.ExecContext(ctx, `
		INSERT INTO proposals (key, alert, service, cluster, days, fired, noise, words, note, diff, tested_days, tested,
		  tested_gone, tested_noise, tested_real, tested_hidden, state, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'new', ?)
		ON CONFLICT (key) DO UPDATE SET cluster = excluded.cluster, days = excluded.days, fired = excluded.fired,
		  noise = excluded.noise, words = excluded.words, note = excluded.note, diff = excluded.diff,
		  tested_days = excluded.tested_days, tested = excluded.tested, tested_gone = excluded.tested_gone,
		  tested_noise = excluded.tested_noise, tested_real = excluded.tested_real, tested_hidden = excluded.tested_hidden`,
		p.Key, p.Alert, p.Service, p.Cluster, p.Days, p.Fired, p.Noise, p.Change, p.Note, p.Diff, b.Days, b.Tested,
		b.Removed, b.Noise, b.Real, b.Hidden, ms(p.CreatedAt))
	return err
}

// Proposals returns every proposal, the newest first.
func (s *Store) Proposals(ctx context.Context) ([]runbook.Proposal, error) {
	return collect(ctx, s.read, func(r *sql.Rows) (runbook.Proposal, error) { return scanProposal(r) },
		`SELECT `+proposalColumns+` FROM proposals ORDER BY created_at DESC, id DESC`)
}

// Proposal returns proposal id as it stands, with the noise since its answer.
func (s *Store) Proposal(ctx context.Context, id int64) (runbook.Proposal, error) {
	p, err := findProposal(ctx, s.read, `id = ?`, id)
	if err != nil {
		return p, fmt.Errorf("proposal %d: %w", id, explain(domainErr(err)))
	}
	return p, nil
}

// SendProposal stores text as a message to the person on call, not sent before
// from, and proposal id as open: both or neither, so that it is said once,
// whoever dies when. One that is not due is left as it is, and sent is false.
func (s *Store) SendProposal(ctx context.Context, id int64, text string, from, now time.Time) (p runbook.Proposal, sent bool, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		if p, err = findProposal(ctx, tx, `id = ?`, id); err != nil || !p.Due(now) {
			return err
		}
		m := runbook.Message{Key: fmt.Sprintf("proposal:%d:%d", p.ID, p.Raised+1), Kind: "proposal", Text: text, CreatedAt: now, NextAt: from}
		if err := insertMessage(ctx, tx, m); err != nil {
			return err
		}
		sent = true
		p, err = changeProposal(ctx, tx, id, "proposal_sent", "session", now,
			`UPDATE proposals SET state = 'open', raised = raised + 1, sent_at = ? WHERE id = ?`, ms(now), id)
		return err
	})
	if err != nil {
		return p, false, fmt.Errorf("proposal %d: %w", id, err)
	}
	return p, sent, nil
}

// AnswerProposal records what a person decided about proposal id: accepted,
// declined, or snoozed until a time.
func (s *Store) AnswerProposal(ctx context.Context, id int64, answer runbook.ProposalState, until time.Time, by string, now time.Time) (p runbook.Proposal, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		p, err = changeProposal(ctx, tx, id, "proposal_"+string(answer), by, now, `
			UPDATE proposals SET state = ?, decided_at = ?, decided_by = ?, snoozed_until = ?, noise_then = noise WHERE id = ?`,
			answer, ms(now), by, ms(until), id)
		return err
	})
	if err != nil {
		return p, fmt.Errorf("proposal %d: %w", id, err)
	}
	return p, nil
}

// changeProposal runs update and returns the proposal as it stands then.
func changeProposal(ctx context.Context, tx *sql.Tx, id int64, action, by string, now time.Time, update string, args ...any) (runbook.Proposal, error) {
	if _, err := tx.ExecContext(ctx, update, args...); err != nil {
		return runbook.Proposal{}, err
	}
	p, err := findProposal(ctx, tx, `id = ?`, id)
	if err != nil {
		return p, err
	}
	return p, insertAudit(ctx, tx, runbook.AuditEntry{At: now, Actor: by, Action: action, Target: p.Key, Phase: "after"})
}

const proposalColumns = `id, key, alert, service, cluster, days, fired, noise, words, note, diff,
	tested_days, tested, tested_gone, tested_noise, tested_real, tested_hidden, state, raised, created_at,
	sent_at, decided_at, decided_by, snoozed_until, noise_then`

// findProposal also counts the noise since the answer, if there is one.
func findProposal(ctx context.Context, q querier, where string, arg any) (runbook.Proposal, error) {
	p, err := scanProposal(q.QueryRowContext(ctx, `SELECT `+proposalColumns+` FROM proposals WHERE `+where, arg))
	if err != nil || p.DecidedAt.IsZero() {
		return p, err
	}
	err = q.QueryRowContext(ctx, `SELECT count(*) FROM occurrences
		WHERE `+ofService(p.Service)+` AND starts_at > ? AND verdict = 'noise'`, p.Alert, p.Service, ns(p.CountsFrom())).
		Scan(&p.NoiseSince)
	return p, err
}

func scanProposal(r row) (runbook.Proposal, error) {
	var p runbook.Proposal
	var created, sent, decided, until int64
	b := &p.BackTest
	err := r.Scan(&p.ID, &p.Key, &p.Alert, &p.Service, &p.Cluster, &p.Days, &p.Fired, &p.Noise, &p.Change, &p.Note,
		&p.Diff, &b.Days, &b.Tested, &b.Removed, &b.Noise, &b.Real, &b.Hidden, &p.State, &p.Raised, &created, &sent,
		&decided, &p.DecidedBy, &until, &p.NoiseThen)
	p.CreatedAt, p.SentAt, p.DecidedAt, p.SnoozedUntil = at(created), at(sent), at(decided), at(until)
	return p, err
}
