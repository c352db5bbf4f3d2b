-- 0003: what calling people needs. Times are UTC milliseconds since 1970; 0 is
-- "never". Never edit a merged migration: add one.

-- +goose Up

ALTER TABLE escalations ADD COLUMN policed    INTEGER NOT NULL DEFAULT 0; -- 1 once its first deadline follows the configuration
ALTER TABLE escalations ADD COLUMN fired      INTEGER NOT NULL DEFAULT 0; -- 1 if an alert of its delivery fired when it was opened
ALTER TABLE escalations ADD COLUMN touched_at INTEGER NOT NULL DEFAULT 0; -- last sign that somebody works on it
ALTER TABLE escalations ADD COLUMN repings    INTEGER NOT NULL DEFAULT 0; -- times that whoever acknowledged it was asked again
ALTER TABLE escalations ADD COLUMN second_at  INTEGER NOT NULL DEFAULT 0; -- when the second person was called
ALTER TABLE escalations ADD COLUMN revision   INTEGER NOT NULL DEFAULT 0; -- grows with every change that its card shows
ALTER TABLE escalations ADD COLUMN shown      INTEGER NOT NULL DEFAULT 0; -- revision of the last card that was put into the outbox

CREATE INDEX escalations_stale ON escalations (id) WHERE revision > shown;

-- Tools, buttons, the CLI and the escalator all open and change escalations;
-- triggers let none of them forget what the others rely on.

-- +goose StatementBegin
CREATE TRIGGER escalations_opened AFTER INSERT ON escalations
BEGIN
	UPDATE escalations SET touched_at = new.opened_at,
	  fired = EXISTS (SELECT 1 FROM deliveries WHERE id = new.delivery_id AND firing > 0)
	WHERE id = new.id;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER escalations_changed
AFTER UPDATE OF title, severity, impact, checked, found, recommend, silence, state, acked_by, snoozed_until ON escalations
WHEN (old.title, old.severity, old.impact, old.checked, old.found, old.recommend, old.silence, old.state, old.acked_by, old.snoozed_until)
  IS NOT (new.title, new.severity, new.impact, new.checked, new.found, new.recommend, new.silence, new.state, new.acked_by, new.snoozed_until)
BEGIN
	UPDATE escalations SET revision = revision + 1 WHERE id = new.id;
END;
-- +goose StatementEnd

-- A permission that the session asked a person for.
CREATE TABLE approvals (
	id          INTEGER PRIMARY KEY,
	code        TEXT    NOT NULL CHECK (length(code) = 5),     -- what a person types: yes abcde
	source      TEXT    NOT NULL CHECK (source IN ('channel', 'stream')),
	person      TEXT    NOT NULL,                              -- Slack user ID of the only one who may answer
	tool        TEXT    NOT NULL,
	description TEXT    NOT NULL DEFAULT '',
	input       TEXT    NOT NULL DEFAULT '',                   -- without secrets
	state       TEXT    NOT NULL CHECK (state IN ('open', 'allowed', 'denied', 'expired', 'withdrawn')),
	asked_at    INTEGER NOT NULL,
	expires_at  INTEGER NOT NULL,
	decided_at  INTEGER NOT NULL DEFAULT 0,
	decided_by  TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE UNIQUE INDEX approvals_code ON approvals (code) WHERE state = 'open';
CREATE INDEX approvals_open ON approvals (expires_at) WHERE state = 'open';
