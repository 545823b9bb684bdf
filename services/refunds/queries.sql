-- name: lock_orders
-- Locks and reads the orders that a batch is about, in key order so that no two batches can deadlock.
SELECT order_id, state, payment_method, vat_mode, partner_id, partner_name, payment_id,
       paid_supply, paid_vat, remaining_supply, remaining_vat, paid_at, ended_at
FROM orders
WHERE order_id = ANY(string_to_array($1, E'\x1f'))
ORDER BY order_id
FOR UPDATE;

-- name: read_lines
-- The lines of locked orders, as they stood in the order.
SELECT order_id, line_id, position, kind, unit_price, paid, granted, refunding, refunded, taken_back,
       last_granted_at, locked, locks
FROM order_lines
WHERE order_id = ANY(string_to_array($1, E'\x1f'))
ORDER BY order_id, position;

-- name: read_refunds
-- The refunds of locked orders with their units and payouts, oldest first.
SELECT r.*,
       coalesce(l.line_ids, '{}') AS line_ids,
       coalesce(l.quantities, '{}') AS quantities,
       coalesce(p.payouts, '{}') AS payouts
FROM refunds r
LEFT JOIN LATERAL (
    SELECT array_agg(line_id ORDER BY position) AS line_ids, array_agg(quantity ORDER BY position) AS quantities
    FROM refund_lines WHERE refund_id = r.refund_id AND quantity > 0
) l ON true
LEFT JOIN LATERAL (
    SELECT array_agg(payout_id ORDER BY position) AS payouts
    FROM refund_payouts WHERE refund_id = r.refund_id
) p ON true
WHERE r.order_id = ANY(string_to_array($1, E'\x1f'))
ORDER BY r.refund_id;

-- name: update_orders
-- Locked orders whose payment or remaining money changed.
UPDATE orders o
SET state = n.state, payment_method = n.payment_method, vat_mode = n.vat_mode, partner_id = n.partner_id,
    partner_name = n.partner_name, payment_id = n.payment_id, paid_supply = n.paid_supply, paid_vat = n.paid_vat,
    remaining_supply = n.remaining_supply, remaining_vat = n.remaining_vat, paid_at = n.paid_at,
    ended_at = n.ended_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::timestamptz[], $13::timestamptz[])
     AS n (order_id, state, payment_method, vat_mode, partner_id, partner_name, payment_id,
           paid_supply, paid_vat, remaining_supply, remaining_vat, paid_at, ended_at)
WHERE o.order_id = n.order_id;

-- name: update_lines
-- Lines of locked orders whose units moved.
UPDATE order_lines l
SET position = n.position, kind = n.kind, unit_price = n.unit_price, paid = n.paid, granted = n.granted,
    refunding = n.refunding, refunded = n.refunded, taken_back = n.taken_back,
    last_granted_at = n.last_granted_at, locked = n.locked, locks = n.locks
FROM unnest(string_to_array($1, E'\x1f'), string_to_array($2, E'\x1f'), string_to_array($3, E'\x1f')::integer[],
            string_to_array($4, E'\x1f'), string_to_array($5, E'\x1f')::bigint[],
            string_to_array($6, E'\x1f')::integer[], string_to_array($7, E'\x1f')::integer[],
            string_to_array($8, E'\x1f')::integer[], string_to_array($9, E'\x1f')::integer[],
            string_to_array($10, E'\x1f')::integer[], string_to_array($11, E'\x1f')::boolean[],
            string_to_array($12, E'\x1f')::integer[], $13::timestamptz[])
     AS n (order_id, line_id, position, kind, unit_price, paid, granted, refunding, refunded, taken_back,
           locked, locks, last_granted_at)
WHERE l.order_id = n.order_id AND l.line_id = n.line_id;

-- name: save_refunds
-- New and changed refunds; what was requested never changes.
INSERT INTO refunds AS r (refund_id, order_id, refund_request_id, content, state, requested_by, role, reason,
                          everything, requested_at, destination_kind, destination_reference, destination_masked,
                          why, why_at, supply, vat, fee, expected_on, completed_at, sequence, steps)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::boolean[], $10::timestamptz[], $11::text[], $12::uuid[], $13::text[],
                     $14::text[], $15::timestamptz[], $16::bigint[], $17::bigint[], $18::bigint[], $19::date[],
                     $20::timestamptz[], $21::bigint[], $22::integer[])
ON CONFLICT (refund_id) DO UPDATE
SET state = EXCLUDED.state, why = EXCLUDED.why, why_at = EXCLUDED.why_at, supply = EXCLUDED.supply,
    vat = EXCLUDED.vat, fee = EXCLUDED.fee, expected_on = EXCLUDED.expected_on,
    completed_at = EXCLUDED.completed_at, sequence = EXCLUDED.sequence, steps = EXCLUDED.steps;

-- name: save_refund_lines
-- The units of new refunds, and of refunds of everything once they are known: at first those that orders was
-- asked for, then those that it granted.
INSERT INTO refund_lines AS l (refund_id, line_id, order_id, position, quantity)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::integer[], $5::integer[])
ON CONFLICT (refund_id, line_id) DO UPDATE SET quantity = EXCLUDED.quantity, position = EXCLUDED.position;

-- name: add_payouts
-- Payouts that were made.
INSERT INTO refund_payouts (refund_id, payout_id, position)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::integer[]);

-- name: add_history
-- What happened to refunds in this batch.
INSERT INTO refund_history (refund_id, position, state, at, actor, reason, note)
SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::timestamptz[], $5::text[], $6::text[],
                     $7::text[]);

-- name: add_details
-- Sealed bank accounts and free texts of new requests.
INSERT INTO refund_details (reference, refund_id, order_id, sealed)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[]);

-- name: read_details
-- The sealed details that a reference names.
SELECT reference, sealed FROM refund_details WHERE reference = $1;
