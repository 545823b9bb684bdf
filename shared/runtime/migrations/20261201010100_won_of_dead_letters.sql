-- migrate:up

-- The won that a refused document is about, as it says itself, so that what a cause holds back can be added up while the
-- record stays sealed. Null: it says none, or was kept by an older version.
ALTER TABLE dead_letters ADD COLUMN won bigint;

-- migrate:down
ALTER TABLE dead_letters DROP COLUMN won;
