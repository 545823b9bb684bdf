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
