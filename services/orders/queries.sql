-- name: lock_orders
-- The orders that a batch is about, locked in key order.
SELECT order_id, partner_id, state, payment_method, evidence, issue_policy, vat_mode, partner, expected,
       registered_by, registered_at, deposit_deadline, payment_id, paid_at, closed_at, amount, supply, vat,
       remaining_supply, remaining_vat, sequence, cancelled_payments
FROM orders
WHERE order_id = ANY(string_to_array($1, E'\x1f'))
ORDER BY order_id
FOR UPDATE;

-- name: lines_of_orders
-- Their lines in document order.
SELECT order_id, line_id, position, kind, product_id, product_name, unit_price, usage_days, quantity,
       paid, issuing, issued, refunding, refunded, issue_claimed_at, refund_claimed_at
FROM order_lines WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id, position;

-- name: claims_of_orders
-- Who claimed their units, each claim's lines in order.
SELECT order_id, claim_id, line_id, purpose, quantity, state, request_id, supply, vat, claimed_at, settled_at
FROM claims WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id, claim_id, position;

-- name: requests_and_cases_of_orders
-- Which requests to issue were answered, and their money in quarantine, in order.
SELECT order_id, NULL::smallint AS number, request_id, content, NULL AS payment_id, NULL AS reason,
       NULL::bigint AS amount, NULL::timestamptz AS opened_at, NULL::boolean AS taken_back
FROM issue_requests WHERE order_id = ANY(string_to_array($1, E'\x1f'))
UNION ALL
SELECT order_id, number, NULL, NULL, payment_id, reason, amount, opened_at, taken_back
FROM quarantine WHERE order_id = ANY(string_to_array($1, E'\x1f'))
ORDER BY order_id, number;

-- name: update_orders
-- What changed of known orders. Snapshot columns change only while an order is unpaid.
UPDATE orders t
SET partner_id = o.partner_id, state = o.state, payment_method = o.payment_method, evidence = o.evidence,
    issue_policy = o.issue_policy, vat_mode = o.vat_mode, partner = o.partner::json, expected = o.expected,
    registered_by = o.registered_by, registered_at = o.registered_at, deposit_deadline = o.deposit_deadline,
    payment_id = o.payment_id, paid_at = o.paid_at, closed_at = o.closed_at, amount = o.amount, supply = o.supply,
    vat = o.vat, remaining_supply = o.remaining_supply, remaining_vat = o.remaining_vat, sequence = o.sequence,
    cancelled_payments = string_to_array(o.cancelled_payments, E'\x1f')
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::bigint[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::text[], $14::timestamptz[],
            $15::timestamptz[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[],
            $21::integer[], $22::text[])
     AS o (order_id, partner_id, state, payment_method, evidence, issue_policy, vat_mode, partner, expected,
           registered_by, registered_at, deposit_deadline, payment_id, paid_at, closed_at, amount, supply,
           vat, remaining_supply, remaining_vat, sequence, cancelled_payments)
WHERE t.order_id = o.order_id;

-- name: drop_lines
-- Lines of an unpaid order that another payment replaces.
DELETE FROM order_lines WHERE order_id = ANY(string_to_array($1, E'\x1f')) AND paid = 0;

-- name: update_lines
-- The counters of known lines.
UPDATE order_lines t
SET paid = l.paid, issuing = l.issuing, issued = l.issued, refunding = l.refunding, refunded = l.refunded,
    issue_claimed_at = l.issue_claimed_at, refund_claimed_at = l.refund_claimed_at
FROM unnest(string_to_array($1, E'\x1f'), string_to_array($2, E'\x1f'), string_to_array($3, E'\x1f')::integer[],
            string_to_array($4, E'\x1f')::integer[], string_to_array($5, E'\x1f')::integer[],
            string_to_array($6, E'\x1f')::integer[], string_to_array($7, E'\x1f')::integer[],
            $8::timestamptz[], $9::timestamptz[])
     AS l (order_id, line_id, paid, issuing, issued, refunding, refunded, issue_claimed_at, refund_claimed_at)
WHERE t.order_id = l.order_id AND t.line_id = l.line_id;

-- name: settle_claims
-- Claims that were confirmed or given back.
UPDATE claims t SET state = c.state, settled_at = c.settled_at
FROM unnest($1::uuid[], $2::text[], $3::timestamptz[]) AS c (claim_id, state, settled_at)
WHERE t.claim_id = c.claim_id;

-- name: put_cases
-- Quarantine cases, new or taken back.
INSERT INTO quarantine (order_id, number, payment_id, reason, amount, opened_at, taken_back)
SELECT * FROM unnest($1::text[], $2::smallint[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[], $7::boolean[])
ON CONFLICT (order_id, number) DO UPDATE SET taken_back = EXCLUDED.taken_back;

-- name: withdrawn_partners
-- Which of these partners have left.
SELECT partner_id FROM partners WHERE withdrawn_at IS NOT NULL AND partner_id = ANY($1::text[]);

-- name: stop_orders
-- Held while a partner leaves, so that no order of it appears between the look and the decision.
LOCK TABLE orders IN EXCLUSIVE MODE;

-- name: lock_partners
-- Partners that once asked to leave, locked in key order.
SELECT partner_id, withdrawn_at, sequence FROM partners WHERE partner_id = ANY($1::text[]) ORDER BY partner_id FOR UPDATE;

-- name: requests_of_partners
-- Which requests to leave were answered.
SELECT partner_id, request_id, content FROM withdrawal_requests WHERE partner_id = ANY($1::text[]);

-- name: blockers_of_partners
-- Everything unfinished that keeps a partner from leaving, line by line.
SELECT o.partner_id, b.kind, o.order_id, l.line_id, b.quantity
FROM orders o
JOIN order_lines l USING (order_id)
CROSS JOIN LATERAL (VALUES
    ('pending_deposit', CASE WHEN o.state = 'pending_deposit' THEN l.quantity END),
    ('unissued_units', CASE WHEN l.kind = 'serials' THEN l.paid - l.issued - l.refunding - l.refunded END),
    ('refund_in_progress', l.refunding),
    ('uninvoiced_payment',
     CASE WHEN o.state IN ('paid', 'cancelled') AND o.evidence = 'tax_invoice' AND o.payment_method <> 'card'
               AND o.remaining_supply + o.remaining_vat > 0
               AND NOT EXISTS (SELECT FROM invoiced_payments i WHERE i.payment_id = o.payment_id)
          THEN l.paid - l.refunded END)
) AS b (kind, quantity)
WHERE o.partner_id = ANY($1::text[]) AND b.quantity > 0
ORDER BY o.partner_id, o.order_id, b.kind, l.position;

-- name: put_partners
-- Partners that asked to leave.
INSERT INTO partners (partner_id, withdrawn_at, sequence)
SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::integer[])
ON CONFLICT (partner_id) DO UPDATE SET withdrawn_at = EXCLUDED.withdrawn_at, sequence = EXCLUDED.sequence;

-- name: insert_withdrawal_requests
-- Requests to leave that are answered now.
INSERT INTO withdrawal_requests (partner_id, request_id, content)
SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[]) ON CONFLICT DO NOTHING;

-- name: note_invoiced
-- Payments whose invoice is issued.
INSERT INTO invoiced_payments (payment_id) SELECT DISTINCT unnest($1::text[]) ON CONFLICT DO NOTHING;

-- name: overdue_deposits
-- Orders whose deposit deadline has passed, and that were known long enough for a deposit made in time to be heard of.
SELECT order_id FROM orders
WHERE state = 'pending_deposit' AND deposit_deadline < now() - $1::interval AND recorded_at < now() - $1::interval
ORDER BY order_id LIMIT $2;
