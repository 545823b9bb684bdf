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
