-- name: lock_granted
-- The orders of which something is to be said, as rows of their table, locked in key order; which of these grants are recorded
-- already, as it was before anybody was waited for: the primary key refuses one that was recorded meanwhile.
SELECT ARRAY(SELECT o FROM orders o WHERE order_id = ANY(string_to_array($1, E'\x1f'))
             ORDER BY order_id FOR UPDATE) AS orders,
       ARRAY(SELECT grant_id FROM grants WHERE grant_id = ANY($2::uuid[])) AS recorded;

-- name: lock_orders
-- The orders of which something is to be said, locked in key order.
SELECT * FROM orders WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id FOR UPDATE;

-- name: lock_grants_of
-- The grants of these serials, locked in key order.
SELECT * FROM grants WHERE grant_id IN (SELECT grant_id FROM serials WHERE serial_id = ANY($1::uuid[]))
ORDER BY grant_id FOR UPDATE;

-- name: grants_by_id
-- These grants, as far as nothing of them changes.
SELECT * FROM grants WHERE grant_id = ANY($1::uuid[]);

-- name: lock_serials
-- What these serials are, without what is secret of them; locked in key order.
SELECT serial_id, grant_id, replaces, state, account, registered_at, usage_ends_at, revoked_at, revoke_reason
FROM serials WHERE serial_id = ANY($1::uuid[]) ORDER BY serial_id FOR UPDATE;

-- name: register_serials
-- Each of these active serials is registered, once.
UPDATE serials s
SET state = 'registered', account = n.account, registered_at = n.registered_at, usage_ends_at = n.usage_ends_at
FROM unnest($1::uuid[], $2::bytea[], $3::timestamptz[], $4::timestamptz[])
     AS n (serial_id, account, registered_at, usage_ends_at)
WHERE s.serial_id = n.serial_id AND s.state = 'active';

-- name: revoke_serials
-- Each of these active serials dies, for ever; its look-up tag stays, so that it is never made again.
UPDATE serials s SET state = 'revoked', revoked_at = n.revoked_at, revoke_reason = n.reason
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[]) AS n (serial_id, revoked_at, reason)
WHERE s.serial_id = n.serial_id AND s.state = 'active';

-- name: add_reissued
-- New serials, each in the place of one that died.
INSERT INTO serials (home, serial_id, grant_id, replaces, lookup_tag, text, last_four, key_id)
SELECT g.home, n.serial_id, grant_id, n.replaces, n.lookup_tag, n.text, convert_from(n.last_four, 'UTF8'), $7
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bytea[], $5::bytea[], $6::bytea[])
     AS n (serial_id, grant_id, replaces, lookup_tag, text, last_four)
JOIN grants g USING (grant_id);

-- name: typed_serials
-- One row for each attempt, in their order: how often its account and its address have failed in its window, which keys
-- that were used nobody has here, and the serial under one of its tags (16 bytes each), where there is one for its partner.
-- Each attempt takes the same steps, whatever was typed. Arrays that are selected tell the planner nothing: else it makes a
-- plan anew for every look, which takes longer than the look, and the longer the more homes there are.
SELECT coalesce((SELECT f.failures FROM failed_attempts f
                 WHERE f.window_start = a.window_start AND f.who = a.account), 0) AS of_account,
       coalesce((SELECT f.failures FROM failed_attempts f
                 WHERE f.window_start = a.window_start AND f.who = a.address), 0) AS of_address,
       k.missing, s.*
FROM unnest((SELECT $1::bytea[]), (SELECT $2::timestamptz[]), (SELECT $3::bytea[]), (SELECT $4::bytea[]),
            (SELECT $5::text[])) WITH ORDINALITY AS a (tags, window_start, account, address, partner_id, number)
CROSS JOIN (SELECT array_agg(key_id ORDER BY key_id) AS missing
             FROM serial_keys WHERE retired_at IS NULL AND key_id <> ALL((SELECT $6::text[])::text[])) k
LEFT JOIN LATERAL (
    SELECT s.serial_id, s.grant_id, s.state, s.last_four, g.batch_id, g.order_id, g.registration_deadline,
           g.product_id, g.product_name, g.usage_days
    FROM serials s JOIN grants g USING (grant_id)
    WHERE s.lookup_tag = ANY(ARRAY(SELECT substr(a.tags, place, 16)
                                   FROM generate_series(1, octet_length(a.tags), 16) AS place))
      AND (a.partner_id IS NULL OR g.partner_id = a.partner_id)
    LIMIT 1
) s ON true
ORDER BY a.number;

-- name: is_any_serial
-- Whether a serial is under one of these tags.
SELECT EXISTS (SELECT FROM serials WHERE lookup_tag = ANY(ARRAY(SELECT unnest($1::bytea[]))));

-- name: count_failure
-- One more failure in a window of each of these, in the order in which everybody locks them.
INSERT INTO failed_attempts (window_start, who, failures)
SELECT $1, who, 1 FROM unnest($2::bytea[]) AS who ORDER BY who
ON CONFLICT (window_start, who) DO UPDATE SET failures = failed_attempts.failures + 1;

-- name: failures_in_window
-- How often anybody has failed in a window.
SELECT coalesce(sum(failures), 0)::bigint AS failures
FROM failed_attempts WHERE window_start = $1 AND who = ANY($2::bytea[]);

-- name: forget_failures
-- What was counted in windows that began before an instant is of no more use.
DELETE FROM failed_attempts WHERE window_start < $1;

-- name: registration_of
-- How a serial stands, whose it is, and what took its place.
SELECT s.serial_id, s.state, s.account, s.registered_at, s.usage_ends_at, s.revoked_at, s.replaces,
       (SELECT n.serial_id FROM serials n WHERE n.replaces = s.serial_id) AS replaced_by,
       g.order_id, g.partner_id, g.registration_deadline, g.product_id, g.product_name, g.usage_days
FROM serials s JOIN grants g USING (grant_id) WHERE s.serial_id = $1;

-- name: note_key
-- Serials are made with this key: until the commit nobody retires it, and one that was retired is in use again. Whoever
-- retires it holds its row, so that this waits for him, and then sees what he has done.
WITH held AS MATERIALIZED (SELECT retired_at FROM serial_keys WHERE key_id = $1 FOR KEY SHARE)
INSERT INTO serial_keys (key_id) SELECT $1 WHERE NOT EXISTS (SELECT FROM held WHERE retired_at IS NULL)
ON CONFLICT (key_id) DO UPDATE SET retired_at = NULL;

-- name: serial_keys
-- Every key that serials were ever made with, and how far its rotation is.
SELECT * FROM serial_keys ORDER BY first_used_at, key_id;

-- name: lock_keys
-- The same for whoever begins a rotation: no other one is begun and no chunk re-keyed meanwhile; serials go on being made.
SELECT * FROM serial_keys ORDER BY key_id FOR NO KEY UPDATE;

-- name: count_by_key
-- How many serials are under each key: reads all serials that there are.
SELECT key_id, count(*) AS serials FROM serials GROUP BY key_id;

-- name: begin_rotation
-- The serials of these keys are put under another one.
UPDATE serial_keys k
SET rotated_to = $1, rotated_at = $2, to_rekey = n.serials, rekeyed = 0, stands_at = NULL,
    rekeyed_up_to = '00000000-0000-0000-0000-000000000000'
FROM unnest($3::text[], $4::bigint[]) AS n (key_id, serials) WHERE k.key_id = n.key_id;

-- name: resume_rotation
-- A rotation to this key that stands still goes on where it was.
UPDATE serial_keys SET stands_at = NULL WHERE rotated_to = $1 AND stands_at IS NOT NULL;

-- name: end_rotation
-- The serials of this key stay under it.
UPDATE serial_keys SET rotated_to = NULL, rotated_at = NULL, stands_at = NULL, retired_at = NULL
WHERE key_id = $1 AND rotated_to IS NOT NULL;

-- name: key_to_rotate
-- An old key whose serials are to be put under this one, of those that are here.
SELECT key_id FROM serial_keys
WHERE rotated_to = $1 AND retired_at IS NULL AND stands_at IS NULL AND key_id = ANY($2::text[]) ORDER BY key_id LIMIT 1;

-- name: lock_rotation
-- How far that is, unless another worker has it; serials go on being made under either key.
SELECT rekeyed_up_to FROM serial_keys
WHERE key_id = $1 AND rotated_to = $2 AND retired_at IS NULL AND stands_at IS NULL FOR NO KEY UPDATE SKIP LOCKED;

-- name: end_of_window
-- The last of the next so many serials behind an id, under whatever key they are; none behind the last one.
SELECT serial_id FROM (SELECT serial_id FROM serials WHERE serial_id > $1 ORDER BY serial_id LIMIT $2) AS w
ORDER BY serial_id DESC LIMIT 1;

-- name: serials_to_rekey
-- The serials of a window that are under a key, locked in key order. One that somebody else works on is left for the next
-- pass: whoever holds serials here waits for nobody.
SELECT serial_id, text, lookup_tag FROM serials
WHERE serial_id > $1 AND serial_id <= $2 AND key_id = $3 ORDER BY serial_id FOR UPDATE SKIP LOCKED;

-- name: rekey_serials
-- Each of these serials is put under another key; what became of it stays.
UPDATE serials s SET lookup_tag = n.lookup_tag, text = n.text, key_id = $4
FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS n (serial_id, lookup_tag, text)
WHERE s.serial_id = n.serial_id;

-- name: note_rekeyed
-- A pass came so far, and so many more serials are re-keyed.
UPDATE serial_keys SET rekeyed_up_to = $2, rekeyed = rekeyed + $3 WHERE key_id = $1;

-- name: stop_rotation
-- The rotation of a key stands still at this serial.
UPDATE serial_keys SET stands_at = $3 WHERE key_id = $1 AND rotated_to = $2;

-- name: lock_key_to_retire
-- A key that is rotated, once no transaction goes on that makes serials with it.
SELECT key_id FROM serial_keys WHERE key_id = $1 AND rotated_to = $2 AND retired_at IS NULL FOR UPDATE;

-- name: is_key_used
-- Whether any serial is under a key: reads all serials that there are, if none is. Those of a home that is not yet open
-- cannot be seen, and may be.
SELECT EXISTS (SELECT FROM grants WHERE home > 0 AND state = 'issuing')
    OR EXISTS (SELECT FROM serials WHERE key_id = $1);

-- name: retire_key
-- No serial is under this key.
UPDATE serial_keys SET retired_at = now() WHERE key_id = $1;

-- name: count_expired
-- How many serials of grants whose window ended before an instant were neither registered nor revoked, written down
-- once, for some of those grants; the others are in other hands, or for the next time.
UPDATE grants g
SET expired = (SELECT count(*) FROM serials s
               WHERE s.home = g.home
                 AND s.serial_id BETWEEN g.batch_id AND overlay(g.batch_id::text PLACING 'ffffff' FROM 31)::uuid
                 AND s.state = 'active')
WHERE g.grant_id IN (SELECT grant_id FROM grants
                     WHERE expired IS NULL AND state = 'issued' AND registration_deadline < $1
                     ORDER BY registration_deadline LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING g.expired;

-- name: make_home
-- A home for the serials of one grant, unless there are so many already: then they live with all others.
SELECT CASE WHEN count(*) < $1 THEN make_home() ELSE 0 END FROM grants WHERE home > 0;

-- name: index_home
-- Indexes a home whose serials are all there.
SELECT index_home($1);

-- name: open_home
-- Makes an indexed home a part of all serials.
SELECT open_home($1);

-- name: lock_small_grants
-- Grants that one chunk can finish in the home of all, oldest first; those in another worker's hands are passed over.
SELECT * FROM grants
WHERE state = 'issuing' AND quantity - issued <= $1 AND home = 0
ORDER BY grant_id
LIMIT $2
FOR UPDATE SKIP LOCKED;

-- name: lock_large_grant
-- The oldest grant that takes more than one chunk, or has a home of its own, and is in nobody's hands.
SELECT * FROM grants
WHERE state = 'issuing' AND (quantity - issued > $1 OR home > 0)
ORDER BY grant_id
LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: todo_grants
-- Grants whose serials do not all exist and of which nothing was said since an instant.
SELECT count(*) AS count, sum(quantity - issued)::bigint AS units, min(recorded_at) AS since,
       (array_agg(order_id ORDER BY recorded_at, order_id))[1:20] AS members
FROM grants g
WHERE state = 'issuing' AND recorded_at < $1
  AND NOT EXISTS (SELECT FROM outbox o
                  WHERE o.key = g.order_id AND o.type = 'issuance.progressed.v1' AND o.recorded_at >= $1)
HAVING count(*) > 0;

-- name: todo_keys
-- Old keys that serials are under, one row each: those that are rotated, and those that were followed by another one.
SELECT k.key_id, k.rotated_to, k.stands_at, coalesce(k.rotated_at, n.followed_at) AS since
FROM serial_keys k
CROSS JOIN LATERAL (
    SELECT min(n.first_used_at) AS followed_at FROM serial_keys n
    WHERE n.first_used_at > k.first_used_at AND n.rotated_to IS NULL
) AS n
WHERE k.retired_at IS NULL AND (k.rotated_to IS NOT NULL OR n.followed_at IS NOT NULL)
ORDER BY k.key_id;

-- name: find_grant
-- The grant of this id.
SELECT grant_id, order_id, quantity, issued FROM grants WHERE grant_id = $1;

-- name: find_serial
-- The serial of this id.
SELECT s.serial_id, s.last_four, g.order_id,
       CASE WHEN s.state = 'active' AND g.registration_deadline < now() THEN 'expired' ELSE s.state END AS state
FROM serials s JOIN grants g USING (grant_id) WHERE s.serial_id = $1;

-- name: find_last_four
-- Serials of an order that end like this. Each grant's serials are one range of ids, read in their order, so that no plan
-- reads all serials that there are.
SELECT s.serial_id, s.last_four, g.order_id,
       CASE WHEN s.state = 'active' AND g.registration_deadline < now() THEN 'expired' ELSE s.state END AS state
FROM grants g CROSS JOIN LATERAL (
    SELECT serial_id, last_four, state FROM serials
    WHERE home = g.home AND last_four = $2
      AND serial_id BETWEEN g.batch_id AND overlay(g.batch_id::text PLACING 'ffffff' FROM 31)::uuid
    ORDER BY serial_id LIMIT 20
) AS s
WHERE g.order_id = $1 LIMIT 20;

-- name: grant_of_id
-- The grant of this id.
SELECT * FROM grants WHERE grant_id = $1;

-- name: grants_of_order
-- A page of the grants of an order; those of one partner unless that is null.
SELECT * FROM grants
WHERE order_id = $1 AND ($2::text IS NULL OR partner_id = $2) AND grant_id > $3
ORDER BY grant_id LIMIT $4;

-- name: grants_of_partner
-- A page of the grants of a partner.
SELECT * FROM grants WHERE partner_id = $1 AND grant_id > $2 ORDER BY grant_id LIMIT $3;

-- name: registered_of_grants
-- How many serials of these grants are registered: counted one by one, until the end of its window has told it.
SELECT g.grant_id, CASE WHEN g.expired IS NOT NULL THEN g.issued + g.reissued - g.revoked - g.expired ELSE (
    SELECT count(*) FROM serials s
    WHERE s.home = g.home
      AND s.serial_id BETWEEN g.batch_id AND overlay(g.batch_id::text PLACING 'ffffff' FROM 31)::uuid
      AND s.state = 'registered'
) END AS registered
FROM grants g WHERE g.grant_id = ANY($1::uuid[]);

-- name: serials_to_hand_out
-- Serials of a home in a range of ids, in a state or (null) in any, in the order of their units.
SELECT key_id, text, lookup_tag FROM serials
WHERE home = $1 AND serial_id BETWEEN $2 AND $3 AND ($4::text IS NULL OR state = $4)
ORDER BY serial_id;

-- name: count_serials_to_hand_out
-- How many serials `serials_to_hand_out` has, by the keys that open them.
SELECT key_id, count(*) AS serials FROM serials
WHERE home = $1 AND serial_id BETWEEN $2 AND $3 AND ($4::text IS NULL OR state = $4)
GROUP BY key_id;

-- name: page_of_serials
-- A page of the serials that `serials_to_hand_out` has, with their ids and states.
SELECT serial_id, state, key_id, text, lookup_tag FROM serials
WHERE home = $1 AND serial_id BETWEEN $2 AND $3 AND ($4::text IS NULL OR state = $4)
ORDER BY serial_id LIMIT $5;

-- name: wait_for_caller
-- Lets this transaction be idle for so long: whoever is sent serials may be slow. Under another name no sweep ends it.
SELECT set_config('idle_in_transaction_session_timeout', $1, true),
       set_config('application_name', current_setting('application_name') || '-export', true);

-- name: custody_of_grant
-- A page of who was handed serials of a grant, or looked one up, the newest first.
SELECT * FROM custody WHERE grant_id = $1 AND custody_id < $2 ORDER BY custody_id DESC LIMIT $3;

-- name: custody_of_watermark
-- Who was handed what carries this watermark, and of which order it was.
SELECT c.*, g.order_id, g.partner_id AS partner_of_order
FROM custody c JOIN grants g USING (grant_id) WHERE c.watermark = $1;

-- name: erase_custody
-- Erases which of a partner's people were handed serials, or looked one up.
SELECT erase_custody($1);

-- name: has_left
-- Whether a partner has left.
SELECT EXISTS (SELECT FROM withdrawn_partners WHERE partner_id = $1);

-- name: evidence_owner
-- Whose order it is.
SELECT partner_id FROM grants WHERE order_id = $1 LIMIT 1;

-- name: evidence_issuances
-- What was granted to be issued, how many serials exist, and what became of them.
SELECT g.grant_id, g.line_id, g.product_id, g.product_name, g.usage_days, g.quantity, g.issued, g.state,
       CASE WHEN g.expired IS NOT NULL THEN g.issued + g.reissued - g.revoked - g.expired ELSE (
           SELECT count(*) FROM serials s
           WHERE s.home = g.home
             AND s.serial_id BETWEEN g.batch_id AND overlay(g.batch_id::text PLACING 'ffffff' FROM 31)::uuid
             AND s.state = 'registered'
       ) END AS registered,
       g.revoked, g.reissued, g.expired, g.granted_at, g.issued_at, g.registration_deadline
FROM grants g WHERE g.order_id = $1 ORDER BY g.granted_at, g.grant_id;

-- name: evidence_hand_outs
-- Who was handed its serials, or looked one up, and when.
SELECT c.custody_id, c.recorded_at, c.form, c.actor, c.partner_id, c.client, c.request, c.reason, c.grant_id,
       c.first_unit, c.last_unit, c.state, c.serials, c.watermark, g.partner_id AS owner
FROM grants g JOIN custody c USING (grant_id) WHERE g.order_id = $1 ORDER BY c.custody_id;

-- name: evidence_registrations
-- How many of its serials were registered on each day in Seoul.
SELECT g.grant_id, (s.registered_at AT TIME ZONE INTERVAL '+09:00')::date AS day, count(*) AS count,
       min(s.registered_at) AS first_at
FROM grants g
JOIN serials s ON s.home = g.home
    AND s.serial_id BETWEEN g.batch_id AND overlay(g.batch_id::text PLACING 'ffffff' FROM 31)::uuid
WHERE g.order_id = $1 AND s.state = 'registered' GROUP BY g.grant_id, day ORDER BY day, g.grant_id;

-- name: evidence_revocations
-- How many of its serials were revoked on each day in Seoul, and how many of those had another one made in their place.
SELECT g.grant_id, (s.revoked_at AT TIME ZONE INTERVAL '+09:00')::date AS day, count(*) AS count,
       count(*) FILTER (WHERE s.revoke_reason = 'reissued') AS reissued, min(s.revoked_at) AS first_at
FROM grants g
JOIN serials s ON s.home = g.home
    AND s.serial_id BETWEEN g.batch_id AND overlay(g.batch_id::text PLACING 'ffffff' FROM 31)::uuid
WHERE g.order_id = $1 AND s.state = 'revoked' GROUP BY g.grant_id, day ORDER BY day, g.grant_id;
