-- 0007: what was said in a thread is asked for every second while a person
-- waits for an answer. Never edit a merged migration: add one.

-- +goose Up

CREATE INDEX outbox_thread ON outbox (thread) WHERE thread <> '';
CREATE INDEX outbox_findings ON outbox (escalation) WHERE kind = 'finding';
