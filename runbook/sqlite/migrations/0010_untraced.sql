-- 0010: a message may name several escalations (outbox.about), and be part of
-- the trace of each. Never edit a merged migration: add one.

-- +goose Up

DROP INDEX outbox_untraced;
CREATE INDEX outbox_untraced ON outbox (sent_at) WHERE state = 'sent' AND traced = 0;
