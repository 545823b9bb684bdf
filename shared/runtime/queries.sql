-- name: claim_ids
-- Claims upstream event ids; only the ones never seen before come back.
INSERT INTO inbox (source, event_id, content)
SELECT source, event_id, substr($3::bytea, (16 * number - 15)::integer, 16)
FROM unnest(string_to_array($1, E'\x1f'), string_to_array($2, E'\x1f')) WITH ORDINALITY
     AS claimed (source, event_id, number)
ON CONFLICT DO NOTHING
RETURNING source, event_id;

-- name: contents_of_ids
-- What the ids that were seen before said at that time. That they came once more is noted, unless something of the
-- kind was noted lately: the repeat stays in the topic longer than the first one, and must be known as long.
WITH seen AS (
    SELECT * FROM unnest($1::text[], $2::text[]) AS seen (source, event_id)
), noted AS (
    UPDATE inbox i SET repeated_at = now()
    FROM seen, retention r
    WHERE i.source = seen.source AND i.event_id = seen.event_id
      AND greatest(i.recorded_at, i.repeated_at) < now() - r.keep / 20
)
SELECT i.source, i.event_id, i.content
FROM inbox i
JOIN seen USING (source, event_id);

-- name: answers_of_ids
-- What these commands said and were answered before, locked: one without an answer is decided again, once.
SELECT i.source, i.event_id, i.content, i.answer
FROM inbox i
JOIN unnest($1::text[], $2::text[]) AS seen (source, event_id) USING (source, event_id)
ORDER BY i.source, i.event_id
FOR UPDATE OF i;

-- name: keep_answers
-- Keeps the answers of commands beside their ids.
UPDATE inbox i SET answer = n.answer
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS n (source, event_id, answer)
WHERE i.source = n.source AND i.event_id = n.event_id;

-- name: add_to_audit_log
-- Notes what people changed.
INSERT INTO audit_log (id, actor, action, target, reason, before, after, result, request)
SELECT id, actor, action, target, reason, before::jsonb, after::jsonb, result, request
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[]) AS a (id, actor, action, target, reason, before, after, result, request);

-- name: seen_event
-- Whether an event came here, when, and since when such ids are kept.
SELECT i.content, i.recorded_at, r.horizon
FROM retention r LEFT JOIN inbox i ON i.source = $1 AND i.event_id = $2;

-- name: refusals_of_event
-- What was refused of an event, oldest first.
SELECT id, type, key, code, pointer, detail, state, dead_at, topic, partition, "offset", edited_as
FROM dead_letters WHERE source = $1 AND event_id = $2 ORDER BY id;

-- name: read_cursors
-- The last sequence handled of each of these subjects.
SELECT c.source, c.subject, c.sequence
FROM cursors c
JOIN unnest(string_to_array($1, E'\x1f'), string_to_array($2, E'\x1f')) AS wanted (source, subject)
     USING (source, subject);

-- name: move_cursors
-- Moves cursors, each only when it still stands where this batch has read it; the count says whether all did.
INSERT INTO cursors AS c (source, subject, sequence, previous)
SELECT * FROM unnest(string_to_array($1, E'\x1f'), string_to_array($2, E'\x1f'),
                     string_to_array($3, E'\x1f')::bigint[], string_to_array($4, E'\x1f')::bigint[])
ON CONFLICT (source, subject) DO UPDATE
SET sequence = EXCLUDED.sequence, previous = EXCLUDED.previous
WHERE c.sequence = EXCLUDED.previous;

-- name: begin_batch
-- All that a batch asks before it locks what it is about: claims its upstream ids ($1, $2; 16 bytes of content each: $3) and
-- says which were never seen before; what is open with its keys ($4): dead letters that a later event may make good, then
-- everything that waits; the last sequence handled of its subjects ($5, $6) and of those of what waits. What is open comes by
-- key, oldest first: the order of the indexes, so that a plan made while nothing was there does not read all of it later.
-- Whoever ends a dead letter locks it before what waits, so both are locked in that order here too.
WITH claimed AS (
    INSERT INTO inbox (source, event_id, content)
    SELECT source, event_id, substr($3::bytea, (16 * number - 15)::integer, 16)
    FROM unnest(string_to_array($1, E'\x1f'), string_to_array($2, E'\x1f')) WITH ORDINALITY
         AS claims (source, event_id, number)
    ON CONFLICT DO NOTHING
    RETURNING source, event_id
), letters AS (
    SELECT id, request_key, topic, partition, "offset", request, event_time
    FROM dead_letters
    WHERE state = 'open' AND request_key = ANY(string_to_array($4, E'\x1f'))
    ORDER BY request_key, id
    FOR UPDATE
), waiting AS (
    SELECT id, key, kind, reason, topic, partition, "offset", record, source, subject, sequence
    FROM parked
    WHERE key = ANY(string_to_array($4, E'\x1f'))
    ORDER BY key, id
    FOR UPDATE
)
SELECT 'claimed' AS kind, source AS key, event_id AS reason, NULL::bigint AS id, NULL AS topic, NULL::integer AS partition,
       NULL::bigint AS "offset", NULL::bytea AS record, NULL::bytea AS request, NULL::timestamptz AS event_time
FROM claimed
UNION ALL
SELECT 'refused', request_key, '', id, topic, partition, "offset", NULL, request, event_time FROM letters
UNION ALL
SELECT kind, key, reason, id, topic, partition, "offset", record, NULL, NULL FROM waiting
UNION ALL
SELECT 'cursor', c.source, c.subject, c.sequence, NULL, NULL, NULL, NULL, NULL, NULL
FROM (SELECT source, subject FROM unnest(string_to_array($5, E'\x1f'), string_to_array($6, E'\x1f')) AS s (source, subject)
      UNION SELECT source, subject FROM waiting WHERE sequence IS NOT NULL) AS wanted
JOIN cursors c USING (source, subject);

-- name: park
-- Lets events wait with their keys; where their place is taken already, they do not come back.
INSERT INTO parked (key, kind, reason, topic, partition, "offset", source, event_id, type, subject,
                    sequence, event_time, record, digest, overdue_at)
SELECT key, kind, reason, topic, partition, "offset", source, event_id, type, subject,
       sequence, event_time, record, digest, now() + $15::interval
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::bigint[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::bigint[], $12::timestamptz[], $13::bytea[], $14::bytea[])
     AS p (key, kind, reason, topic, partition, "offset", source, event_id, type, subject,
           sequence, event_time, record, digest)
ON CONFLICT (topic, partition, "offset") DO NOTHING
RETURNING topic, partition, "offset";

-- name: park_again
-- The same for records whose place another record had before.
INSERT INTO parked_again (key, kind, reason, topic, partition, "offset", source, event_id, type, subject,
                          sequence, event_time, record, digest, overdue_at)
SELECT key, kind, reason, topic, partition, "offset", source, event_id, type, subject,
       sequence, event_time, record, digest, now() + $15::interval
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::integer[], $6::bigint[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::bigint[], $12::timestamptz[], $13::bytea[], $14::bytea[])
     AS p (key, kind, reason, topic, partition, "offset", source, event_id, type, subject,
           sequence, event_time, record, digest)
ON CONFLICT (topic, partition, "offset", digest) DO NOTHING
RETURNING topic, partition, "offset";

-- name: parked_at
-- What waits that came from these places.
SELECT id, topic, partition, "offset", digest, record
FROM parked JOIN unnest($1::text[], $2::integer[], $3::bigint[]) AS w (topic, partition, "offset")
     USING (topic, partition, "offset");

-- name: unpark
-- Removes events that have been handled.
DELETE FROM parked WHERE id = ANY($1::bigint[]);

-- name: repark
-- Says anew why an event waits; its id is asked for twice, so that here too no plan reads all that waits.
UPDATE parked p SET kind = n.kind, reason = n.reason, tried_at = now()
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS n (id, kind, reason)
WHERE p.id = n.id AND p.id = ANY($1::bigint[]);

-- name: keys_to_retry
-- Keys whose events have waited since before the given age; the sweep gives them another chance.
SELECT DISTINCT key FROM parked
WHERE kind IN ('waiting', 'gap') AND tried_at < now() - $1::interval
LIMIT $2;

-- name: note_retry
-- Remembers that what waits with these keys was tried.
UPDATE parked SET tried_at = now() WHERE key = ANY($1::text[]);

-- name: put_dead_letters
-- Keeps refused and unreadable records; where their place is taken already, they do not come back.
INSERT INTO dead_letters (topic, partition, "offset", key, source, event_id, type, code, pointer, detail, record,
                          request_key, request, event_time, digest, won)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::text[], $10::text[], $11::bytea[], $12::text[], $13::bytea[], $14::timestamptz[],
                     $15::bytea[], $16::bigint[])
ON CONFLICT (topic, partition, "offset") DO NOTHING
RETURNING id, topic, partition, "offset";

-- name: put_dead_letters_again
-- The same for records whose place another record had before.
INSERT INTO dead_letters_again (topic, partition, "offset", key, source, event_id, type, code, pointer, detail, record,
                                request_key, request, event_time, digest, won)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::text[], $10::text[], $11::bytea[], $12::text[], $13::bytea[], $14::timestamptz[],
                     $15::bytea[], $16::bigint[])
ON CONFLICT (topic, partition, "offset", digest) DO NOTHING
RETURNING id, topic, partition, "offset";

-- name: dead_letters_at
-- The dead letters that came from these places.
SELECT id, topic, partition, "offset", digest, record
FROM dead_letters JOIN unnest($1::text[], $2::integer[], $3::bigint[]) AS w (topic, partition, "offset")
     USING (topic, partition, "offset");

-- name: dead_letters
-- Open dead letters (all of them when asked) before one, newest first.
SELECT id, topic, partition, "offset", key, source, event_id, type, code, pointer, detail, state, dead_at, edited_as
FROM dead_letters WHERE (state = 'open' OR $1) AND id < $2 ORDER BY id DESC LIMIT $3;

-- name: dead_letter
-- One dead letter with its sealed record, and how it ended.
SELECT id, topic, partition, "offset", key, source, event_id, type, code, pointer, detail, state, dead_at, record,
       coalesce(closed_at, replayed_at) AS closed_at, coalesce(closed_by, replayed_by) AS closed_by,
       coalesce(close_reason, replay_reason) AS close_reason, edited_as, edited_record
FROM dead_letters WHERE id = $1;

-- name: lock_dead_letter
-- One dead letter, locked while somebody ends it, and how it has ended already.
SELECT id, topic, partition, "offset", key, source, event_id, type, code, state, record,
       coalesce(closed_at, replayed_at) AS closed_at, coalesce(closed_by, replayed_by) AS closed_by,
       coalesce(close_reason, replay_reason) AS close_reason, edited_as
FROM dead_letters WHERE id = $1 FOR UPDATE;

-- name: mark_replayed
-- Notes who replayed a dead letter and why.
UPDATE dead_letters SET state = 'replayed', replayed_at = now(), replayed_by = $2, replay_reason = $3 WHERE id = $1;

-- name: mark_edited
-- Notes who sent a dead letter right, why, and as which event.
UPDATE dead_letters SET state = 'edited', closed_at = now(), closed_by = $2, close_reason = $3, edited_as = $4,
                        edited_record = $5
WHERE id = $1;

-- name: resolve_dead_letters
-- Ends dead letters that are still open: each with its reason, all by the same.
UPDATE dead_letters d SET state = 'resolved', closed_at = now(), closed_by = $3, close_reason = n.reason
FROM unnest($1::bigint[], $2::text[]) AS n (id, reason)
WHERE d.id = n.id AND d.state = 'open';

-- name: written_rows
-- How many rows of each table this session has written and not told the statistics of: what it says at the end of a
-- piece of a transaction, less what it said before, is what that piece has written.
SELECT relname AS name, n_tup_ins AS added, n_tup_upd AS changed, n_tup_del AS removed
FROM pg_stat_xact_user_tables WHERE schemaname = current_schema();

-- name: parked_events
-- What waits, behind one, oldest first.
SELECT id, key, kind, reason, topic, partition, "offset", source, event_id, type, parked_at, overdue_at,
       overdue_at < now() AS overdue
FROM parked WHERE id > $1 ORDER BY id LIMIT $2;

-- name: parked_event
-- One waiting event with its sealed record.
SELECT * FROM parked WHERE id = $1;

-- name: lock_outbox
-- Held from the append to the commit, so that ids become visible in their order. The table takes it by itself for any
-- statement that inserts; whoever is to read before that takes it here.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.outbox', 0));

-- name: take_relay_lead
-- A new leader raises the epoch and learns how far its predecessor came.
UPDATE relay SET epoch = epoch + 1 RETURNING epoch, published;

-- name: try_relay_lock
-- One relay at a time for each service.
SELECT pg_try_advisory_lock(hashtextextended(current_schema() || '.relay', 0));

-- name: end_silent_leader
-- Ends the session of a leader that has asked for nothing for so long: its process is halted or out of reach,
-- and while its session lives nobody else can lead. What it may still send is known to every reader.
SELECT pg_terminate_backend(pid)
FROM pg_locks AS held JOIN pg_stat_activity AS session USING (pid)
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
  AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (held.classid::bigint << 32 | held.objid::bigint) = hashtextextended(current_schema() || '.relay', 0)
  AND session.state_change < now() - $1::interval;

-- name: end_silent_sessions
-- Ends sessions of this service that hold a transaction open and have waited so long for their own client:
-- one that is halted in the middle of a COPY, which no timeout of Postgres ends.
SELECT pg_terminate_backend(pid)
FROM pg_stat_activity
WHERE usename = current_user AND application_name = current_setting('application_name')
  AND datname = current_database() AND pid <> pg_backend_pid()
  AND xact_start IS NOT NULL AND wait_event_type = 'Client' AND state_change < now() - $1::interval;

-- name: sign_of_life
-- What a leader asks while it waits for the broker.
SELECT true;

-- name: unpublished
-- The next events to publish, in order; none where the mark is not where the leader has put it, since then the
-- schema was set back under it.
SELECT id, event_id, topic, partition, key, type, subject, sequence, time, correlation, causation, data,
       traceparent
FROM outbox WHERE id > $1 AND (SELECT published FROM relay) = $3 ORDER BY id LIMIT $2;

-- name: is_still_led
-- Whether epoch and mark are those that the leader knows.
SELECT epoch = $1 AND published = $2 FROM relay;

-- name: mark_published
-- Moves the published mark, unless a later leader has taken over.
UPDATE relay SET published = $1 WHERE epoch = $2 AND published <= $1;

-- name: set_aside
-- Notes events that the broker refuses, or that wait behind one of their key, unless a later leader has taken over.
INSERT INTO unsent (id, topic, key, state, reason, retry_at)
SELECT id, topic, key, $4, $5, CASE $4 WHEN 'refused' THEN now() + $6::interval ELSE 'infinity' END
FROM unnest($1::bigint[], $2::text[], $3::text[]) AS f (id, topic, key)
WHERE EXISTS (SELECT FROM relay WHERE epoch = $7)
ON CONFLICT (id) DO NOTHING;

-- name: unsent_keys
-- The keys, by topic, of which something is set aside.
SELECT DISTINCT topic, key FROM unsent;

-- name: due_unsent
-- Keys whose first event may be tried: one that was refused when it is due, one that was behind another at once.
SELECT topic, key
FROM (SELECT DISTINCT ON (topic, key) id, topic, key, state, retry_at FROM unsent ORDER BY topic, key, id) AS first
WHERE state = 'behind' OR retry_at <= now() ORDER BY id LIMIT $1;

-- name: unsent_of_key
-- What is set aside of one key, in order.
SELECT o.id, event_id, o.topic, partition, o.key, type, subject, sequence, time, correlation, causation, data,
       traceparent
FROM unsent u JOIN outbox o USING (id) WHERE u.topic = $1 AND u.key = $2 ORDER BY o.id LIMIT $3;

-- name: refused_again
-- The broker refuses an event again; it is tried twice as late the next time.
UPDATE unsent
SET state = 'refused', reason = $2, tries = tries + 1, tried_at = now(),
    retry_at = now() + least($3::interval * power(2, least(tries, 16)), $4::interval)
WHERE id = $1;

-- name: sent_at_last
-- Events that are out.
DELETE FROM unsent WHERE id = ANY($1::bigint[]);

-- name: unsent_events
-- What is set aside, behind one, oldest first.
SELECT u.id, u.topic, u.key, o.type, o.subject, o.sequence, octet_length(o.data) AS bytes, u.state, u.reason, u.tries,
       u.set_aside_at, u.tried_at, CASE WHEN isfinite(u.retry_at) THEN u.retry_at END AS retry_at
FROM unsent u JOIN outbox o USING (id) WHERE u.id > $1 ORDER BY u.id LIMIT $2;

-- name: unsent_event
-- One event that is set aside, with its data.
SELECT u.id, u.topic, u.key, o.type, o.subject, o.sequence, octet_length(o.data) AS bytes, u.state, u.reason, u.tries,
       u.set_aside_at, u.tried_at, CASE WHEN isfinite(u.retry_at) THEN u.retry_at END AS retry_at, o.data
FROM unsent u JOIN outbox o USING (id) WHERE u.id = $1;

-- name: try_unsent_now
-- Has the relay try at once what is set aside with the key of an event; of how many events.
WITH event AS (
    SELECT topic, key FROM unsent WHERE id = $1
), waiting AS (
    SELECT u.id, u.retry_at FROM unsent u JOIN event USING (topic, key)
), moved AS (
    UPDATE unsent u SET retry_at = now() FROM waiting w WHERE u.id = w.id AND isfinite(w.retry_at)
)
SELECT count(*) FROM waiting;

-- name: left_of_key
-- How many events of a key are still set aside, why, and whether one was refused since an instant.
SELECT count(*) AS events, min(reason) FILTER (WHERE state = 'refused') AS reason,
       coalesce(bool_or(state = 'refused' AND tried_at > $3), false) AS was_tried
FROM unsent WHERE topic = $1 AND key = $2;

-- name: unsent_count
-- How many events are set aside.
SELECT count(*) FROM unsent;

-- name: last_event
-- How far the outbox goes by now.
SELECT coalesce(max(id), 0) FROM outbox;

-- name: outbox_backlog
-- How many events wait to be published and since when.
SELECT count(*) AS events, coalesce(extract(epoch FROM now() - min(recorded_at)), 0)::float8 AS seconds
FROM outbox WHERE id > (SELECT published FROM relay);

-- name: parked_summary
-- How many events wait, by kind.
SELECT kind, count(*) AS events, count(*) FILTER (WHERE overdue_at < now()) AS overdue FROM parked GROUP BY kind;

-- name: move_horizon
-- Moves the instant before which things may be forgotten, given the age of the oldest record of our topics.
SELECT move_horizon($1);

-- name: forget_events
-- Forgets the oldest events before the horizon, at most so many; how many they were.
SELECT forget_facts($1);

-- name: forget_ids
-- Forgets the ids before the horizon on so many pages of the inbox; how many they were.
SELECT forget_ids($1, $2);

-- name: pages_of_inbox
-- How many pages the inbox has now.
SELECT pg_relation_size('inbox') / current_setting('block_size')::bigint;

-- name: kept_for
-- How long at least everything is kept.
SELECT keep FROM retention;

-- name: handled_offsets
-- How far these partitions are handled, and since when; locked, so that two consumers judge one after the other.
SELECT h.topic, h.partition, h.next_offset, h.moved_at
FROM handled_offsets h JOIN unnest($1::text[], $2::integer[]) AS wanted (topic, partition) USING (topic, partition)
ORDER BY h.topic, h.partition
FOR UPDATE OF h;

-- name: counts_offsets
-- Whether every process that commits offsets keeps them here too: those of the version before do not. `is_at_work`: it has
-- handled something, which a schema that was made anew has not.
SELECT offsets_since <= now() AS counts,
       EXISTS (SELECT FROM inbox) OR EXISTS (SELECT FROM cursors) OR EXISTS (SELECT FROM outbox) AS is_at_work
FROM retention;

-- name: set_handled_offsets
-- Sets how far partitions are handled, when they are assigned.
INSERT INTO handled_offsets AS h (topic, partition, next_offset)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[])
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = EXCLUDED.next_offset, moved_at = now()
WHERE h.next_offset <> EXCLUDED.next_offset;

-- name: keep_handled_offsets
-- Moves how far partitions are handled, never back: a consumer that was halted may come late.
INSERT INTO handled_offsets AS h (topic, partition, next_offset)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[])
ON CONFLICT (topic, partition) DO UPDATE SET next_offset = EXCLUDED.next_offset, moved_at = now()
WHERE h.next_offset < EXCLUDED.next_offset;

-- name: topic_seen
-- What this service has seen of a topic: its ids and numbers of partitions, the latest last.
SELECT topic_id, partitions FROM topics WHERE topic = $1 ORDER BY since, partitions;

-- name: note_topic
-- Keeps what a topic is, which another process may have seen before.
INSERT INTO topics (topic, topic_id, partitions) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: begin_offsets_anew
-- Nothing is handled of a topic that was created anew.
UPDATE handled_offsets SET next_offset = 0, moved_at = now() WHERE topic = $1 AND next_offset > 0;

-- name: note_gap
-- Keeps records that were never read; found again while it is open, a gap is the same one.
INSERT INTO gaps AS g (topic, partition, from_offset, to_offset, kind, last_read_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (topic, partition, from_offset) WHERE closed_at IS NULL
DO UPDATE SET to_offset = greatest(g.to_offset, EXCLUDED.to_offset)
RETURNING id;

-- name: gaps
-- Open gaps (all of them when asked) before one, newest first.
SELECT id, topic, partition, from_offset, to_offset, kind, since, last_read_at, closed_at, closed_by, close_reason
FROM gaps WHERE (closed_at IS NULL OR $1) AND id < $2 ORDER BY id DESC LIMIT $3;

-- name: lock_gap
-- One gap, locked while somebody closes it.
SELECT id, topic, partition, from_offset, to_offset, kind, since, last_read_at, closed_at, closed_by, close_reason
FROM gaps WHERE id = $1 FOR UPDATE;

-- name: close_gap
-- Closes a gap: by whom and why.
UPDATE gaps SET closed_at = now(), closed_by = $2, close_reason = $3 WHERE id = $1 AND closed_at IS NULL;

-- name: known_events
-- Which of these events the outbox has, asked for with their keys.
SELECT event_id FROM outbox WHERE key = ANY($1::text[]) AND event_id = ANY($2::uuid[]);
