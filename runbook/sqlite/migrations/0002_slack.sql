-- 0002: what the way to people needs. Times are UTC milliseconds since 1970; 0
-- is "never". Never edit a merged migration: add one.

-- +goose Up

ALTER TABLE outbox ADD COLUMN blocks    TEXT    NOT NULL DEFAULT ''; -- JSON array of Block Kit; '' is text alone
ALTER TABLE outbox ADD COLUMN edit_of   TEXT    NOT NULL DEFAULT ''; -- key of the message that this one replaces
ALTER TABLE outbox ADD COLUMN mrkdwn    INTEGER NOT NULL DEFAULT 0;  -- text is Slack's markup, escaped already
ALTER TABLE outbox ADD COLUMN urgent    INTEGER NOT NULL DEFAULT 0;  -- quiet hours do not hold it back
ALTER TABLE outbox ADD COLUMN broadcast INTEGER NOT NULL DEFAULT 0;  -- shown outside its thread too

CREATE INDEX outbox_roots ON outbox (escalation, state) WHERE kind = 'escalation';
CREATE INDEX outbox_edits ON outbox (edit_of) WHERE edit_of <> '';
CREATE INDEX outbox_ts ON outbox (ts) WHERE ts <> '';

CREATE INDEX escalations_thread ON escalations (slack_channel, slack_ts) WHERE slack_ts <> '';

-- A message is stored, acknowledged to Slack, and then handled.
ALTER TABLE slack_inbox ADD COLUMN handled_at INTEGER NOT NULL DEFAULT 0;

CREATE INDEX slack_inbox_open ON slack_inbox (id) WHERE handled_at = 0;
CREATE INDEX slack_inbox_ts ON slack_inbox (ts);

-- A button that a person pressed, stored before it is acknowledged to Slack.
CREATE TABLE slack_presses (
	id          INTEGER PRIMARY KEY,
	key         TEXT    NOT NULL UNIQUE,                       -- the same for a press that Slack sends again
	user        TEXT    NOT NULL,
	action      TEXT    NOT NULL,
	value       TEXT    NOT NULL DEFAULT '',
	channel     TEXT    NOT NULL,
	ts          TEXT    NOT NULL,                              -- of the message with the button
	thread      TEXT    NOT NULL DEFAULT '',
	received_at INTEGER NOT NULL,
	handled_at  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX slack_presses_open ON slack_presses (id) WHERE handled_at = 0;

-- What the link remembers about Slack: how far it has read each conversation,
-- and which scheduled message is its dead-man's switch.
CREATE TABLE slack_notes (
	name  TEXT PRIMARY KEY,
	value TEXT NOT NULL
) STRICT;
