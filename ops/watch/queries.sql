-- name: waiting_to_publish
-- Events that the relay has not published, and for how long.
SELECT count(*)::bigint AS events, coalesce(extract(epoch FROM now() - min(recorded_at)), 0)::float8 AS seconds
FROM outbox WHERE id > (SELECT published FROM relay);

-- name: parked_by_kind
-- How many events wait, why, and how many of them longer than they should.
SELECT count(*) FILTER (WHERE kind = 'waiting') AS waiting, count(*) FILTER (WHERE kind = 'gap') AS gap,
       count(*) FILTER (WHERE kind = 'blocked') AS blocked, count(*) FILTER (WHERE kind = 'behind') AS behind,
       count(*) FILTER (WHERE overdue_at < now()) AS overdue
FROM parked;

-- name: mark_of_service
-- What changes with each event and each change of a person in a service, and what with all that it refuses or lets wait.
SELECT concat_ws('.', (SELECT max(id) FROM outbox), (SELECT id FROM audit_log ORDER BY id DESC LIMIT 1)) AS recorded,
       concat_ws('.', (SELECT max(id) FROM dead_letters), (SELECT count(*) FROM dead_letters WHERE state = 'open'),
                 (SELECT max(id) FROM parked), (SELECT count(*) FROM parked), (SELECT count(*) FROM unsent)) AS refused;

-- name: marks_of_keys
-- What changes with each event, refusal, waiting event and change of a person under each of these keys.
SELECT k.key,
       concat_ws('.', (SELECT max(o.id) FROM outbox o WHERE o.key = k.key),
                 (SELECT concat(max(p.id), '-', count(*)) FROM parked p WHERE p.key = k.key),
                 (SELECT concat(max(d.id), '-', count(*) FILTER (WHERE d.state = 'open')) FROM dead_letters d
                  WHERE d.key = k.key),
                 (SELECT a.id FROM audit_log a
                  WHERE split_part(a.target, ' ', 1) = split_part(k.key, ' ', 1)
                    AND (a.target = k.key OR starts_with(a.target, k.key || ' '))
                  ORDER BY a.id DESC LIMIT 1)) AS mark
FROM unnest($1::text[]) AS k(key);

-- name: open_dead_letters
-- How many dead letters nobody has handled.
SELECT count(*) FROM dead_letters WHERE state = 'open';

-- name: dead_by_cause
-- Dead letters grouped by what was wrong with them and what became of them, the most frequent first; who sent them, of
-- how many keys they are, and the won that their documents are about, each amount of a key once.
SELECT code AS cause, pointer, coalesce(type, 'unreadable') AS type, state, sum(count)::bigint AS count,
       max(newest) AS newest, max(example) AS example, min(oldest) AS oldest, count(DISTINCT key) AS keys,
       sum(won)::bigint AS won, array_agg(DISTINCT sender) AS senders
FROM (
    SELECT code, pointer, type, state, key, won, coalesce(source, '') AS sender, count(*) AS count,
           max(dead_at) AS newest, min(dead_at) AS oldest, max(id) AS example
    FROM dead_letters
    WHERE (state = 'open' OR $1) AND ($2::text IS NULL OR code = $2) AND ($3::text IS NULL OR type = $3)
      AND ($4::text IS NULL OR key = $4)
    GROUP BY code, pointer, type, state, key, won, source
) of_keys
GROUP BY code, pointer, type, state ORDER BY sum(count) DESC, max(example) DESC;

-- name: dead_members
-- The same dead letters one by one, the newest so many of each group.
SELECT id, cause, pointer, type, state, key, sender, since, won
FROM (
    SELECT id, code AS cause, pointer, coalesce(type, 'unreadable') AS type, state, key, source AS sender,
           dead_at AS since, won,
           row_number() OVER (PARTITION BY code, pointer, type, state ORDER BY id DESC) AS place
    FROM dead_letters
    WHERE (state = 'open' OR $1) AND ($2::text IS NULL OR code = $2) AND ($3::text IS NULL OR type = $3)
      AND ($4::text IS NULL OR key = $4)
) members
WHERE place <= $5 ORDER BY id DESC;

-- name: parked_by_cause
-- Waiting events grouped by why they wait.
SELECT kind AS cause, CASE WHEN kind IN ('blocked', 'behind') THEN reason ELSE '' END AS pointer, type, kind AS state,
       count(*) AS count, max(parked_at) AS newest, max(id) AS example
FROM parked
WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR type = $2) AND ($3::text IS NULL OR key = $3)
GROUP BY 1, 2, 3 ORDER BY count(*) DESC, max(id) DESC;

-- name: unsent_by_cause
-- Events that the broker refuses, and those behind one, grouped by why they are not out.
SELECT u.state AS cause, u.reason AS pointer, o.type, u.state, count(*) AS count, max(u.set_aside_at) AS newest,
       max(u.id) AS example
FROM unsent u JOIN outbox o USING (id)
WHERE ($1::text IS NULL OR u.state = $1) AND ($2::text IS NULL OR o.type = $2) AND ($3::text IS NULL OR u.key = $3)
GROUP BY 1, 2, 3 ORDER BY count(*) DESC, max(u.id) DESC;

-- name: unsent_members
-- The same events one by one, the newest so many of each group.
SELECT id, cause, pointer, type, state, key, sender, since
FROM (
    SELECT u.id, u.state AS cause, u.reason AS pointer, o.type, u.state, u.key, current_schema()::text AS sender,
           u.set_aside_at AS since, row_number() OVER (PARTITION BY u.state, u.reason, o.type ORDER BY u.id DESC) AS place
    FROM unsent u JOIN outbox o USING (id)
    WHERE ($1::text IS NULL OR u.state = $1) AND ($2::text IS NULL OR o.type = $2)
      AND ($3::text IS NULL OR u.key = $3)
) members
WHERE place <= $4 ORDER BY id DESC;

-- name: parked_members
-- The same events one by one, the newest so many of each group.
SELECT id, cause, pointer, type, state, key, sender, since
FROM (
    SELECT id, cause, pointer, type, state, key, sender, since,
           row_number() OVER (PARTITION BY cause, pointer, type ORDER BY id DESC) AS place
    FROM (
        SELECT id, kind AS cause, CASE WHEN kind IN ('blocked', 'behind') THEN reason ELSE '' END AS pointer, type,
               kind AS state, key, source AS sender, parked_at AS since
        FROM parked
        WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR type = $2)
          AND ($3::text IS NULL OR key = $3)
    ) waiting
) members
WHERE place <= $4 ORDER BY id DESC;

-- name: dead_to_end
-- The open dead letters of a cause, oldest first, or those of these ids, whatever became of them; with the blocked
-- event of the same key, if there is one.
SELECT id, code, pointer, coalesce(type, 'unreadable') AS type, key, state, source AS sender,
       (SELECT min(p.id) FROM parked p WHERE p.key = d.key AND p.kind = 'blocked') AS blocked_by
FROM dead_letters d
WHERE CASE WHEN $5::bigint[] IS NULL THEN state = 'open' ELSE id = ANY($5) END
  AND ($1::text IS NULL OR code = $1) AND ($2::text IS NULL OR type = $2) AND ($3::text IS NULL OR key = $3)
ORDER BY id LIMIT $4;

-- name: parked_to_end
-- The first blocked event of each key, when blocked ones are asked for, or those of these ids; replaying one replays its
-- key.
SELECT min(id) AS id, min(kind) AS code, min(reason) AS pointer, min(type) AS type, key
FROM parked
WHERE CASE WHEN $5::bigint[] IS NULL THEN kind = 'blocked' AND kind = $1 ELSE id = ANY($5) END
  AND ($2::text IS NULL OR type = $2) AND ($3::text IS NULL OR key = $3)
GROUP BY key ORDER BY min(id) LIMIT $4;

-- name: retention
-- How much is kept at least, since when everything is there, and whether anything was forgotten at all.
SELECT keep, CASE WHEN isfinite(horizon) THEN horizon END AS horizon, forgotten > 0 AS has_forgotten FROM retention;

-- name: table_sizes
-- Rows (as they were last counted, null where never) and bytes of the tables that every service has, with indexes.
SELECT c.relname AS name, nullif(c.reltuples, -1)::bigint AS rows, pg_total_relation_size(c.oid) AS bytes
FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname = ANY($1::text[])
ORDER BY array_position($1::text[], c.relname::text);

-- name: bytes_of_schema
-- Bytes of everything in the schema.
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'm');

-- name: audit_entries
-- What people changed, the newest first: all of it, of a person ($1), or about a thing ($2), which may be a word of a target.
-- Each of these has an index, and of the three looks one is done. An id begins with its instant.
SELECT * FROM (
    (SELECT id, recorded_at, actor, action, target, reason, before, after, result, request FROM audit_log
     WHERE $1::text IS NULL AND $2::text IS NULL
       AND ($4::timestamptz IS NULL OR recorded_at >= $4) AND ($5::timestamptz IS NULL OR recorded_at < $5)
     ORDER BY id DESC LIMIT $3)
    UNION ALL
    (SELECT id, recorded_at, actor, action, target, reason, before, after, result, request FROM audit_log
     WHERE actor = $1 AND $2 IS NULL
       AND ($4 IS NULL OR recorded_at >= $4) AND ($5 IS NULL OR recorded_at < $5)
     ORDER BY id DESC LIMIT $3)
    UNION ALL
    (SELECT id, recorded_at, actor, action, target, reason, before, after, result, request FROM audit_log
     WHERE $2 IS NOT NULL AND ($1 IS NULL OR actor = $1)
       AND id = ANY(ARRAY(SELECT a.id FROM audit_log a WHERE a.target = $2 UNION
                          SELECT a.id FROM audit_log a WHERE string_to_array(a.target, ' ') @> ARRAY[$2]))
       AND ($4 IS NULL OR recorded_at >= $4) AND ($5 IS NULL OR recorded_at < $5)
     ORDER BY id DESC LIMIT $3)
) AS found ORDER BY id DESC LIMIT $3;

-- name: gaps
-- Records that were never read here, oldest first; closed ones too when asked.
SELECT id, topic, partition, from_offset, to_offset, kind, since, last_read_at, closed_at, closed_by, close_reason
FROM gaps WHERE closed_at IS NULL OR $1 ORDER BY id LIMIT 1000;

-- name: order_of_payment
-- The order that a payment can pay.
SELECT order_id FROM payments WHERE payment_id = $1;
