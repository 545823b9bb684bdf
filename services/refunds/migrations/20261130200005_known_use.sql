-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Won by line that had been used when an operator approved a refund, as far as it knew.
ALTER TABLE refunds ADD COLUMN known_use json NOT NULL DEFAULT '{}';

-- Won of the price of a line that would have gone back too, by a bonus that was told later, as far as that was told.
ALTER TABLE order_lines ADD COLUMN underpaid bigint NOT NULL DEFAULT 0 CHECK (underpaid >= 0);

-- migrate:down
ALTER TABLE order_lines DROP COLUMN underpaid;
ALTER TABLE refunds DROP COLUMN known_use;
