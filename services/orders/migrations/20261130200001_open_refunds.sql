-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Refunds of the order that have no claim here and are not at their end: held, in review, or owed again after a bounce.
-- They keep its partner from leaving. Refunds that were held before this are not known here.
ALTER TABLE orders ADD COLUMN open_refunds text[] NOT NULL DEFAULT '{}';

-- migrate:down
ALTER TABLE orders DROP COLUMN open_refunds;
