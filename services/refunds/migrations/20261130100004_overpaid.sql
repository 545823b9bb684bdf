-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Won of the price of a line that went back and had been used, as far as that was told.
ALTER TABLE order_lines ADD COLUMN overpaid bigint NOT NULL DEFAULT 0 CHECK (overpaid >= 0);

-- migrate:down
ALTER TABLE order_lines DROP COLUMN overpaid;
