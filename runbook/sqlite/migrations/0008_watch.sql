-- 0008: what the watchdog remembers. Times are UTC milliseconds since 1970; 0
-- is "never". Never edit a merged migration: add one.

-- +goose Up

-- What is wrong with the watch itself. An open one is told once, also by a
-- process that starts later.
CREATE TABLE troubles (
	id         INTEGER PRIMARY KEY,
	key        TEXT    NOT NULL CHECK (key <> ''),
	since      INTEGER NOT NULL,
	escalation INTEGER NOT NULL,
	ended_at   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX troubles_open ON troubles (key) WHERE ended_at = 0;

-- Events of our own that travel the whole way. A label with the nonce proves to
-- the intake that one is ours; it has a delivery and no occurrence, so that it
-- counts in no history.
CREATE TABLE canaries (
	id          INTEGER PRIMARY KEY,
	nonce       TEXT    NOT NULL UNIQUE CHECK (nonce <> ''),
	sent_at     INTEGER NOT NULL,
	delivery_id INTEGER NOT NULL DEFAULT 0,
	decided_at  INTEGER NOT NULL DEFAULT 0,
	lost_at     INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX canaries_delivery ON canaries (delivery_id) WHERE delivery_id <> 0;
