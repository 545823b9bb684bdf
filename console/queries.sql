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
