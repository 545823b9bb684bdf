-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Won of the price of refunded units that were used up before. They stay paid: a refund gives back the rest.
-- beside 0.2.0: consumed_of_refunded_units, since nothing_is_consumed clears it where 0.2.0 gives units back
-- beside 0.2.0: consumed_by_refunds, since the purpose of a claim never changes
ALTER TABLE order_lines
    ADD COLUMN consumed bigint NOT NULL DEFAULT 0 CHECK (consumed >= 0),
    ADD CONSTRAINT consumed_of_refunded_units CHECK (consumed = 0 OR refunding + refunded > 0);
ALTER TABLE claims
    ADD COLUMN consumed bigint NOT NULL DEFAULT 0 CHECK (consumed >= 0),
    ADD CONSTRAINT consumed_by_refunds CHECK (consumed = 0 OR purpose = 'refund');

-- migrate:down
ALTER TABLE claims DROP COLUMN consumed;
ALTER TABLE order_lines DROP COLUMN consumed;
