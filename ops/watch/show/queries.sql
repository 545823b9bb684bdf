-- name: orders_of_partner
-- The partner's latest orders, with what they are worth.
SELECT order_id, state, CASE WHEN payment_id IS NULL THEN expected ELSE amount END AS won, coalesce(paid_at, registered_at) AS at
FROM orders WHERE partner_id = $1 ORDER BY coalesce(paid_at, registered_at) DESC, order_id LIMIT $2;

-- name: money_of_partner
-- All its orders by state; won that were paid, and what is left of them.
SELECT state, count(*) AS count, sum(amount)::bigint AS paid, sum(remaining_supply + remaining_vat)::bigint AS remaining,
       sum(expected)::bigint AS expected
FROM orders WHERE partner_id = $1 GROUP BY state ORDER BY state;

-- name: name_of_partner
-- What the partner was called on its latest order.
SELECT partner ->> 'name' AS name, partner ->> 'business_number' AS business_number,
       partner ->> 'invoice_email' AS invoice_email
FROM orders WHERE partner_id = $1 ORDER BY coalesce(paid_at, registered_at) DESC LIMIT 1;

-- name: cases_of_partner
-- Its money in quarantine that nobody has decided about.
SELECT order_id, payment_id, reason, amount, opened_at FROM quarantine
WHERE partner_id = $1 AND decision IS NULL ORDER BY opened_at, order_id LIMIT $2;

-- name: leaving_of_partner
-- Whether it asked to leave, left, and was purged.
SELECT withdrawn_at, purged_at FROM partners WHERE partner_id = $1;

-- name: refunds_of_partner
-- Refunds of its orders that are not at their end.
SELECT r.refund_id, r.refund_request_id, r.order_id, r.state, r.why, r.amount, r.requested_at, r.expected_on
FROM refunds r JOIN orders o USING (order_id)
WHERE o.partner_id = $1
  AND r.state IN ('held', 'in_review', 'accepted', 'paying_out', 'unknown', 'failed', 'bounced', 'repaying')
ORDER BY r.requested_at, r.refund_id LIMIT $2;

-- name: numbers_of_partner
-- The business numbers that the partner has told, the latest first.
SELECT business_number, since FROM partner_numbers WHERE partner_id = $1 ORDER BY since DESC LIMIT $2;

-- name: issuances_of_partner
-- Its latest issuances of serials.
SELECT grant_id, order_id, product_name, quantity, issued, state, granted_at FROM grants
WHERE partner_id = $1 ORDER BY granted_at DESC, grant_id LIMIT $2;

-- name: told_of_partner
-- The partner as its last change says.
SELECT name, business_number, invoice_email, always_merge, always_merge_since FROM partners WHERE partner_id = $1;

-- name: documents_of_partner
-- Its latest documents.
SELECT invoice_id, document_key, kind, state, month, business_number, total FROM all_documents
WHERE partner_id = $1 AND month IN (SELECT DISTINCT month FROM payments WHERE partner_id = $1) AND state <> 'in_merge'
ORDER BY month DESC, issued_at DESC NULLS FIRST, invoice_id LIMIT $2;

-- name: wishes_of_partner
-- Its wishes to merge, or not to, that stand.
SELECT request_id, month, undo, requested_at FROM merge_requests
WHERE partner_id = $1 AND standing ORDER BY month DESC, requested_at LIMIT $2;

-- name: refunds_named
-- Refunds of this id, or of this request.
SELECT refund_id, order_id, refund_request_id, state, requested_by, role, reason, requested_at, everything,
       destination_kind, destination_masked, why, supply, vat, fee, amount, expected_on, completed_at,
       deadline, returned_at, mismatch, approved_by, approved_won
FROM refunds WHERE refund_id = $1 OR refund_request_id = $2 ORDER BY order_id, refund_id LIMIT 20;

-- name: lines_of_refund
-- The units of a refund.
SELECT line_id, quantity FROM refund_lines WHERE refund_id = $1 ORDER BY position;

-- name: steps_of_refund
-- Every change of a refund: when, who, why.
SELECT position, state, at, actor, reason, note FROM refund_history WHERE refund_id = $1 ORDER BY position;

-- name: payouts_of_refund
-- The payouts that were made for it.
SELECT payout_id, state, amount, paid_out_at FROM refund_payouts WHERE refund_id = $1 ORDER BY position;

-- name: document_named
-- A document by its key, or by its id.
SELECT invoice_id, document_key, kind, state, partner_id, also, business_number, month, supply, vat, total, late, payments,
       written_date, issued_at, order_id, original_id, modification, refund_id
FROM all_documents WHERE document_key = $1 OR invoice_id = $2;

-- name: payments_on_document
-- The payments that were issued on it, also when a correction has moved them to another document.
WITH RECURSIVE family (invoice_id) AS (
    SELECT $1::uuid
    UNION
    SELECT d.invoice_id FROM documents d JOIN family f ON d.original_id = f.invoice_id WHERE d.refund_id IS NULL
)
SELECT p.order_id, p.payment_id, p.standing_supply AS supply, p.standing_vat AS vat
FROM all_documents d
JOIN placed_payments p ON p.month = d.month AND p.partner_id = ANY(d.partner_id || d.also)
WHERE d.invoice_id = $1 AND p.invoice_id IN (SELECT invoice_id FROM family)
ORDER BY p.paid_at, p.order_id LIMIT $2;

-- name: related_documents
-- What it modifies or replaces, and what modifies or replaces it.
SELECT invoice_id, document_key, kind, state, modification, total FROM documents WHERE invoice_id = $2
UNION ALL
SELECT invoice_id, document_key, kind, state, modification, total FROM documents
WHERE original_id = $1 AND kind = 'modified' AND refund_id IS NOT NULL
UNION ALL
SELECT invoice_id, document_key, kind, state, modification, total FROM documents
WHERE original_id = $1 AND refund_id IS NULL;
