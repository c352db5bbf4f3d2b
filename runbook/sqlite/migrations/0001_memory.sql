-- 0001: the memory. Times are UTC milliseconds since 1970 unless a column says
-- nanoseconds; 0 is "never". Never edit a merged migration: add one.

-- +goose Up

-- An event that is owed to the session.
CREATE TABLE deliveries (
	id          INTEGER PRIMARY KEY,
	kind        TEXT    NOT NULL CHECK (kind <> ''),           -- runbook.EventKind
	channel     TEXT    NOT NULL CHECK (channel IN ('webhook', 'slack')),
	state       TEXT    NOT NULL CHECK (state IN ('queued', 'pushed', 'claimed', 'done', 'merged')),
	group_key   TEXT    NOT NULL DEFAULT '',                   -- kind, alert and cluster: what may share an event
	alert       TEXT    NOT NULL DEFAULT '',
	service     TEXT    NOT NULL DEFAULT '',
	cluster     TEXT    NOT NULL DEFAULT '',
	namespace   TEXT    NOT NULL DEFAULT '',
	severity    TEXT    NOT NULL DEFAULT 'unknown',            -- the worst
	env         TEXT    NOT NULL DEFAULT 'unknown',            -- the strictest
	status      TEXT    NOT NULL DEFAULT 'firing',
	alerts      INTEGER NOT NULL DEFAULT 0,                    -- occurrences in it
	firing      INTEGER NOT NULL DEFAULT 0,                    -- those of them that fire
	pushes      INTEGER NOT NULL DEFAULT 0,
	reminders   INTEGER NOT NULL DEFAULT 0,
	session_id  INTEGER NOT NULL DEFAULT 0,
	merged_into INTEGER NOT NULL DEFAULT 0,
	created_at  INTEGER NOT NULL,
	last_at     INTEGER NOT NULL,                              -- latest alert that joined
	due_at      INTEGER NOT NULL,
	pushed_at   INTEGER NOT NULL DEFAULT 0,
	claimed_at  INTEGER NOT NULL DEFAULT 0,
	done_at     INTEGER NOT NULL DEFAULT 0,
	paged_at    INTEGER NOT NULL DEFAULT 0,
	user        TEXT    NOT NULL DEFAULT '',                   -- of a message: Slack user ID
	thread      TEXT    NOT NULL DEFAULT '',                   -- of a message: Slack ts
	text        TEXT    NOT NULL DEFAULT '',
	escalation  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX deliveries_group ON deliveries (group_key, id) WHERE group_key <> '';
CREATE INDEX deliveries_open ON deliveries (state, due_at) WHERE state IN ('queued', 'pushed', 'claimed');

-- One firing of one alert, from its start to its end.
CREATE TABLE occurrences (
	id           INTEGER PRIMARY KEY,
	source       TEXT    NOT NULL,
	fingerprint  TEXT    NOT NULL CHECK (fingerprint <> ''),
	starts_at    INTEGER NOT NULL,                             -- nanoseconds: part of the identity
	ends_at      INTEGER NOT NULL DEFAULT 0,                   -- nanoseconds
	status       TEXT    NOT NULL CHECK (status IN ('firing', 'resolved')),
	alert        TEXT    NOT NULL,
	service      TEXT    NOT NULL,
	family       TEXT    NOT NULL,                             -- runbook.Family of the service
	cluster      TEXT    NOT NULL,
	namespace    TEXT    NOT NULL,
	env          TEXT    NOT NULL,
	severity     TEXT    NOT NULL,
	severity_raw TEXT    NOT NULL,
	no_data      INTEGER NOT NULL DEFAULT 0,
	test         INTEGER NOT NULL DEFAULT 0,
	unrecognised INTEGER NOT NULL DEFAULT 0,
	count        INTEGER NOT NULL DEFAULT 1,
	flaps        INTEGER NOT NULL DEFAULT 0,
	received_at  INTEGER NOT NULL,
	delivery_id  INTEGER NOT NULL,
	verdict      TEXT    NOT NULL DEFAULT '' CHECK (verdict IN ('', 'noise', 'real', 'auto_fixed')),
	escalated    INTEGER NOT NULL DEFAULT 0,
	decided_at   INTEGER NOT NULL DEFAULT 0,
	detail       TEXT    NOT NULL DEFAULT '{}'                 -- JSON: labels, annotations, generator URL, body
) STRICT;

CREATE UNIQUE INDEX occurrences_identity ON occurrences (source, fingerprint, starts_at);
CREATE INDEX occurrences_history ON occurrences (alert, service, cluster, starts_at, verdict, escalated);
CREATE INDEX occurrences_family ON occurrences (alert, family, starts_at, verdict, escalated) WHERE family <> service;
CREATE INDEX occurrences_delivery ON occurrences (delivery_id);
CREATE INDEX occurrences_decided ON occurrences (decided_at, verdict, escalated, alert, service) WHERE decided_at > 0;

-- One row for each decided delivery. It outlives the raw occurrences.
CREATE TABLE incidents (
	id          INTEGER PRIMARY KEY,
	delivery_id INTEGER NOT NULL UNIQUE,
	verdict     TEXT    NOT NULL CHECK (verdict IN ('noise', 'real', 'auto_fixed')),
	escalated   INTEGER NOT NULL DEFAULT 0,
	summary     TEXT    NOT NULL,
	root_cause  TEXT    NOT NULL DEFAULT '',
	actions     TEXT    NOT NULL DEFAULT '',
	evidence    TEXT    NOT NULL DEFAULT '',
	decided_by  TEXT    NOT NULL,
	decided_at  INTEGER NOT NULL,
	alert       TEXT    NOT NULL,
	service     TEXT    NOT NULL,
	cluster     TEXT    NOT NULL,
	namespace   TEXT    NOT NULL,
	env         TEXT    NOT NULL,
	severity    TEXT    NOT NULL,
	started_at  INTEGER NOT NULL,
	ended_at    INTEGER NOT NULL DEFAULT 0,
	alerts      INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX incidents_decided ON incidents (decided_at, verdict);

-- A promise to reach a human, stored before anything is sent.
CREATE TABLE escalations (
	id            INTEGER PRIMARY KEY,
	key           TEXT    NOT NULL UNIQUE,
	delivery_id   INTEGER NOT NULL DEFAULT 0,
	title         TEXT    NOT NULL CHECK (title <> ''),
	severity      TEXT    NOT NULL,
	env           TEXT    NOT NULL,
	cluster       TEXT    NOT NULL DEFAULT '',
	service       TEXT    NOT NULL DEFAULT '',
	alert         TEXT    NOT NULL DEFAULT '',
	impact        TEXT    NOT NULL DEFAULT '',
	checked       TEXT    NOT NULL DEFAULT '',
	found         TEXT    NOT NULL DEFAULT '',
	recommend     TEXT    NOT NULL DEFAULT '',
	silence       TEXT    NOT NULL DEFAULT '',                 -- what happens if nobody answers
	opened_by     TEXT    NOT NULL,
	state         TEXT    NOT NULL CHECK (state IN ('open', 'acked', 'snoozed', 'resolved')),
	opened_at     INTEGER NOT NULL,
	nags          INTEGER NOT NULL DEFAULT 0,
	next_nag_at   INTEGER NOT NULL DEFAULT 0,
	acked_by      TEXT    NOT NULL DEFAULT '',
	acked_at      INTEGER NOT NULL DEFAULT 0,
	snoozed_until INTEGER NOT NULL DEFAULT 0,
	resolved_by   TEXT    NOT NULL DEFAULT '',
	resolved_at   INTEGER NOT NULL DEFAULT 0,
	slack_channel TEXT    NOT NULL DEFAULT '',
	slack_ts      TEXT    NOT NULL DEFAULT ''                  -- root of its thread
) STRICT;

CREATE INDEX escalations_state ON escalations (state, next_nag_at);
CREATE INDEX escalations_delivery ON escalations (delivery_id);

-- Everything said to people is a row first.
CREATE TABLE outbox (
	id         INTEGER PRIMARY KEY,
	key        TEXT    NOT NULL UNIQUE,
	kind       TEXT    NOT NULL,
	escalation INTEGER NOT NULL DEFAULT 0,
	channel    TEXT    NOT NULL DEFAULT '',                    -- '' is the on-call person
	thread     TEXT    NOT NULL DEFAULT '',
	text       TEXT    NOT NULL,
	state      TEXT    NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'failed')),
	attempts   INTEGER NOT NULL DEFAULT 0,
	created_at INTEGER NOT NULL,
	next_at    INTEGER NOT NULL,
	sent_at    INTEGER NOT NULL DEFAULT 0,
	ts         TEXT    NOT NULL DEFAULT '',
	error      TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX outbox_due ON outbox (state, next_at) WHERE state IN ('queued', 'sending');

-- What people said, stored before it is acknowledged to Slack.
CREATE TABLE slack_inbox (
	id          INTEGER PRIMARY KEY,
	event_id    TEXT    NOT NULL UNIQUE,
	channel     TEXT    NOT NULL,
	ts          TEXT    NOT NULL,
	user        TEXT    NOT NULL,
	thread      TEXT    NOT NULL DEFAULT '',
	text        TEXT    NOT NULL,
	received_at INTEGER NOT NULL,
	delivery_id INTEGER NOT NULL DEFAULT 0,
	UNIQUE (channel, ts)
) STRICT;

CREATE TABLE audit (
	id          INTEGER PRIMARY KEY,
	at          INTEGER NOT NULL,
	actor       TEXT    NOT NULL,
	action      TEXT    NOT NULL,
	target      TEXT    NOT NULL DEFAULT '',
	phase       TEXT    NOT NULL CHECK (phase IN ('before', 'after', 'refused')),
	detail      TEXT    NOT NULL DEFAULT '',
	delivery_id INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX audit_action ON audit (action, target, at);

CREATE TABLE sessions (
	id         INTEGER PRIMARY KEY,
	mode       TEXT    NOT NULL,
	pid        INTEGER NOT NULL,
	started_at INTEGER NOT NULL,
	ended_at   INTEGER NOT NULL DEFAULT 0,
	reason     TEXT    NOT NULL DEFAULT ''
) STRICT;

-- The latest sign of life of each part.
CREATE TABLE beats (
	name   TEXT    PRIMARY KEY,
	at     INTEGER NOT NULL,
	detail TEXT    NOT NULL DEFAULT ''
) STRICT;
