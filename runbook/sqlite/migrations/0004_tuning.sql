-- 0004: proposals to tune what is noise again and again. Times are UTC
-- milliseconds; 0 is "never". Never edit a merged migration: add one.

-- +goose Up

CREATE TABLE proposals (
	id            INTEGER PRIMARY KEY,
	key           TEXT    NOT NULL UNIQUE CHECK (key <> ''), -- alert and service or family
	alert         TEXT    NOT NULL,
	service       TEXT    NOT NULL,
	cluster       TEXT    NOT NULL DEFAULT '',
	days          INTEGER NOT NULL,                          -- window of fired and noise
	fired         INTEGER NOT NULL,
	noise         INTEGER NOT NULL,
	words         TEXT    NOT NULL,                          -- the change in words
	note          TEXT    NOT NULL DEFAULT '',
	diff          TEXT    NOT NULL DEFAULT '',
	tested_days   INTEGER NOT NULL DEFAULT 0,                -- the back-test, see runbook.BackTest
	tested        INTEGER NOT NULL DEFAULT 0,
	tested_gone   INTEGER NOT NULL DEFAULT 0,
	tested_noise  INTEGER NOT NULL DEFAULT 0,
	tested_real   INTEGER NOT NULL DEFAULT 0,
	tested_hidden INTEGER NOT NULL DEFAULT 0,
	state         TEXT    NOT NULL CHECK (state IN ('new', 'open', 'accepted', 'declined', 'snoozed')),
	raised        INTEGER NOT NULL DEFAULT 0,                -- times it was sent
	created_at    INTEGER NOT NULL,
	sent_at       INTEGER NOT NULL DEFAULT 0,
	decided_at    INTEGER NOT NULL DEFAULT 0,
	decided_by    TEXT    NOT NULL DEFAULT '',
	snoozed_until INTEGER NOT NULL DEFAULT 0,
	noise_then    INTEGER NOT NULL DEFAULT 0                 -- noise when it was answered
) STRICT;
