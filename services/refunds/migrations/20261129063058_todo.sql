-- migrate:up

-- What is not at its end is looked for again and again; nearly all refunds are.
SET LOCAL lock_timeout = '10s';
CREATE INDEX refunds_open ON refunds (state)
    WHERE state IN ('held', 'in_review', 'accepted', 'paying_out', 'unknown', 'failed', 'bounced', 'repaying');

-- migrate:down
DROP INDEX refunds_open;
