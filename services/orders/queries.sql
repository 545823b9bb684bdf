-- name: lock_orders
-- The orders that a batch is about, locked in key order.
SELECT * FROM orders WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id FOR UPDATE;

-- name: lines_of_orders
-- Their lines in document order.
SELECT * FROM order_lines WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id, position;

-- name: claims_of_orders
-- Who claimed their units, each claim's lines in order.
SELECT * FROM claims WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id, claim_id, position;

-- name: requests_of_orders
-- Which requests to issue were answered.
SELECT * FROM issue_requests WHERE order_id = ANY(string_to_array($1, E'\x1f'));

-- name: cases_of_orders
-- Their money in quarantine, in order.
SELECT * FROM quarantine WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id, number;

-- name: drop_lines
-- Lines of an unpaid order that another payment replaces.
DELETE FROM order_lines WHERE order_id = ANY(string_to_array($1, E'\x1f')) AND paid = 0;

-- name: withdrawn_partners
-- Which of these partners have left.
SELECT partner_id FROM partners WHERE withdrawn_at IS NOT NULL AND partner_id = ANY($1::text[]);

-- name: stop_orders
-- Held while a partner leaves, so that no order of it appears between the look and the decision.
LOCK TABLE orders IN EXCLUSIVE MODE;

-- name: lock_partners
-- Partners that once asked to leave, locked in key order.
SELECT * FROM partners WHERE partner_id = ANY($1::text[]) ORDER BY partner_id FOR UPDATE;

-- name: requests_of_partners
-- Which requests to leave were answered.
SELECT * FROM withdrawal_requests WHERE partner_id = ANY($1::text[]);

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

-- name: note_invoiced
-- Payments whose invoice is issued.
INSERT INTO invoiced_payments (payment_id) SELECT DISTINCT unnest($1::text[]) ON CONFLICT DO NOTHING;

-- name: overdue_deposits
-- Orders whose deposit deadline has passed, and that were known long enough for a deposit made in time to be heard of.
SELECT order_id FROM orders
WHERE state = 'pending_deposit' AND deposit_deadline < now() - $1::interval AND recorded_at < now() - $1::interval
ORDER BY order_id LIMIT $2;
