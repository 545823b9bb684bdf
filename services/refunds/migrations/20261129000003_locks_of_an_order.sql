-- migrate:up

-- The locks of an order are numbered for the order. They were numbered for each line: `locks` of a line stays as it
-- was for rows that have it, and nothing reads it.
SET LOCAL lock_timeout = '10s';
ALTER TABLE orders ADD COLUMN sequence bigint NOT NULL DEFAULT 0 CHECK (sequence >= 0);
ALTER TABLE order_lines ALTER COLUMN locks SET DEFAULT 0, DROP CONSTRAINT order_lines_check3;

-- migrate:down
UPDATE order_lines SET locks = 1 WHERE locked AND locks = 0;
ALTER TABLE order_lines ADD CONSTRAINT order_lines_check3 CHECK (NOT locked OR locks > 0), ALTER COLUMN locks DROP DEFAULT;
ALTER TABLE orders DROP COLUMN sequence;
