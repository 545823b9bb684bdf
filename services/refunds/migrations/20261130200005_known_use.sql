-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Won by line that had been used when an operator approved a refund, as far as it knew.
ALTER TABLE refunds ADD COLUMN known_use json NOT NULL DEFAULT '{}';

-- migrate:down
ALTER TABLE refunds DROP COLUMN known_use;
