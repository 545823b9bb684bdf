-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Won by line that were used up of refunded units. They stay on the document; lines are printed with them.
ALTER TABLE refunds ADD COLUMN consumed json NOT NULL DEFAULT '{}';

-- migrate:down
ALTER TABLE refunds DROP COLUMN consumed;
