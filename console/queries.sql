-- name: begin_session
-- Somebody has signed in.
INSERT INTO sessions (token_hash, person, role, form_key, began_at, seen_at, ends_at)
VALUES ($1, $2, $3, $4, $5, $5, $6);

-- name: session
-- Who has this token, and was seen since $3; that they are seen now.
UPDATE sessions SET seen_at = greatest(seen_at, $2)
WHERE token_hash = $1 AND ends_at > $2 AND seen_at > $3
RETURNING person, role, form_key, ends_at;

-- name: end_sessions
-- A person is signed out everywhere; how many sessions that were.
WITH ended AS (DELETE FROM sessions WHERE person = $1 RETURNING 1) SELECT count(*) FROM ended;

-- name: forget_sessions
-- What has ended by itself is kept no longer.
DELETE FROM sessions WHERE ends_at <= $1 OR seen_at <= $2;

-- name: look_at_session
-- Who has this token, and was seen since $3; that they are not seen by this.
SELECT person, role, form_key, ends_at FROM sessions WHERE token_hash = $1 AND ends_at > $2 AND seen_at > $3;

-- name: sessions_left
-- Which of these sessions have not ended.
SELECT token_hash FROM sessions WHERE token_hash = ANY ($1::bytea[]) AND ends_at > $2 AND seen_at > $3;

-- name: thresholds
-- What people chose last of each threshold.
SELECT DISTINCT ON (name) name, minutes FROM thresholds ORDER BY name, id DESC;

-- name: thresholds_chosen
-- What people chose, the newest first.
SELECT name, minutes, person, reason, set_at FROM thresholds ORDER BY id DESC LIMIT $1;

-- name: choose_threshold
-- Somebody chooses a threshold.
INSERT INTO thresholds (name, minutes, person, reason, set_at) VALUES ($1, $2, $3, $4, $5);

-- name: begin_sample
-- Takes the turn to say how far services were behind at an instant; nothing where another console has it.
INSERT INTO lag_samples (taken_at, service) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING RETURNING service;

-- name: end_sample
-- How many seconds a service was behind then.
UPDATE lag_samples SET reading = $3, publishing = $4 WHERE taken_at = $1 AND service = $2;

-- name: lag_samples
-- How many seconds each service was behind since an instant.
SELECT taken_at, service, reading, publishing FROM lag_samples WHERE taken_at >= $1 ORDER BY taken_at, service;

-- name: forget_samples
-- Samples from before an instant are kept no longer.
DELETE FROM lag_samples WHERE taken_at < $1;
-- name: ended_session
-- Who had this token, also after the session has ended.
SELECT person, role, form_key, ends_at FROM sessions WHERE token_hash = $1;

-- name: forget_lists
-- What was made before an instant is kept no longer.
DELETE FROM lists WHERE made_at < $1;

-- name: make_list
-- A list is frozen.
INSERT INTO lists (list_id, person, action, cause, made_at) VALUES ($1, $2, $3, $4, $5);

-- name: add_members
-- Its members, in their order.
INSERT INTO list_members (list_id, position, name, key, hindrance)
SELECT $1, * FROM unnest($2::integer[], $3::text[], $4::text[], $5::text[]);

-- name: read_list
-- One list.
SELECT * FROM lists WHERE list_id = $1;

-- name: members_of_list
-- Its members, in their order.
SELECT * FROM list_members WHERE list_id = $1 ORDER BY position;

-- name: newest_lists
-- The newest lists, and how far each is.
SELECT l.*, count(*) AS total, count(*) FILTER (WHERE m.outcome = 'done') AS done,
       count(*) FILTER (WHERE m.outcome IN ('failed', 'unknown')) AS failed,
       count(*) FILTER (WHERE m.hindrance <> '' OR m.is_hopeless) AS left_out
FROM lists l JOIN list_members m USING (list_id) GROUP BY l.list_id ORDER BY l.made_at DESC LIMIT $1;

-- name: next_untried
-- Members of which no dry run has said anything.
SELECT * FROM list_members WHERE list_id = $1 AND hindrance = '' AND would IS NULL AND begun_at IS NULL
ORDER BY position LIMIT $2;

-- name: note_would
-- What a dry run said of a member.
UPDATE list_members SET would = $3, is_hopeless = $4 WHERE list_id = $1 AND position = $2 AND begun_at IS NULL;

-- name: lock_list
-- A list, for whoever takes its next member or stops it.
SELECT * FROM lists WHERE list_id = $1 FOR UPDATE;

-- name: begun_of_list
-- The member that somebody is ending, or was when nothing more was heard.
SELECT * FROM list_members WHERE list_id = $1 AND begun_at IS NOT NULL AND outcome IS NULL;

-- name: begin_next
-- The next member is being ended.
UPDATE list_members SET begun_at = $2
WHERE list_id = $1 AND position = (
    SELECT position FROM list_members
    WHERE list_id = $1 AND hindrance = '' AND NOT is_hopeless AND begun_at IS NULL ORDER BY position LIMIT 1
) RETURNING *;

-- name: give_reason
-- Why this list is worked off, from its first member on.
UPDATE lists SET reason = coalesce(reason, $2) WHERE list_id = $1 RETURNING reason;

-- name: end_member
-- What became of a member.
UPDATE list_members SET ended_at = $3, outcome = $4, detail = $5
WHERE list_id = $1 AND position = $2 AND outcome IS NULL;

-- name: stop_list
-- Nothing more of a list is begun.
UPDATE lists SET stopped_at = $2, stopped_by = $3, stop_why = $4 WHERE list_id = $1 AND stopped_at IS NULL;
