-- migrate:up

-- Refunds are looked for by the id of their request and of their payouts.
SET LOCAL lock_timeout = '10s';
CREATE INDEX refunds_request_id ON refunds (refund_request_id);
CREATE INDEX refund_payouts_id ON refund_payouts (payout_id);

-- migrate:down
DROP INDEX refund_payouts_id;
DROP INDEX refunds_request_id;
