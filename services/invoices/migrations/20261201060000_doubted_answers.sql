-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Why the last answer of the tax agent about a document is not believed (an approval number that cannot be its), and since
-- when the agent says so. Empty, and null, where it is believed. The agent is asked again; a person may tell what is right.
ALTER TABLE submissions
    ADD COLUMN doubt      text NOT NULL DEFAULT '',
    ADD COLUMN doubted_at timestamptz,
    ADD CONSTRAINT submissions_doubt CHECK ((doubt <> '') = (doubted_at IS NOT NULL));
CREATE INDEX submissions_doubted ON submissions (month) WHERE doubt <> '';

-- migrate:down
DROP INDEX submissions_doubted;
ALTER TABLE submissions DROP CONSTRAINT submissions_doubt, DROP COLUMN doubt, DROP COLUMN doubted_at;
