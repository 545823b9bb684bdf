-- name: recorded_grants
-- Which of these grants are recorded already.
SELECT grant_id FROM grants WHERE grant_id = ANY($1::uuid[]);

-- name: lock_orders
-- The orders of which something is to be said, locked in key order.
SELECT * FROM orders WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id FOR UPDATE;

-- name: lock_small_grants
-- Grants that one chunk can finish, oldest first; those in another worker's hands are passed over.
SELECT * FROM grants
WHERE state = 'issuing' AND quantity - issued <= $1
ORDER BY grant_id
LIMIT $2
FOR UPDATE SKIP LOCKED;

-- name: lock_large_grant
-- The oldest grant that takes more than one chunk and is in nobody's hands.
SELECT * FROM grants
WHERE state = 'issuing' AND quantity - issued > $1
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

-- name: find_grant
-- The grant of this id.
SELECT grant_id, order_id, quantity, issued FROM grants WHERE grant_id = $1;

-- name: find_serial
-- The serial of this id.
SELECT s.serial_id, s.last_four, s.state, g.order_id FROM serials s JOIN grants g USING (grant_id) WHERE s.serial_id = $1;

-- name: find_last_four
-- Serials of an order that end like this. Each grant's serials are one range of ids, read in their order, so that no plan
-- reads all serials that there are.
SELECT s.serial_id, s.last_four, s.state, g.order_id
FROM grants g CROSS JOIN LATERAL (
    SELECT serial_id, last_four, state FROM serials
    WHERE serial_id BETWEEN g.batch_id AND overlay(g.batch_id::text PLACING 'ffffff' FROM 31)::uuid AND last_four = $2
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
    WHERE s.serial_id BETWEEN g.batch_id AND overlay(g.batch_id::text PLACING 'ffffff' FROM 31)::uuid
      AND s.state = 'registered'
) END AS registered
FROM grants g WHERE g.grant_id = ANY($1::uuid[]);

-- name: serials_to_hand_out
-- Serials of a range of ids, in a state or (null) in any, in the order of their units.
SELECT key_id, text, lookup_tag FROM serials
WHERE serial_id BETWEEN $1 AND $2 AND ($3::text IS NULL OR state = $3)
ORDER BY serial_id;

-- name: count_serials_to_hand_out
-- How many serials `serials_to_hand_out` has, by the keys that open them.
SELECT key_id, count(*) AS serials FROM serials
WHERE serial_id BETWEEN $1 AND $2 AND ($3::text IS NULL OR state = $3)
GROUP BY key_id;

-- name: page_of_serials
-- A page of the serials that `serials_to_hand_out` has, with their ids and states.
SELECT serial_id, state, key_id, text, lookup_tag FROM serials
WHERE serial_id BETWEEN $1 AND $2 AND ($3::text IS NULL OR state = $3)
ORDER BY serial_id LIMIT $4;

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
