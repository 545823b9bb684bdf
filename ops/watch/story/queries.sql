-- name: order_of
-- The order as orders decides it; with the horizon, where the order is older and its first events may be forgotten.
SELECT order_id, partner_id, state, issue_policy, payment_id, amount, deposit_deadline, closed_at,
       (SELECT horizon FROM retention WHERE forgotten > 0 AND horizon > o.recorded_at) AS events_since
FROM orders o WHERE order_id = $1;

-- name: lines_of
-- Where the units of each line are.
SELECT line_id, kind, product_name, paid, issuing, issued, refunding, refunded
FROM order_lines WHERE order_id = $1 ORDER BY position;

-- name: cases_of
-- Money of the order that fits nothing.
SELECT payment_id, reason, amount FROM quarantine WHERE order_id = $1 AND decision IS NULL ORDER BY number;

-- name: grants_of
-- What serials issues, with the last four characters of a few serials, and what became of all of them.
SELECT g.grant_id, g.line_id, g.quantity, g.issued, g.state,
       ARRAY(SELECT last_four FROM serials s
             WHERE s.home = g.home
               AND s.serial_id BETWEEN g.batch_id AND overlay(g.batch_id::text PLACING 'ffffff' FROM 31)::uuid
             ORDER BY s.serial_id LIMIT 3) AS last_fours,
       (SELECT count(*) FROM serials s
        WHERE s.home = g.home
          AND s.serial_id BETWEEN g.batch_id AND overlay(g.batch_id::text PLACING 'ffffff' FROM 31)::uuid
          AND s.state = 'registered') AS registered,
       g.revoked, g.reissued
FROM grants g WHERE g.order_id = $1 ORDER BY g.granted_at, g.grant_id;

-- name: refund_order_of
-- Whose order it is and what was paid, as refunds knows it.
SELECT partner_id, state, payment_id FROM orders WHERE order_id = $1;

-- name: refunds_of
-- The refund requests of the order.
SELECT refund_id, refund_request_id, state, coalesce(why, reason) AS reason, coalesce(amount, 0) AS amount, expected_on
FROM refunds WHERE order_id = $1 ORDER BY requested_at, refund_id;

-- name: payment_of
-- The payment as invoices knows it.
SELECT partner_id, payment_id, evidence, invoice_id, standing_supply + standing_vat AS standing
FROM placed_payments WHERE order_id = $1;

-- name: documents_of
-- The document that the payment stands on, and its modified invoices; of one that a tax agent refused, or about which it says
-- what cannot be, also why. Looked for one by one: with OR every document would be read.
SELECT d.invoice_id, d.kind, d.document_key, d.month, d.state, d.total, s.detail AS refused, w.doubt AS doubted
FROM (
    SELECT invoice_id, kind, document_key, month, state, total, issued_at
    FROM all_documents WHERE invoice_id = (SELECT p.invoice_id FROM placed_payments p WHERE p.order_id = $1)
    UNION ALL
    SELECT m.invoice_id, m.kind, m.document_key, m.month, m.state, m.total, m.issued_at
    FROM refunds r JOIN documents m ON m.refund_id = r.refund_id AND m.kind = 'modified'
    WHERE r.order_id = $1
) d
LEFT JOIN submissions s ON s.invoice_id = d.invoice_id AND s.state = 'failed' AND d.state = 'issue_failed'
LEFT JOIN submissions w ON w.invoice_id = d.invoice_id AND w.doubt <> ''
ORDER BY d.kind = 'modified', d.issued_at, d.invoice_id;

-- name: events_of
-- Every event of this service with the order's key, answers to checkout included. Registrations are counted elsewhere:
-- an order may have a hundred thousand.
SELECT id, event_id, topic, type, subject, time, causation, data, recorded_at
FROM outbox WHERE key = $1 AND type <> 'serial.registered.v1' ORDER BY id;

-- name: partner_events_of
-- Events of invoices with the partner's key and the payment's id in them, or about one of its documents.
SELECT id, event_id, topic, type, subject, time, causation, data, recorded_at
FROM outbox
WHERE key = $1 AND topic = 'invoices.events' AND (position(convert_to($2, 'UTF8') IN data) > 0 OR subject = ANY($3::text[]))
ORDER BY id;

-- name: published_up_to
-- How far the relay has published.
SELECT published FROM relay;

-- name: parked_of
-- What waits with the order's key.
SELECT id, kind, reason, topic, type, source, event_id, parked_at, overdue_at < now() AS overdue
FROM parked WHERE key = $1 ORDER BY id;

-- name: dead_of
-- What was refused of the order's key, and how it ended.
SELECT id, code, pointer, detail, topic, type, event_id, state, dead_at, edited_as,
       coalesce(closed_at, replayed_at) AS closed_at, coalesce(closed_by, replayed_by) AS closed_by,
       coalesce(close_reason, replay_reason) AS close_reason
FROM dead_letters WHERE key = $1 ORDER BY id;

-- name: audited_of
-- What people did about the order: a target begins with its key. The id is the cause of what followed.
SELECT id::text AS id, recorded_at, actor, action, target, reason, result, request FROM audit_log
WHERE split_part(target, ' ', 1) = split_part($1, ' ', 1) AND (target = $1 OR starts_with(target, $1 || ' ')) ORDER BY id;

-- name: taken_of
-- Who took serials of the order, or looked one up by its characters, and since when: told once for each reason and form.
SELECT min(c.recorded_at) AS recorded_at, c.actor,
       CASE c.form WHEN 'search' THEN 'serial.looked_up' ELSE 'serials.taken_as_' || c.form END AS action,
       g.order_id AS target, c.reason, 'done' AS result, '' AS request
FROM grants g JOIN custody c USING (grant_id)
WHERE g.order_id = $1
GROUP BY c.actor, c.form, c.reason, g.order_id ORDER BY 1;
