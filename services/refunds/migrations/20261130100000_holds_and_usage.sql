-- migrate:up
SET LOCAL lock_timeout = '10s';

-- What was used of a line, as running totals of units, or won of a balance, by the time of each. Only those are kept
-- that raised the total when they were told.
CREATE TABLE usage_readings (
    order_id    text COLLATE "C" NOT NULL,
    line_id     text COLLATE "C" NOT NULL,
    recorded_at timestamptz NOT NULL,
    used        bigint NOT NULL CHECK (used > 0),
    PRIMARY KEY (order_id, line_id, recorded_at),
    FOREIGN KEY (order_id, line_id) REFERENCES order_lines ON DELETE CASCADE
);

-- A refund may wait for goods to come back, and for an operator to decide what a rule does not give back by itself.
-- beside 0.2.0: a_return_has_a_deadline, since a later migration drops it before any refund has a deadline
ALTER TABLE refunds
    ADD COLUMN deadline timestamptz,
    ADD COLUMN returned_at timestamptz,
    ADD COLUMN reviewed_at timestamptz,
    ADD CONSTRAINT a_return_has_a_deadline
        CHECK ((deadline IS NOT NULL) = (state = 'held' AND coalesce(why = 'return_awaited', false)));

-- migrate:down
ALTER TABLE refunds
    DROP CONSTRAINT a_return_has_a_deadline,
    DROP COLUMN reviewed_at,
    DROP COLUMN returned_at,
    DROP COLUMN deadline;
DROP TABLE usage_readings;
