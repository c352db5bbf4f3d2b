-- 0005: what the guard of the writes remembers. Times are UTC milliseconds since
-- 1970; 0 is "never". Never edit a merged migration: add one.

-- +goose Up

-- A write begins with an audit row of phase 'before' and ends with one of phase
-- 'after'; both hold the id of the first. 0 is for all other entries.
ALTER TABLE audit ADD COLUMN write_id INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audit ADD COLUMN outcome  TEXT    NOT NULL DEFAULT '' CHECK (outcome IN ('', 'ok', 'failed', 'unknown'));

CREATE INDEX audit_writes ON audit (phase, at) WHERE write_id > 0;
CREATE INDEX audit_write_ends ON audit (write_id, phase) WHERE write_id > 0;

-- A permission to write once, to one object as it was.
CREATE TABLE confirmations (
	token_hash TEXT    PRIMARY KEY,                            -- SHA-256; the token itself is only told
	action     TEXT    NOT NULL,
	target     TEXT    NOT NULL,
	uid        TEXT    NOT NULL,
	version    TEXT    NOT NULL,                               -- resourceVersion
	expires_at INTEGER NOT NULL,
	used_at    INTEGER NOT NULL DEFAULT 0
) STRICT;
