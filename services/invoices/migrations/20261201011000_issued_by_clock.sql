-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Whether an event that issues a document issues it at the instant of its handling: the auditor looks at those.
-- Before, it was issued as of the event's own time, however old that was.
ALTER TABLE documents ADD COLUMN issued_by_clock boolean NOT NULL DEFAULT false;
ALTER TABLE documents ALTER COLUMN issued_by_clock SET DEFAULT true;

-- migrate:down
SET LOCAL lock_timeout = '10s';

ALTER TABLE documents DROP COLUMN issued_by_clock;
