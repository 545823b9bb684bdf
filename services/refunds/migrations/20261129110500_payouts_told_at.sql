-- migrate:up
SET LOCAL lock_timeout = '10s';

-- When a payout was said to be made, on the clock of whoever said it: a failure before that is no bounce.
ALTER TABLE refund_payouts ADD COLUMN told_at timestamptz;

-- migrate:down
ALTER TABLE refund_payouts DROP COLUMN told_at;
