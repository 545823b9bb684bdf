-- migrate:up

-- What is said of whole grants is said of their order, and numbered for it. An order of earlier grants has no row until
-- something is said of it.
CREATE TABLE orders (
    order_id text COLLATE "C" PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence >= 0)
) WITH (fillfactor = 90);

-- `sequence` of a grant counts its progress only, so a grant that is issued at once has none.
SET LOCAL lock_timeout = '10s';
ALTER TABLE grants DROP CONSTRAINT grants_check4;

-- migrate:down
UPDATE grants SET sequence = 1 WHERE state = 'issued' AND sequence = 0;
ALTER TABLE grants ADD CONSTRAINT grants_check4 CHECK (state = 'issuing' OR sequence >= 1);
DROP TABLE orders;
