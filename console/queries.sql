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
