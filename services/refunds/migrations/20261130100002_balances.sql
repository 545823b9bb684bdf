-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Bonus cash of prepaid lines. It is spent before paid cash, expires, and is never refunded.
CREATE TABLE bonuses (
    order_id   text COLLATE "C" NOT NULL,
    line_id    text COLLATE "C" NOT NULL,
    position   integer NOT NULL CHECK (position >= 0),
    bonus      bigint NOT NULL CHECK (bonus > 0),
    granted_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (order_id, line_id, position),
    FOREIGN KEY (order_id, line_id) REFERENCES order_lines ON DELETE CASCADE
);

-- Won of the price of refunded units that were used up before: of a line in all, and of a refund by line.
-- beside 0.2.0: consumed_of_refunded_units, since nothing_is_consumed clears it where 0.2.0 gives units back
ALTER TABLE order_lines
    ADD COLUMN consumed bigint NOT NULL DEFAULT 0 CHECK (consumed >= 0),
    ADD CONSTRAINT consumed_of_refunded_units CHECK (consumed = 0 OR refunding + refunded > 0);
ALTER TABLE refunds ADD COLUMN consumed json NOT NULL DEFAULT '{}';

-- migrate:down
ALTER TABLE refunds DROP COLUMN consumed;
ALTER TABLE order_lines DROP COLUMN consumed;
DROP TABLE bonuses;
