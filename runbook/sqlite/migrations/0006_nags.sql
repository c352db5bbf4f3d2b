-- 0006: one message about several escalations. Never edit a merged migration:
-- add one.

-- +goose Up

ALTER TABLE outbox ADD COLUMN about TEXT NOT NULL DEFAULT '[]'; -- JSON array: the escalations of a nag that names several

-- Whoever took an escalation is not called about it any more, not even by what
-- was waiting for Slack. A nag about several waits while one of them is open.

-- +goose StatementBegin
CREATE TRIGGER escalations_taken AFTER UPDATE OF state ON escalations
WHEN old.state IN ('open', 'snoozed') AND new.state IN ('acked', 'snoozed', 'resolved')
BEGIN
	UPDATE outbox SET state = 'failed', error = 'it was taken before this was sent'
	WHERE state IN ('queued', 'sending') AND state = 'queued' AND kind = 'nag'
	  AND (escalation = new.id OR new.id IN (SELECT value FROM json_each(about)))
	  AND NOT EXISTS (SELECT 1 FROM json_each(about) j JOIN escalations e ON e.id = j.value WHERE e.state = 'open');
END;
-- +goose StatementEnd
