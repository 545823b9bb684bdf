-- name: known_grants
-- Which of these grants are known already.
SELECT grant_id FROM grants WHERE grant_id = ANY($1::uuid[]);

-- name: lock_small_grants
-- Grants that one chunk can finish, oldest first; those in another worker's hands are passed over.
SELECT grant_id, batch_id, order_id, line_id, partner_id, product_id, product_name, unit_price, usage_days,
       quantity, issued, sequence, granted_at, registration_deadline, correlation, causation
FROM grants
WHERE state = 'issuing' AND quantity - issued <= $1
ORDER BY grant_id
LIMIT $2
FOR UPDATE SKIP LOCKED;

-- name: lock_large_grant
-- The oldest grant that takes more than one chunk and is in nobody's hands.
SELECT grant_id, batch_id, order_id, line_id, partner_id, product_id, product_name, unit_price, usage_days,
       quantity, issued, sequence, granted_at, registration_deadline, correlation, causation
FROM grants
WHERE state = 'issuing' AND quantity - issued > $1
ORDER BY grant_id
LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: advance_grants
-- Counts the units that exist now. The grants are locked by this transaction.
UPDATE grants g
SET issued = n.issued, state = n.state, sequence = n.sequence, issued_at = n.issued_at
FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::bigint[], $5::timestamptz[])
     AS n (grant_id, issued, state, sequence, issued_at)
WHERE g.grant_id = n.grant_id;
