-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Since when nothing on the orders of a partner that left says who it was.
-- beside 0.2.0: purged_after_leaving, since a partner that left has left for good, and never anew
ALTER TABLE partners
    ADD COLUMN purged_at timestamptz,
    ADD CONSTRAINT purged_after_leaving CHECK (purged_at IS NULL OR withdrawn_at <= purged_at);

-- migrate:down
ALTER TABLE partners DROP COLUMN purged_at;
