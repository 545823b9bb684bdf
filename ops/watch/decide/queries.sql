-- name: has_waiting
-- Whether an event waits with this key for another one.
SELECT EXISTS (SELECT FROM parked WHERE key = $1 AND kind = 'waiting');

-- name: refunds_to_withdraw
-- Refunds of an order that its requester can still take back.
SELECT refund_id, refund_request_id FROM refunds WHERE order_id = $1 AND state IN ('held', 'in_review')
ORDER BY requested_at, refund_id;
