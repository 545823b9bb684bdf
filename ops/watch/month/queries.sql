-- name: drifted_documents
-- The documents of a business in a month that are not as they were approved: changed, new since, or gone; with the orders
-- whose payments stand on them, and when and over how much they were approved.
WITH approved AS (
    SELECT max(approved_at) AS at FROM approvals WHERE month = $1 AND business_number = $2
)
SELECT d.invoice_id, d.kind, d.partner_id, a.document_key, a.approved_at, (a.supply + a.vat)::bigint AS approved_total,
       CASE WHEN d.state = 'draft' THEN d.total ELSE 0 END AS total,
       CASE WHEN d.state <> 'draft' THEN 'gone' WHEN a.invoice_id IS NULL THEN 'new' ELSE 'changed' END AS what,
       coalesce(a.approved_at, approved.at) AS since,
       ARRAY(SELECT p.order_id FROM placed_payments p
             WHERE p.month = d.month AND p.partner_id = ANY(d.partner_id || d.also)
               AND d.invoice_id IN (p.invoice_id, p.draft_id)
             ORDER BY p.order_id LIMIT 100) AS order_ids
FROM all_documents d
CROSS JOIN approved
LEFT JOIN approvals a USING (invoice_id, business_number)
WHERE d.month = $1 AND d.business_number = $2 AND approved.at IS NOT NULL
  AND (d.state = 'draft' OR a.invoice_id IS NOT NULL AND d.state IN ('void', 'undone', 'in_merge'))
ORDER BY since, d.invoice_id LIMIT $3;

-- name: events_since
-- What was said of these orders, or of this partner and these documents, since an instant, by these types.
SELECT event_id, type, key, subject, recorded_at AS at FROM outbox
WHERE key = ANY($1::text[]) AND type = ANY($2::text[]) AND recorded_at > $3
ORDER BY id LIMIT 200;
