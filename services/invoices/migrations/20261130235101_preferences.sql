-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Every preference that a partner has told, oldest first: [since, always_merge]. What counts for a month is the one at its
-- cut-off, whatever the partner tells between that and the close.
ALTER TABLE partners ADD COLUMN preferences json NOT NULL DEFAULT '[]';
UPDATE partners SET preferences = json_build_array(json_build_array(always_merge_since, always_merge));

-- migrate:down
ALTER TABLE partners DROP COLUMN preferences;
