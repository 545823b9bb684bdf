-- name: lock_orders
-- The orders that a batch is about, locked in key order so that no two batches can deadlock.
SELECT * FROM orders WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id FOR UPDATE;

-- name: lines_of_orders
-- Their lines, as they stood in the order.
SELECT * FROM order_lines WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id, position;

-- name: drop_lines
-- Lines of orders that were registered and are paid with another snapshot.
DELETE FROM order_lines WHERE order_id = ANY(string_to_array($1, E'\x1f'));

-- name: refunds_of_orders
-- Their refunds with units, oldest first.
SELECT r.*, coalesce(l.line_ids, '{}') AS line_ids, coalesce(l.quantities, '{}') AS quantities
FROM refunds r
LEFT JOIN LATERAL (
    SELECT array_agg(line_id ORDER BY position) AS line_ids, array_agg(quantity ORDER BY position) AS quantities
    FROM refund_lines WHERE refund_id = r.refund_id AND quantity > 0
) l ON true
WHERE r.order_id = ANY(string_to_array($1, E'\x1f'))
ORDER BY r.refund_id;

-- name: payouts_of_orders
-- What was paid out for their refunds, each refund's payouts in their order.
SELECT r.order_id, p.* FROM refund_payouts p JOIN refunds r USING (refund_id)
WHERE r.order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY p.refund_id, p.position;

-- name: failures_of_orders
-- Which payouts of their refunds failed.
SELECT r.order_id, f.* FROM payout_failures f JOIN refunds r USING (refund_id)
WHERE r.order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY f.refund_id, f.payout_id;

-- name: read_details
-- The sealed details that a reference names.
SELECT reference, sealed FROM refund_details WHERE reference = $1;

-- name: todo_refunds
-- Refunds that are not at their end, by state, its reason, the Seoul day from which their time counts, and the day on
-- which their money is expected. A bounced one is owed anew from its bounce.
SELECT r.state, coalesce(r.why, '') AS why, b.since::date AS day, r.expected_on, count(*) AS count,
       sum(r.amount)::bigint AS won, min(h.at) AS state_since, min(r.requested_at) AS requested_at,
       (array_agg(r.refund_id::text ORDER BY r.requested_at, r.refund_id))[1:20] AS members
FROM refunds r
LEFT JOIN refund_history h
  ON r.state IN ('bounced', 'repaying') AND h.refund_id = r.refund_id AND h.position = r.steps
CROSS JOIN LATERAL (
    SELECT coalesce(h.at, r.requested_at) AT TIME ZONE INTERVAL '+09:00'
) AS b (since)
WHERE r.state IN ('held', 'in_review', 'accepted', 'paying_out', 'unknown', 'failed', 'bounced', 'repaying')
GROUP BY 1, 2, 3, 4;

-- name: find_refund
-- The refund of this id.
SELECT refund_id, refund_request_id, order_id, state, why, amount FROM refunds WHERE refund_id = $1;

-- name: find_refund_request
-- Refunds that were asked for under this id; each order has its own.
SELECT refund_id, refund_request_id, order_id, state, why, amount
FROM refunds WHERE refund_request_id = $1 ORDER BY order_id, refund_id LIMIT 20;

-- name: find_payout
-- Refunds with a payout of this id.
SELECT r.refund_id, r.refund_request_id, r.order_id, r.state, r.why, r.amount
FROM refund_payouts p JOIN refunds r USING (refund_id) WHERE p.payout_id = $1 ORDER BY r.refund_id LIMIT 20;

-- name: order_of_refund
-- The order of a refund.
SELECT order_id FROM refunds WHERE refund_id = $1;

-- name: refund_to_show
-- A refund and whose order it is of.
SELECT r.refund_id, r.refund_request_id, r.order_id, o.partner_id, r.state, r.why, r.reason, r.requested_by, r.requested_at,
       r.everything, r.destination_kind, r.destination_masked, r.supply, r.vat, r.fee, r.amount, r.expected_on, r.completed_at
FROM refunds r JOIN orders o USING (order_id) WHERE r.refund_id = $1;

-- name: lines_of_refund
-- Its units.
SELECT line_id, quantity FROM refund_lines WHERE refund_id = $1 AND quantity > 0 ORDER BY position;

-- name: steps_of_refund
-- Every change of it: when, who, why.
SELECT state, at, actor, reason, note FROM refund_history WHERE refund_id = $1 ORDER BY position;

-- name: payouts_of_refund
-- The payouts that were made for it.
SELECT payout_id, state, amount, paid_out_at FROM refund_payouts WHERE refund_id = $1 ORDER BY position;

-- name: has_left
-- Whether a partner has left.
SELECT EXISTS (SELECT FROM withdrawn_partners WHERE partner_id = $1);
