-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Refunds that are not at their end, in the order of their requests: a page of them is read off, however many wait.
CREATE INDEX refunds_waiting ON refunds (requested_at, refund_id)
    WHERE state IN ('held', 'in_review', 'accepted', 'paying_out', 'unknown', 'failed', 'bounced', 'repaying');

-- migrate:down
DROP INDEX refunds_waiting;
