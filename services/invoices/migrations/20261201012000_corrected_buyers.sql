-- migrate:up
SET LOCAL lock_timeout = '10s';

-- What a corrected document says of its buyer otherwise than its payments: [name, representative, address], null where
-- it says the same.
ALTER TABLE corrections ADD COLUMN buyer json;

-- migrate:down
SET LOCAL lock_timeout = '10s';

ALTER TABLE corrections DROP COLUMN buyer;
