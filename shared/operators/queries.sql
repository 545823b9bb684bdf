-- name: todo_dead_letters
-- Dead letters that nobody has handled, by code and sender, with the won that their documents are about, each amount of a
-- key once.
SELECT code, coalesce(source, '') AS source, topic = 'checkout.events' AS from_checkout, count(*) AS count,
       min(dead_at) AS since, (array_agg(id ORDER BY id))[1:20] AS members,
       sum(won) FILTER (WHERE is_first)::bigint AS won
FROM (
    SELECT id, code, source, topic, dead_at, won,
           row_number() OVER (PARTITION BY code, source, topic = 'checkout.events', key, won ORDER BY id) = 1 AS is_first
    FROM dead_letters WHERE state = 'open'
) letters
GROUP BY 1, 2, 3;

-- name: todo_unsent
-- Events that the broker refuses, by type; what is behind one goes out with it.
SELECT o.type, count(*) AS count, min(u.set_aside_at) AS since, (array_agg(u.id ORDER BY u.id))[1:20] AS members
FROM unsent u JOIN outbox o USING (id) WHERE u.state = 'refused' GROUP BY 1;

-- name: todo_parked
-- Events that are blocked, and those that have waited since before an instant, by why they wait; what is behind a
-- blocked event goes on with it.
SELECT kind, type, count(*) AS count, min(parked_at) AS since, min(overdue_at) AS due,
       count(*) FILTER (WHERE overdue_at < $2) AS overdue, (array_agg(id ORDER BY id))[1:20] AS members,
       (array_agg(key ORDER BY id))[1] AS oldest_key, (array_agg(event_id ORDER BY id))[1] AS oldest_event
FROM parked WHERE kind = 'blocked' OR kind IN ('waiting', 'gap') AND parked_at < $1 GROUP BY 1, 2;

-- name: todo_gaps
-- Records that were never read here, by topic and by how they were missed.
SELECT topic, kind, count(*) AS count, sum(to_offset - from_offset)::bigint AS records, min(since) AS since,
       (array_agg(id ORDER BY id))[1:20] AS members
FROM gaps WHERE closed_at IS NULL GROUP BY 1, 2;

-- name: find_dead_letters
-- The newest dead letters under this key, and open ones whose document names it though their key is another one.
SELECT id, type, code, pointer, state, coalesce(key, '') AS key FROM (
    (SELECT * FROM dead_letters WHERE key = $1 ORDER BY id DESC LIMIT 20)
    UNION ALL
    (SELECT * FROM dead_letters
     WHERE state = 'open' AND request_key = $1 AND key IS DISTINCT FROM $1 ORDER BY id DESC LIMIT 20)
) letters ORDER BY id DESC LIMIT 20;
