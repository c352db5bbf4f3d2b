-- 0011: a reply may say that the answer is still to come ("Looking."). Never
-- edit a merged migration: add one.

-- +goose Up

ALTER TABLE outbox ADD COLUMN more INTEGER NOT NULL DEFAULT 0;
