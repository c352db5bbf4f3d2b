-- 0009: the steps of a delivery, for tracing. Written only where tracing is
-- configured; the exporter removes what it has handed over. Times are UTC
-- nanoseconds since 1970. Never edit a merged migration: add one.

-- +goose Up

CREATE TABLE spans (
	id          INTEGER PRIMARY KEY,
	delivery_id INTEGER NOT NULL, -- 0: of none that is known
	name        TEXT    NOT NULL CHECK (name <> ''),
	program     TEXT    NOT NULL,
	began_at    INTEGER NOT NULL,
	ended_at    INTEGER NOT NULL,
	facts       TEXT    NOT NULL DEFAULT '{}', -- JSON, text to text
	failed      INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The trace that a delivery belongs to: 32 hexadecimal digits, '' without
-- tracing; and whether its root was handed over.
ALTER TABLE deliveries ADD COLUMN trace TEXT NOT NULL DEFAULT '';
ALTER TABLE deliveries ADD COLUMN traced INTEGER NOT NULL DEFAULT 0;

CREATE INDEX deliveries_untraced ON deliveries (done_at) WHERE trace <> '' AND traced = 0;

-- Whether the way of a message to a person was handed over.
ALTER TABLE outbox ADD COLUMN traced INTEGER NOT NULL DEFAULT 0;

CREATE INDEX outbox_untraced ON outbox (sent_at) WHERE state = 'sent' AND traced = 0 AND escalation <> 0;
