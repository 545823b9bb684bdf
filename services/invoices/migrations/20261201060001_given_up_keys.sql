-- migrate:up
SET LOCAL lock_timeout = '10s';

-- The keys under which the tax agent is not given, and not asked about, a document any more, oldest first: [key, why, since when].
-- Its `document_key` is another one then than that of the document, which never changes.
ALTER TABLE submissions ADD COLUMN given_up json NOT NULL DEFAULT '[]';

-- migrate:down
ALTER TABLE submissions DROP COLUMN given_up;
