-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Won of the price of refunded units that were used up before. They stay paid: a refund gives back the rest.
ALTER TABLE order_lines
    ADD COLUMN consumed bigint NOT NULL DEFAULT 0 CHECK (consumed >= 0),
    ADD CONSTRAINT consumed_of_refunded_units CHECK (consumed = 0 OR refunding + refunded > 0);
ALTER TABLE claims
    ADD COLUMN consumed bigint NOT NULL DEFAULT 0 CHECK (consumed >= 0),
    ADD CONSTRAINT consumed_by_refunds CHECK (consumed = 0 OR purpose = 'refund');

-- migrate:down
ALTER TABLE claims DROP COLUMN consumed;
ALTER TABLE order_lines DROP COLUMN consumed;
