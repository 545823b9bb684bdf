-- name: orders_books
-- What orders holds about each order: money, units of each line, claims, quarantine.
SELECT o.order_id, o.state, o.payment_id, o.supply, o.vat, o.remaining_supply + o.remaining_vat AS remaining,
       l.lines, c.grants, c.refunds, coalesce(q.held, 0)::bigint AS quarantined, coalesce(q.unfit, 0)::bigint AS unfit,
       o.taken_back - coalesce(q.made_good, 0)::bigint AS went_back, coalesce(t.won, 0)::bigint AS paid_twice
FROM orders o
LEFT JOIN (
    SELECT order_id, json_agg(json_build_array(line_id, paid, issuing, issued, refunding, refunded)) AS lines
    FROM order_lines WHERE $1::text[] IS NULL OR order_id = ANY($1) GROUP BY order_id
) l USING (order_id)
LEFT JOIN (
    SELECT order_id,
           json_agg(json_build_array(claim_id, line_id, quantity, state)) FILTER (WHERE purpose = 'issue') AS grants,
           json_agg(json_build_array(claim_id, line_id, quantity, state, supply, vat)) FILTER (WHERE purpose = 'refund')
               AS refunds
    FROM claims WHERE $1::text[] IS NULL OR order_id = ANY($1) GROUP BY order_id
) c USING (order_id)
LEFT JOIN (
    SELECT order_id, sum(amount) FILTER (WHERE decision IS NULL) AS held,
           sum(amount) FILTER (WHERE decision IS NULL AND NOT missing AND NOT of_refunds) AS unfit,
           -- What an operator gave up or got back otherwise is not missing any more; what refunds paid out without owing
           -- it went back, and what they should have paid out besides is still on its document.
           sum(CASE WHEN missing AND decision IN ('returned', 'kept') AND NOT of_refunds THEN -amount
                    WHEN decision IS NULL AND of_refunds THEN amount END) AS made_good
    FROM quarantine
    CROSS JOIN LATERAL (SELECT reason IN ('cancelled_after_issue', 'cancelled_after_refund', 'partly_cancelled',
                                          'payout_twice', 'used_after_refund') AS missing,
                               reason IN ('payout_twice', 'used_after_refund', 'bonus_after_refund') AS of_refunds) AS kind
    WHERE $1::text[] IS NULL OR order_id = ANY($1) GROUP BY order_id
) q USING (order_id)
LEFT JOIN (
    SELECT order_id, -sum(amount) AS won FROM quarantine
    WHERE reason = 'payout_twice' AND ($1::text[] IS NULL OR order_id = ANY($1)) GROUP BY order_id
) t USING (order_id)
WHERE $1::text[] IS NULL OR o.order_id = ANY($1)
ORDER BY o.order_id;

-- name: serials_books
-- What serials holds about each order: its grants and how far each is.
SELECT order_id, json_agg(json_build_array(grant_id, line_id, quantity, issued, state)) AS grants
FROM grants
WHERE $1::text[] IS NULL OR order_id = ANY($1)
GROUP BY order_id
ORDER BY order_id;

-- name: refunds_books
-- What refunds holds about each order: its payment, units of each line, refunds.
SELECT o.order_id, o.payment_id, o.paid_supply AS supply, o.paid_vat AS vat, l.lines, r.refunds,
       coalesce(t.won, 0)::bigint AS paid_twice
FROM orders o
LEFT JOIN (
    SELECT order_id, json_agg(json_build_array(line_id, paid, granted, refunding, refunded, taken_back)) AS lines
    FROM order_lines WHERE $1::text[] IS NULL OR order_id = ANY($1) GROUP BY order_id
) l USING (order_id)
LEFT JOIN (
    SELECT order_id, json_agg(json_build_array(refund_id, state, supply, vat, fee, u.units)) AS refunds
    FROM refunds
    LEFT JOIN (
        SELECT refund_id, json_object_agg(line_id, quantity) AS units
        FROM refund_lines WHERE quantity > 0 AND ($1::text[] IS NULL OR order_id = ANY($1)) GROUP BY refund_id
    ) u USING (refund_id)
    WHERE $1::text[] IS NULL OR order_id = ANY($1)
    GROUP BY order_id
) r USING (order_id)
LEFT JOIN (
    SELECT order_id, sum(p.amount) AS won FROM refund_payouts p JOIN refunds USING (refund_id)
    WHERE p.state IN ('twice', 'returned') AND ($1::text[] IS NULL OR order_id = ANY($1)) GROUP BY order_id
) t USING (order_id)
WHERE $1::text[] IS NULL OR o.order_id = ANY($1)
ORDER BY o.order_id;

-- name: invoices_books
-- What invoices holds about each order: its payment, where its won stand, its refunds.
SELECT p.order_id, p.payment_id, p.supply, p.vat, p.evidence, p.issued_units,
       p.standing_supply + p.standing_vat AS standing, d.state AS document,
       coalesce(m.modified, 0)::bigint AS modified, r.refunds
FROM placed_payments p
LEFT JOIN all_documents d ON d.invoice_id = p.invoice_id
LEFT JOIN (
    SELECT order_id, sum(total) AS modified FROM documents
    WHERE kind = 'modified' AND ($1::text[] IS NULL OR order_id = ANY($1)) GROUP BY order_id
) m ON m.order_id = p.order_id
LEFT JOIN (
    SELECT order_id, json_agg(json_build_array(refund_id, supply, vat, cancellation)) AS refunds
    FROM refunds WHERE state = 'completed' AND ($1::text[] IS NULL OR order_id = ANY($1)) GROUP BY order_id
) r ON r.order_id = p.order_id
WHERE $1::text[] IS NULL OR p.order_id = ANY($1)
ORDER BY p.order_id;

-- name: claims_within_paid
-- Lines on which more units are claimed than were paid.
SELECT order_id, format('line %s: %s issuing + %s issued + %s refunding + %s refunded > %s paid',
                        line_id, issuing, issued, refunding, refunded, paid) AS detail
FROM order_lines
WHERE issuing + issued + refunding + refunded > paid
   OR least(issuing, issued, refunding, refunded) < 0
ORDER BY order_id, line_id LIMIT $1;

-- name: counters_equal_claims
-- Lines whose counters are not the sum of their claims. What a cancelled payment took back has no claim.
SELECT order_id, format('line %s counts %s/%s/%s/%s issuing/issued/refunding/refunded, its claims say %s/%s/%s/%s',
                        line_id, issuing, issued, refunding, refunded,
                        c_issuing, c_issued, c_refunding, c_refunded) AS detail
FROM (
    SELECT l.order_id, l.line_id, l.paid, l.issuing, l.issued, l.refunding, l.refunded, o.state,
           coalesce(c.issuing, 0) AS c_issuing, coalesce(c.issued, 0) AS c_issued,
           coalesce(c.refunding, 0) AS c_refunding, coalesce(c.refunded, 0) AS c_refunded
    FROM order_lines l
    LEFT JOIN orders o USING (order_id)
    LEFT JOIN (
        SELECT order_id, line_id,
               sum(quantity) FILTER (WHERE purpose = 'issue' AND state = 'claimed') AS issuing,
               sum(quantity) FILTER (WHERE purpose = 'issue' AND state = 'confirmed') AS issued,
               sum(quantity) FILTER (WHERE purpose = 'refund' AND state = 'claimed') AS refunding,
               sum(quantity) FILTER (WHERE purpose = 'refund' AND state = 'confirmed') AS refunded
        FROM claims GROUP BY order_id, line_id
    ) c USING (order_id, line_id)
) lines
WHERE (issuing, issued, refunding) IS DISTINCT FROM (c_issuing::integer, c_issued::integer, c_refunding::integer)
   OR CASE WHEN state = 'cancelled' THEN refunded < c_refunded OR issuing + issued + refunding + refunded <> paid
           ELSE refunded <> c_refunded END
ORDER BY order_id, line_id LIMIT $1;

-- name: one_payment_one_order
-- Payments that pay two orders, or another order than the table of payments says.
SELECT min(paid.order_id) AS order_id,
       format('payment %s pays %s', payment_id, string_agg(paid.order_id, ' and ' ORDER BY paid.order_id)) AS detail
FROM (
    SELECT order_id, payment_id FROM orders WHERE payment_id IS NOT NULL AND payment_ids = '{}'
    UNION ALL
    SELECT order_id, unnest(payment_ids) FROM orders WHERE payment_ids <> '{}'
) paid
LEFT JOIN payments p USING (payment_id)
GROUP BY payment_id
HAVING count(*) > 1 OR bool_or(p.order_id IS DISTINCT FROM paid.order_id)
LIMIT $1;

-- name: order_won
-- Orders whose won are not those of their units: paid at the price of the lines, left for the units that are left and for
-- what was used up of the others. A released refund of a discounted line can leave a won beside that, until the next refund
-- takes it.
WITH money AS (
    SELECT o.order_id, o.vat_mode, o.state, o.amount, o.supply, o.vat, o.remaining_supply, o.remaining_vat,
           coalesce(l.worth, 0) AS worth, coalesce(l.left_over, 0) AS left_over,
           coalesce(l.units, 0) AS units, coalesce(v.released, 0) AS released,
           coalesce(c.supply, 0) AS refunded_supply, coalesce(c.vat, 0) AS refunded_vat
    FROM orders o
    LEFT JOIN (
        SELECT order_id, sum(unit_price * quantity - discount) FILTER (WHERE paid > 0) AS worth,
               sum(div((unit_price * quantity - discount)::numeric * (paid - refunding - refunded), quantity) + consumed)
                   AS left_over,
               sum(paid - refunding - refunded + consumed) FILTER (WHERE unit_price * quantity > discount) AS units
        FROM order_lines GROUP BY order_id
    ) l USING (order_id)
    LEFT JOIN (
        SELECT c.order_id, count(*) AS released FROM claims c JOIN order_lines d USING (order_id, line_id)
        WHERE c.purpose = 'refund' AND c.state = 'void' AND d.discount > 0 GROUP BY c.order_id
    ) v USING (order_id)
    LEFT JOIN (
        SELECT order_id, sum(supply) AS supply, sum(vat) AS vat
        FROM claims WHERE purpose = 'refund' AND state <> 'void' AND position = 0 GROUP BY order_id
    ) c USING (order_id)
)
SELECT order_id, CASE
           WHEN vat_mode = 'exclusive' AND (supply, vat) IS DISTINCT FROM (worth::bigint, div(worth, 10)::bigint)
             OR vat_mode = 'inclusive' AND (amount, vat) IS DISTINCT FROM (worth::bigint, div(worth, 11)::bigint)
               THEN format('%s + %s VAT were taken for units worth %s won', supply, vat, worth)
           WHEN abs(CASE vat_mode WHEN 'exclusive' THEN remaining_supply ELSE remaining_supply + remaining_vat END
                    - left_over) > released
               THEN format('%s + %s VAT are left for units worth %s won', remaining_supply, remaining_vat, left_over)
           ELSE format('%s + %s VAT paid, %s + %s refunded, %s + %s left: that does not add up', supply, vat,
                       refunded_supply, refunded_vat, remaining_supply, remaining_vat)
       END AS detail
FROM money
WHERE vat_mode = 'exclusive' AND (supply, vat) IS DISTINCT FROM (worth::bigint, div(worth, 10)::bigint)
   OR vat_mode = 'inclusive' AND (amount, vat) IS DISTINCT FROM (worth::bigint, div(worth, 11)::bigint)
   OR abs(CASE vat_mode WHEN 'exclusive' THEN remaining_supply ELSE remaining_supply + remaining_vat END - left_over)
      > released
   OR units = 0 AND remaining_supply + remaining_vat <> 0
   OR state <> 'cancelled'
      AND (supply - refunded_supply, vat - refunded_vat) IS DISTINCT FROM (remaining_supply::numeric, remaining_vat::numeric)
ORDER BY order_id LIMIT $1;

-- name: cases_applied
-- Orders that are paid by cases which do not come to what was paid.
SELECT o.order_id, format('%s won of cases were applied, %s were paid', applied, o.amount) AS detail
FROM (
    SELECT order_id, sum(amount) AS applied FROM quarantine WHERE decision = 'applied' GROUP BY order_id
) cases
LEFT JOIN orders o USING (order_id)
WHERE o.amount IS DISTINCT FROM applied
ORDER BY o.order_id LIMIT $1;

-- name: one_serial_per_unit
-- Grants that do not have exactly one serial for each issued unit, and serials of no grant. Reissued ones replace. What
-- is copied into a home of its own is found only when it is whole.
SELECT g.order_id, format('grant %s: %s units issued, %s serials', g.grant_id, g.issued, coalesce(s.serials, 0)) AS detail
FROM grants g
LEFT JOIN (SELECT grant_id, count(*) AS serials FROM serials WHERE replaces IS NULL GROUP BY grant_id) s USING (grant_id)
WHERE CASE WHEN g.home > 0 AND g.state = 'issuing' THEN 0 ELSE g.issued END <> coalesce(s.serials, 0)
   OR g.state = 'issued' AND g.issued <> g.quantity
UNION ALL
SELECT NULL, format('%s serials belong to grant %s, which is unknown', count(*), s.grant_id)
FROM serials s LEFT JOIN grants g USING (grant_id)
WHERE g.grant_id IS NULL GROUP BY s.grant_id
LIMIT $1;

-- name: one_home
-- Serials in another home than their grant's, and look-up tags that are in two: an index sees those of its home only.
SELECT g.order_id, format('%s serials of grant %s are in home %s instead of %s', count(*), g.grant_id, s.home, g.home) AS detail
FROM serials s JOIN grants g USING (grant_id)
WHERE s.home <> g.home GROUP BY g.order_id, g.grant_id, s.home
UNION ALL
SELECT NULL, format('one look-up tag is that of %s', string_agg(serial_id::text, ' and ' ORDER BY serial_id))
FROM serials
WHERE EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'serials'::regclass OFFSET 1)
GROUP BY lookup_tag HAVING count(*) > 1
LIMIT $1;

-- name: live_serials
-- Grants whose live serials are not their issued units less those that were revoked and not reissued, or that count
-- other dead ones than there are; and reissued serials in the place of one that lives, or of another grant.
SELECT g.order_id, format('grant %s: %s serials live, %s were revoked and %s reissued of %s units; it counts %s and %s',
                          g.grant_id, coalesce(s.live, 0), coalesce(s.revoked, 0), coalesce(s.reissued, 0), g.issued,
                          g.revoked, g.reissued) AS detail
FROM grants g
LEFT JOIN (
    SELECT grant_id, count(*) FILTER (WHERE state <> 'revoked') AS live, count(replaces) AS reissued,
           count(*) FILTER (WHERE state = 'revoked') AS revoked
    FROM serials GROUP BY grant_id
) s USING (grant_id)
WHERE coalesce(s.live, 0) <> CASE WHEN g.home > 0 AND g.state = 'issuing' THEN 0 ELSE g.issued - (g.revoked - g.reissued) END
   OR (coalesce(s.revoked, 0), coalesce(s.reissued, 0)) IS DISTINCT FROM (g.revoked::bigint, g.reissued::bigint)
UNION ALL
SELECT g.order_id, format('serial %s replaces %s, which is %s', n.serial_id, n.replaces, coalesce(d.state, 'unknown'))
FROM serials n JOIN grants g USING (grant_id) LEFT JOIN serials d ON d.serial_id = n.replaces
WHERE n.replaces IS NOT NULL AND (d.state IS DISTINCT FROM 'revoked' OR d.grant_id <> n.grant_id)
LIMIT $1;

-- name: refund_counters
-- Lines whose counters are not the sum of their refunds, and payments whose rest is not what refunds left of it.
SELECT l.order_id, format('line %s counts %s refunding, %s refunded; its refunds say %s, %s', l.line_id,
                          l.refunding, l.refunded, coalesce(r.refunding, 0), coalesce(r.refunded, 0)) AS detail
FROM order_lines l
LEFT JOIN (
    SELECT u.order_id, u.line_id,
           sum(u.quantity) FILTER (WHERE f.state IN ('paying_out', 'unknown', 'failed')) AS refunding,
           sum(u.quantity) FILTER (WHERE f.state IN ('completed', 'bounced', 'repaying')) AS refunded
    FROM refund_lines u JOIN refunds f USING (refund_id) GROUP BY u.order_id, u.line_id
) r USING (order_id, line_id)
WHERE (l.refunding, l.refunded) IS DISTINCT FROM (coalesce(r.refunding, 0)::integer, coalesce(r.refunded, 0)::integer)
UNION ALL
SELECT o.order_id, format('%s + %s VAT are left of %s + %s after refunds of %s + %s', o.remaining_supply, o.remaining_vat,
                          o.paid_supply, o.paid_vat, coalesce(r.supply, 0), coalesce(r.vat, 0))
FROM orders o
LEFT JOIN (
    SELECT order_id, sum(supply) AS supply, sum(vat) AS vat
    FROM refunds WHERE state IN ('paying_out', 'unknown', 'failed', 'completed', 'bounced', 'repaying') GROUP BY order_id
) r USING (order_id)
WHERE (o.paid_supply - coalesce(r.supply, 0), o.paid_vat - coalesce(r.vat, 0))
      IS DISTINCT FROM (o.remaining_supply::numeric, o.remaining_vat::numeric)
LIMIT $1;

-- name: paid_out_once
-- Refunds that stand on two payouts, on one without a claim, or on none when they are completed. One of 0 won has none.
SELECT f.order_id, format('refund %s is %s and has %s payouts', f.refund_id, f.state, coalesce(p.payouts, 0)) AS detail
FROM refunds f
LEFT JOIN (SELECT refund_id, count(*) AS payouts FROM refund_payouts WHERE state = 'paid' GROUP BY refund_id) p USING (refund_id)
WHERE coalesce(p.payouts, 0) <> CASE WHEN f.state = 'completed' AND f.amount > 0 THEN 1 ELSE 0 END
ORDER BY f.order_id LIMIT $1;

-- name: document_totals
-- Documents whose total is not the sum of the payments on them; the payments of a corrected one stand on another.
SELECT coalesce(d.order_id, l.order_id) AS order_id,
       format('document %s (%s): %s + %s VAT, its payments %s + %s', coalesce(d.document_key, d.invoice_id::text), d.state,
              d.supply, d.vat, coalesce(l.supply, 0), coalesce(l.vat, 0)) AS detail
FROM all_documents d
LEFT JOIN (
    SELECT invoice_id, min(order_id) AS order_id, sum(standing_supply) AS supply, sum(standing_vat) AS vat
    FROM placed_payments WHERE invoice_id IS NOT NULL GROUP BY invoice_id
) l USING (invoice_id)
WHERE d.kind <> 'modified' AND d.state <> 'in_merge'
  AND NOT EXISTS (SELECT FROM documents c WHERE c.original_id = d.invoice_id AND c.refund_id IS NULL)
  AND (d.supply, d.vat) IS DISTINCT FROM (coalesce(l.supply, 0)::bigint, coalesce(l.vat, 0)::bigint)
LIMIT $1;

-- name: one_evidence
-- Payments that do not stand on exactly one evidence with what is left of them. What cost nothing has none.
SELECT p.order_id, format('paid %s + %s, refunded %s + %s, but %s + %s stand on %s and %s + %s on modified invoices',
                          p.supply, p.vat, p.refunded_supply, p.refunded_vat, p.standing_supply, p.standing_vat,
                          CASE WHEN d.invoice_id IS NULL AND p.evidence = 'tax_invoice' THEN 'no document'
                               ELSE coalesce('a ' || d.state || ' document', 'a ' || p.evidence) END,
                          coalesce(m.supply, 0), coalesce(m.vat, 0)) AS detail
FROM placed_payments p
LEFT JOIN all_documents d ON d.invoice_id = p.invoice_id
LEFT JOIN (
    SELECT order_id, sum(supply) AS supply, sum(vat) AS vat FROM documents WHERE kind = 'modified' GROUP BY order_id
) m ON m.order_id = p.order_id
LEFT JOIN (
    SELECT order_id, sum(supply) AS supply, sum(vat) AS vat FROM refunds WHERE state = 'completed' GROUP BY order_id
) r ON r.order_id = p.order_id
WHERE p.evidence = 'tax_invoice' AND p.supply + p.vat > 0 AND (d.invoice_id IS NULL OR d.state IN ('in_merge', 'undone'))
   OR (p.refunded_supply, p.refunded_vat) IS DISTINCT FROM (coalesce(r.supply, 0)::bigint, coalesce(r.vat, 0)::bigint)
   OR (p.standing_supply + coalesce(m.supply, 0), p.standing_vat + coalesce(m.vat, 0))
      IS DISTINCT FROM ((p.supply - p.refunded_supply)::numeric, (p.vat - p.refunded_vat)::numeric)
LIMIT $1;

-- name: documents_numbered
-- Business numbers whose documents are not numbered from 1 without a gap: issued ones, and those that were approved and
-- are not issued under that key (yet).
SELECT NULL AS order_id, format('business %s: %s documents issued or approved, the last number is %s',
                                business_number, coalesce(d.numbered, 0), coalesce(c.last_number, 0)) AS detail
FROM document_counters c
FULL JOIN (
    SELECT business_number, count(*) AS numbered
    FROM (SELECT business_number, document_key FROM documents WHERE state = 'issued'
          UNION
          SELECT business_number, document_key FROM approvals) AS keys
    GROUP BY business_number
) d USING (business_number)
WHERE coalesce(d.numbered, 0) <> coalesce(c.last_number, 0)
LIMIT $1;

-- name: documents_dated
-- Modified documents that are dated before the document that they modify.
SELECT m.order_id, format('%s is dated %s, before %s of %s', m.document_key, m.written_date, o.document_key,
                          o.written_date) AS detail
FROM documents m JOIN documents o ON o.invoice_id = m.original_id
WHERE m.written_date < o.written_date
LIMIT $1;

-- name: months_of_documents
-- The months that have issued documents.
SELECT DISTINCT month FROM documents WHERE state = 'issued' ORDER BY month;

-- name: documents_late
-- Documents that say something else about being late than the calendar: $2 are months, $3 their due days.
SELECT d.order_id, format('%s was issued on %s, due on %s, and says late: %s', d.document_key,
                          (d.issued_at AT TIME ZONE INTERVAL '+09:00')::date, c.due_on, d.late) AS detail
FROM documents d JOIN unnest($2::text[], $3::date[]) AS c (month, due_on) USING (month)
WHERE d.state = 'issued' AND d.late_by_due_day AND d.modification IS DISTINCT FROM 'correction'
  AND d.modification IS DISTINCT FROM 'issued_twice'
  AND d.late <> ((d.issued_at AT TIME ZONE INTERVAL '+09:00')::date > c.due_on)
LIMIT $1;

-- name: documents_backdated
-- Documents that say they were issued in time, of which the event was made after the due day: $2 are months, $3 their
-- due days. The id of the event says when. A close says itself as of when it issues, and a tax agent when it has; every
-- other document is issued when its cause is handled. An hour makes up for clocks that differ. Without an audit log nobody
-- knows which was a close.
SELECT d.order_id, format('%s says that it was issued on %s, due on %s; it was issued on %s', d.document_key,
                          (d.issued_at AT TIME ZONE INTERVAL '+09:00')::date, c.due_on,
                          (uuid_extract_timestamp(e.event_id) AT TIME ZONE INTERVAL '+09:00')::date) AS detail
FROM documents d JOIN unnest($2::text[], $3::date[]) AS c (month, due_on) USING (month)
JOIN outbox e ON e.key = d.partner_id AND e.subject = d.invoice_id::text
  AND e.type IN ('invoice.issued.v1', 'invoice.modified.v1')
WHERE d.state = 'issued' AND d.issued_by_clock AND NOT d.late AND d.modification IS DISTINCT FROM 'correction'
  AND d.modification IS DISTINCT FROM 'issued_twice' AND e.causation <> e.subject
  AND ((uuid_extract_timestamp(e.event_id) - INTERVAL '1 hour') AT TIME ZONE INTERVAL '+09:00')::date > c.due_on
  AND NOT EXISTS (SELECT FROM audit_log a WHERE a.id::text = e.causation)
  AND uuid_extract_timestamp(e.event_id) >= (SELECT audited_since FROM retention)
LIMIT $1;

-- name: replays_audited
-- Dead letters that somebody replayed, of which the audit log knows nothing.
SELECT l.key AS order_id, format('dead letter %s was replayed by %s, and the audit log does not know', l.id, l.replayed_by)
       AS detail
FROM dead_letters l
WHERE l.state = 'replayed' AND l.replayed_at >= (SELECT audited_since FROM retention)
  AND NOT EXISTS (SELECT FROM audit_log a WHERE a.target = 'dead letter ' || l.id AND a.result = 'done')
ORDER BY l.id LIMIT $1;

-- name: cases_audited
-- Cases that somebody decided, of which the audit log knows nothing; both are written in one transaction.
SELECT e.key AS order_id, format('the case of payment %s ended as %s, and the audit log does not know who decided that',
                                 said ->> 'payment_id', said ->> 'decision') AS detail
FROM outbox e
CROSS JOIN LATERAL convert_from(e.data, 'UTF8') AS text CROSS JOIN LATERAL CAST(text AS json) AS said
WHERE e.type = 'quarantine.settled.v1' AND said ->> 'decision' IN ('returned', 'applied', 'kept')
  AND e.recorded_at >= (SELECT audited_since FROM retention)
  AND NOT EXISTS (
      SELECT FROM audit_log a
      WHERE split_part(a.target, ' ', 1) = split_part(e.key, ' ', 1) AND starts_with(a.target, e.key || ' ')
        AND a.action = 'quarantine.decide' AND a.result = 'done' AND a.recorded_at = e.recorded_at)
ORDER BY e.id LIMIT $1;

-- name: refunds_audited
-- Steps of refunds that a person took, of which the audit log knows nothing; both are written in one transaction. After a
-- purge the step says only that it was the partner, and the audit log still says who.
SELECT r.order_id, format('refund %s became %s by %s, and the audit log does not know', h.refund_id, h.state, h.actor)
       AS detail
FROM refund_history h
JOIN refunds r USING (refund_id)
WHERE h.actor NOT IN ('refunds', 'orders', 'checkout', 'bank') AND h.state <> 'requested'
  AND h.recorded_at >= (SELECT audited_since FROM retention)
  AND NOT EXISTS (
      SELECT FROM audit_log a
      WHERE a.target = r.order_id || ' ' || h.refund_id AND h.actor IN (a.actor, 'partner') AND a.result = 'done'
        AND a.recorded_at = h.recorded_at)
ORDER BY h.refund_id, h.position LIMIT $1;

-- name: serials_audited
-- Serials that died, of which the audit log knows nothing.
SELECT g.order_id, format('serial %s was revoked, and the audit log does not know by whom', s.serial_id) AS detail
FROM grants g
CROSS JOIN LATERAL (
    SELECT serial_id FROM serials
    WHERE home = g.home AND serial_id BETWEEN g.batch_id AND overlay(g.batch_id::text PLACING 'ffffff' FROM 31)::uuid
      AND state = 'revoked' AND revoked_at >= (SELECT audited_since FROM retention)
) s
WHERE g.revoked > 0
  AND NOT EXISTS (
      SELECT FROM audit_log a
      WHERE split_part(a.target, ' ', 1) = split_part(g.order_id, ' ', 1)
        AND a.target = g.order_id || ' ' || s.serial_id
        AND a.action IN ('serial.revoke', 'serial.reissue') AND a.result = 'done')
ORDER BY s.serial_id LIMIT $1;

-- name: closes_audited
-- Months that were closed, of which the audit log does not know who began it.
SELECT NULL AS order_id, format('%s was closed, and the audit log does not know by whom', e.key) AS detail
FROM outbox e
WHERE e.type = 'month.closed.v1' AND e.recorded_at >= (SELECT audited_since FROM retention)
  AND NOT EXISTS (
      SELECT FROM audit_log a
      WHERE a.action IN ('month.close', 'month.issue') AND a.target = e.key AND a.recorded_at <= e.recorded_at)
ORDER BY e.id LIMIT $1;

-- name: merges_audited
-- Businesses that an operator merged, of which the audit log knows nothing. The id of the command says when.
SELECT NULL AS order_id, format('payments of %s were merged by %s, and the audit log does not know', partner_id, request_id)
       AS detail
FROM (
    SELECT DISTINCT partner_id, request_id, split_part(request_id, ':', 2)::uuid AS command_id
    FROM merge_explanations WHERE request_id ~ '^operator:[0-9a-f-]{36}$'
) merged
WHERE uuid_extract_timestamp(command_id) >= (SELECT audited_since FROM retention)
  AND NOT EXISTS (SELECT FROM audit_log a WHERE a.id = command_id)
ORDER BY request_id, partner_id LIMIT $1;

-- name: corrections_audited
-- Documents that were corrected, of which the audit log knows nothing.
SELECT d.order_id, format('%s was corrected by %s, and the audit log does not know', d.document_key, c.actor) AS detail
FROM corrections c
JOIN documents d USING (invoice_id)
WHERE c.state = 'corrected' AND c.decided_at >= (SELECT audited_since FROM retention)
  AND NOT EXISTS (
      SELECT FROM audit_log a
      WHERE a.action = 'document.correct' AND a.actor = c.actor AND a.result = 'done'
        AND a.target IN (c.month || ' ' || d.document_key, c.month || ' ' || c.invoice_id))
ORDER BY d.document_key LIMIT $1;

-- name: months_closed
-- Payments that are still in draft although their month was closed to the end. What a tax agent was given is no sign of
-- that: one that it refused is mended, approved and issued again later.
SELECT p.order_id, format('%s is closed, the document %s is still a draft', d.month, d.invoice_id) AS detail
FROM all_documents d
JOIN months m ON m.month = d.month AND m.sequence > 0 AND NOT m.unreported
LEFT JOIN placed_payments p ON p.invoice_id = d.invoice_id
WHERE d.state IN ('draft', 'approved') AND NOT EXISTS (SELECT FROM submissions s WHERE s.invoice_id = d.invoice_id)
LIMIT $1;

-- name: months_kept
-- Partners' months that are not marked as changed, and whose documents do not stand as is kept, or whose won are not those
-- that a close was said to issue or to fail.
SELECT NULL AS order_id, format('what is kept of %s in %s is not what its documents say', partner_id, month) AS detail
FROM (
    (SELECT * FROM kept_stands EXCEPT SELECT * FROM partner_stands)
    UNION ALL
    (SELECT * FROM partner_stands EXCEPT SELECT * FROM kept_stands)
) AS differing
WHERE NOT EXISTS (SELECT FROM changed_months c WHERE c.month = differing.month AND c.partner_id = differing.partner_id)
UNION
SELECT NULL, format('a close of %s issues other won of %s than is kept', month, partner_id)
FROM (
    SELECT month, partner_id, sum(won) AS won
    FROM (
        SELECT month, partner_id, to_issue AS won FROM kept_stands
        UNION ALL
        SELECT month, partner_id, -(supply + vat + failed_total) FROM kept_previews
    ) AS kept
    GROUP BY month, partner_id
) AS summed
WHERE won <> 0
  AND NOT EXISTS (SELECT FROM changed_months c
                  WHERE c.month IN (summed.month, '') AND c.partner_id = summed.partner_id)
LIMIT $1;

-- name: sequences_contiguous
-- Subjects whose events are not numbered 1, 2, 3 ... in this outbox; where events were forgotten, their first numbers
-- may be missing. A partner is another subject than an order of the same id. Count, sum and sum of squares together
-- say so and need no sorting.
SELECT min(key) AS order_id, format('%s events about %s are numbered %s to %s', count(*), subject,
                                    min(sequence), max(sequence)) AS detail
FROM outbox WHERE sequence IS NOT NULL
GROUP BY subject, type LIKE 'partner.%'
HAVING min(sequence) <> 1 AND (SELECT forgotten = 0 FROM retention)
    OR count(*) <> max(sequence) - min(sequence) + 1
    OR sum(sequence) <> count(*) * (min(sequence) + max(sequence)) / 2
    OR sum(sequence * sequence) <> max(sequence) * (max(sequence) + 1) * (2 * max(sequence) + 1) / 6
                                   - min(sequence) * (min(sequence) - 1) * (2 * min(sequence) - 1) / 6
LIMIT $1;

-- name: count_serials
-- Serials of issued units; a reissued one stands for the unit of the one it replaces.
SELECT count(*) FROM serials WHERE replaces IS NULL;

-- name: sum_documents
-- Won on issued tax invoices with the modified ones, and on those that are still to be issued. What was issued twice
-- stands on the other document, and counts by its payments.
SELECT coalesce(sum(total) FILTER (WHERE state = 'issued'), 0)::bigint
       + (SELECT coalesce(sum(p.standing_supply + p.standing_vat), 0)::bigint
          FROM payments p JOIN documents d USING (invoice_id) WHERE d.modification = 'issued_twice') AS invoiced,
       coalesce(sum(total) FILTER (WHERE state IN ('draft', 'approved', 'issue_failed')), 0)::bigint AS uninvoiced
FROM all_documents;

-- name: newest_event
-- The last id of the outbox.
SELECT coalesce(max(id), 0) FROM outbox;

-- name: published
-- How far the relay has published.
SELECT published FROM relay;

-- name: published_but_for
-- How far the relay has published, and the outbox ids of what it has set aside on the way.
SELECT published, ARRAY(SELECT id FROM unsent) AS unsent FROM relay;

-- name: unfinished_grants
-- Whether serials are being issued.
SELECT EXISTS (SELECT FROM grants WHERE state = 'issuing');

-- name: keys_that_wait
-- Which of these keys have events that wait.
SELECT DISTINCT key FROM parked WHERE key = ANY($1::text[]);

-- name: keys_unsent
-- Of which of these keys the relay has set something aside, so that nobody else has heard it.
SELECT DISTINCT key FROM unsent WHERE key = ANY($1::text[]);

-- name: first_unsent
-- The first event of each key that the relay has set aside.
SELECT id, type, key AS order_id, count, reason
FROM (SELECT DISTINCT ON (u.topic, u.key) u.id, o.type, u.key, u.reason, count(*) OVER (PARTITION BY u.topic, u.key)
      FROM unsent u JOIN outbox o USING (id) ORDER BY u.topic, u.key, u.id) AS first
ORDER BY id LIMIT $1;

-- name: long_waits
-- Events that wait for an operator, or longer than they should.
SELECT key AS order_id, kind, reason, type, id, overdue_at < now() AS overdue
FROM parked WHERE kind IN ('blocked', 'gap') OR overdue_at < now()
ORDER BY id LIMIT $1;

-- name: unfinished_closes
-- Months whose close was interrupted, or left drafts because of a refund.
SELECT month FROM months WHERE unreported ORDER BY month;

-- name: events_by_place
-- Every event of the outbox, by topic and partition in the order of the outbox, with a hash of its data.
SELECT topic, partition, id, event_id::text AS event_id, key, type, subject, sequence, time, sha256(data) AS digest
FROM outbox
ORDER BY topic, partition, id;

-- name: events_by_id
-- The events with these keys and ids.
SELECT topic, partition, id, event_id::text AS event_id, key, type, subject, sequence, time, sha256(data) AS digest
FROM outbox
WHERE key = ANY($1::text[]) AND event_id = ANY($2::uuid[]);

-- name: sequence_order
-- Subjects whose events are not numbered 1, 2, 3 ... in the order of the outbox; where events were
-- forgotten, the first numbers may be missing.
SELECT DISTINCT ON (subject, of_partner) key AS order_id,
       format('the event %s (%s) about %s is number %s, %s comes before it', type, event_id, subject, sequence,
              CASE place WHEN 1 THEN 'nothing' ELSE 'number ' || before END) AS detail
FROM (
    SELECT id, key, event_id, type, subject, sequence, type LIKE 'partner.%' AS of_partner,
           row_number() OVER by_subject AS place, lag(sequence) OVER by_subject AS before
    FROM outbox WHERE sequence IS NOT NULL
    WINDOW by_subject AS (PARTITION BY subject, type LIKE 'partner.%' ORDER BY id)
) numbered
WHERE sequence <> coalesce(before, 0) + 1 AND (place > 1 OR (SELECT forgotten = 0 FROM retention))
ORDER BY subject, of_partner, id LIMIT $1;

-- name: one_grant_per_claim
-- Claims without exactly one granted event of their units, and granted events without a claim. The grants of an
-- order from before the horizon may be forgotten; a transaction that began a little earlier than the one that
-- recorded the order may have written of it too, hence the minute.
WITH published AS (
    SELECT key, type, convert_from(data, 'UTF8')::json AS data FROM outbox
    WHERE type IN ('issuance.granted.v1', 'issuance.granted.v2', 'refund.granted.v1')
), granted AS (
    SELECT min(key) AS order_id, purpose, claim_id, count(*) AS times, min(units) AS units
    FROM (
        SELECT key, 'issue' AS purpose, data ->> 'grant_id' AS claim_id, (data ->> 'quantity')::bigint AS units
        FROM published WHERE type = 'issuance.granted.v1'
        UNION ALL
        SELECT key, 'issue', one ->> 'grant_id', (one ->> 'quantity')::bigint
        FROM published, json_array_elements(data -> 'grants') AS one WHERE type = 'issuance.granted.v2'
        UNION ALL
        SELECT key, 'refund', data ->> 'refund_id',
               (SELECT sum((line ->> 'quantity')::bigint) FROM json_array_elements(data -> 'lines') AS line)
        FROM published WHERE type = 'refund.granted.v1'
    ) grants
    GROUP BY purpose, claim_id
), claimed AS (
    SELECT order_id, purpose, claim_id::text AS claim_id, sum(quantity) AS units FROM claims
    GROUP BY order_id, purpose, claim_id
), remembered AS (
    SELECT order_id FROM orders WHERE recorded_at > (SELECT horizon + interval '1 minute' FROM retention)
)
SELECT coalesce(c.order_id, s.order_id) AS order_id,
       format('the claim %s to %s %s units has %s granted events, for %s units', claim_id, purpose,
              coalesce(c.units, 0), coalesce(s.times, 0), coalesce(s.units, 0)) AS detail
FROM claimed c FULL JOIN granted s USING (purpose, claim_id) LEFT JOIN remembered r ON r.order_id = c.order_id
WHERE s.times > 1 OR s.times IS NULL AND r.order_id IS NOT NULL
   OR s.times = 1 AND (c.units IS DISTINCT FROM s.units OR c.order_id IS DISTINCT FROM s.order_id)
LIMIT $1;

-- name: issued_once_per_grant
-- Grants without exactly one issued event with all their units, and issued events without a grant. The issued event
-- of a grant from before the horizon may be forgotten.
WITH published AS (
    SELECT key, type, convert_from(data, 'UTF8')::json AS data FROM outbox
    WHERE type IN ('serials.issued.v1', 'serials.issued.v2')
), issued AS (
    SELECT min(key) AS order_id, grant_id, count(*) AS times, min(units) AS units
    FROM (
        SELECT key, data ->> 'grant_id' AS grant_id, (data ->> 'quantity')::bigint AS units
        FROM published WHERE type = 'serials.issued.v1'
        UNION ALL
        SELECT key, one ->> 'grant_id', (one ->> 'quantity')::bigint
        FROM published, json_array_elements(data -> 'grants') AS one WHERE type = 'serials.issued.v2'
    ) units
    GROUP BY grant_id
), granted AS (
    SELECT order_id, grant_id::text AS grant_id, quantity, state,
           recorded_at < (SELECT horizon FROM retention) AS is_old
    FROM grants
)
SELECT coalesce(g.order_id, s.order_id) AS order_id,
       format('the grant %s of %s units (%s) has %s issued events, for %s units', grant_id,
              coalesce(g.quantity, 0), coalesce(g.state, 'unknown'), coalesce(s.times, 0), coalesce(s.units, 0)) AS detail
FROM granted g FULL JOIN issued s USING (grant_id)
WHERE coalesce(s.times, 0) <> CASE g.state WHEN 'issued' THEN 1 ELSE 0 END
      AND NOT (g.is_old AND g.state = 'issued' AND s.times IS NULL)
   OR s.units <> g.quantity OR s.order_id <> g.order_id
LIMIT $1;

-- name: answered_once
-- Events of checkout that this service did not answer exactly once, and answers to nothing. An event that is refused for
-- its id alone, or that has none, is known by its place. Each replay of a dead letter may answer once more. Ids of
-- events that another service answers for stand in the inbox with a content of zeros, commands beside them under the
-- sub of a token. What was recorded before the horizon may be forgotten, event and answer each by itself, so neither is
-- asked for.
WITH answers AS (
    SELECT key, data -> 'event' ->> 'source' AS source, data -> 'event' ->> 'id' AS event_id,
           (data -> 'position' ->> 'partition')::integer AS partition, (data -> 'position' ->> 'offset')::bigint AS "offset",
           coalesce(data ->> 'code', '') AS code
    FROM (
        SELECT key, convert_from(data, 'UTF8')::json AS data FROM outbox
        WHERE topic = 'checkout.feedback' AND recorded_at >= (SELECT horizon FROM retention)
    ) feedback
), by_event AS (
    SELECT source, event_id, min(key) AS key, count(*) AS times FROM answers
    WHERE source IS NOT NULL AND event_id IS NOT NULL AND code <> 'duplicate_id'
    GROUP BY source, event_id
), by_place AS (
    SELECT partition, "offset", min(key) AS key, count(*) AS times FROM answers
    WHERE source IS NULL OR event_id IS NULL OR code = 'duplicate_id'
    GROUP BY partition, "offset"
), replays AS (
    SELECT source, event_id, count(*) AS times FROM dead_letters
    WHERE state = 'replayed' AND topic = 'checkout.events' GROUP BY source, event_id
), letters AS (
    SELECT key, partition, "offset" FROM dead_letters
    WHERE topic = 'checkout.events' AND (source IS NULL OR event_id IS NULL OR code = 'duplicate_id')
      AND dead_at >= (SELECT horizon FROM retention)
)
SELECT key AS order_id, detail FROM (
    SELECT a.key, format('event %s of %s has %s answers', event_id, source, coalesce(a.times, 0))
                  || CASE WHEN i.known IS NULL THEN ' and is not in the inbox' ELSE '' END AS detail
    FROM (SELECT source, event_id, true AS known,
                 (content <> decode(repeat('00', 16), 'hex') AND recorded_at >= (SELECT horizon FROM retention))::integer
                     AS ours
          FROM inbox WHERE NOT starts_with(source, 'token:')) i
    FULL JOIN by_event a USING (source, event_id)
    LEFT JOIN replays r USING (source, event_id)
    WHERE i.known IS NULL AND a.times > CASE WHEN (SELECT forgotten > 0 FROM retention) THEN coalesce(r.times, 0) ELSE 0 END
       OR coalesce(a.times, 0) NOT BETWEEN i.ours AND i.ours + coalesce(r.times, 0)
    UNION ALL
    SELECT coalesce(l.key, a.key), format('the record checkout.events/%s/%s has %s answers%s', partition, "offset",
                                          coalesce(a.times, 0), CASE WHEN l.known IS NULL
                                                                THEN ' and is no dead letter' ELSE '' END)
    FROM (SELECT partition, "offset", min(key) AS key, count(*) AS times, true AS known FROM letters GROUP BY 1, 2) l
    FULL JOIN by_place a USING (partition, "offset")
    WHERE l.known IS NULL OR coalesce(a.times, 0) <> l.times
) wrong
LIMIT $1;

-- name: contents_of_events
-- The content of the events of checkout with these ids, as they came first.
SELECT source, event_id, content FROM inbox JOIN unnest($1::text[], $2::text[]) AS w (source, event_id)
USING (source, event_id);

-- name: replayed_letters
-- The dead letters that operators have replayed.
SELECT key, source, event_id, type, replayed_at FROM dead_letters WHERE state = 'replayed';

-- name: edited_letters
-- The dead letters of checkout that operators have sent right, and what they changed.
SELECT d.topic, d.partition, d."offset", d.closed_at, a.before, a.after
FROM dead_letters d JOIN audit_log a ON a.id = d.edited_as
WHERE d.state = 'edited';

-- name: letters_at
-- Which of these records of checkout are dead letters.
SELECT partition, "offset" FROM dead_letters JOIN unnest($1::integer[], $2::bigint[]) AS w (partition, "offset")
USING (partition, "offset")
WHERE topic = 'checkout.events';

-- name: refused_events
-- Which of these events of checkout were refused, whatever became of their dead letters. One that is refused for its
-- id alone says nothing of the event that has this id.
SELECT source, event_id FROM dead_letters JOIN unnest($1::text[], $2::text[]) AS w (source, event_id)
USING (source, event_id)
WHERE topic = 'checkout.events' AND code <> 'duplicate_id';

-- name: payments_without_a_place
-- Which of these payments (order, payment, won, instant) neither pay their order nor stand in a case of it with these
-- won. Money has its place too where it made good what was missing, and where it had gone back before it came.
SELECT number FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[])
     WITH ORDINALITY AS came (order_id, payment_id, amount, paid_at, number)
LEFT JOIN orders o USING (order_id)
WHERE (o.payment_id, o.amount) IS DISTINCT FROM (came.payment_id, came.amount)
  AND NOT EXISTS (
    SELECT FROM quarantine q
    WHERE q.order_id = came.order_id AND q.payment_id = came.payment_id AND q.amount = came.amount
      AND q.reason <> 'cancelled_after_issue')
  AND NOT EXISTS (
    SELECT FROM quarantine q
    WHERE q.order_id = came.order_id AND q.payment_id = came.payment_id AND q.decision = 'reinstated'
      AND q.settled_at = came.paid_at
    HAVING -sum(q.amount) = came.amount)
  AND NOT EXISTS (
    SELECT FROM json_array_elements(o.reversals -> came.payment_id) AS gone
    WHERE gone ->> 'amount' IS NULL AND coalesce((gone ->> 'at')::timestamptz, 'infinity') >= came.paid_at);

-- name: decisions_without_an_end
-- Which of these decisions (order, payment, decision, source and id of the event) ended no case of their payment,
-- although one of it had been told before and is still open.
SELECT number FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
     WITH ORDINALITY AS said (order_id, payment_id, decision, source, event_id, number)
JOIN inbox i USING (source, event_id)
WHERE NOT EXISTS (
    SELECT FROM quarantine q
    WHERE q.order_id = said.order_id AND q.payment_id = said.payment_id AND q.decision = said.decision)
  AND EXISTS (
    SELECT FROM quarantine q
    WHERE q.order_id = said.order_id AND q.payment_id = said.payment_id AND q.decision IS NULL)
  AND EXISTS (
    SELECT FROM outbox
    WHERE key = said.order_id AND type = 'payment.quarantined.v1' AND recorded_at < i.recorded_at
      AND convert_from(data, 'UTF8')::json ->> 'payment_id' = said.payment_id);

-- name: merges_without_a_trace
-- Which of these requests about merges (partner, request) are not kept.
SELECT number FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS said (partner_id, request_id, number)
WHERE NOT EXISTS (
    SELECT FROM merge_requests r WHERE r.partner_id = said.partner_id AND r.request_id = said.request_id);

-- name: cases_told
-- Cases that were not told as often as they are held, ended otherwise than was told, or proposed to give back something
-- else than is there. The events of an order from before the horizon may be forgotten (see one_grant_per_claim). Under
-- contract 1 cases had no proposal, and nothing told that a payment had been taken back.
WITH said AS (
    SELECT id, key AS order_id, type, convert_from(data, 'UTF8')::json AS data FROM outbox
    WHERE type IN ('payment.quarantined.v1', 'quarantine.settled.v1')
), told AS (
    SELECT order_id, data ->> 'payment_id' AS payment_id, data ->> 'reason' AS reason, (data ->> 'amount')::bigint AS amount,
           count(*) FILTER (WHERE type = 'payment.quarantined.v1') AS opened,
           string_agg(data ->> 'decision', ', ' ORDER BY data ->> 'decision') AS ends
    FROM said GROUP BY 1, 2, 3, 4
), held AS (
    SELECT order_id, payment_id, reason, amount, count(*) AS opened,
           string_agg(decision, ', ' ORDER BY decision) FILTER (WHERE NOT taken_back) AS ends
    FROM quarantine GROUP BY 1, 2, 3, 4
), remembered AS (
    SELECT order_id FROM orders WHERE recorded_at > (SELECT horizon + interval '1 minute' FROM retention)
), contract_2 AS (
    SELECT CASE WHEN EXISTS (SELECT FROM outbox WHERE type = 'issuance.granted.v1') OR (SELECT forgotten > 0 FROM retention)
                THEN (SELECT min(id) FROM said WHERE type = 'quarantine.settled.v1' OR data -> 'proposal' IS NOT NULL)
                ELSE 0 END AS since
)
SELECT order_id, format('the case %s of %s won of payment %s: %s held (%s), %s told (%s)', reason, amount, payment_id,
                        coalesce(h.opened, 0), coalesce(h.ends, 'no end'), coalesce(t.opened, 0),
                        coalesce(t.ends, 'no end')) AS detail
FROM held h FULL JOIN told t USING (order_id, payment_id, reason, amount) LEFT JOIN remembered r USING (order_id)
WHERE coalesce(t.opened, 0) > coalesce(h.opened, 0)
   OR r.order_id IS NOT NULL AND (h.opened, h.ends) IS DISTINCT FROM (t.opened, t.ends)
UNION ALL
SELECT order_id, format('the case %s of %s won of payment %s proposes %s', data ->> 'reason', data ->> 'amount',
                        data ->> 'payment_id', coalesce((data -> 'proposal')::text, 'nothing'))
FROM said
CROSS JOIN LATERAL (
    SELECT CASE WHEN data ->> 'reason' IN ('cancelled_after_issue', 'cancelled_after_refund', 'partly_cancelled',
                                           'payout_twice', 'used_after_refund') THEN 0 ELSE (data ->> 'amount')::bigint END AS owed) AS here
WHERE type = 'payment.quarantined.v1'
  AND (data -> 'proposal' IS NOT NULL OR id >= (SELECT since FROM contract_2))
  AND ((data -> 'proposal' ->> 'refund')::bigint IS DISTINCT FROM owed
       OR owed <> 0 AND data -> 'proposal' ->> 'destination' IS NULL)
LIMIT $1;

-- name: merges_answered
-- Requests about merges that were not answered exactly once, answers to nothing, and payments that were named and not
-- told. Answers from before the horizon may be forgotten; under contract 1 there were none.
WITH told AS (
    -- A long answer comes in parts, which are one answer.
    SELECT key AS partner_id, data ->> 'request_id' AS request_id, min(time::timestamptz) AS said_at,
           count(*) FILTER (WHERE coalesce(data ->> 'part', '1') = '1') AS times,
           jsonb_path_query_array(jsonb_agg(data), '$[*].merged[*]') AS merged,
           jsonb_path_query_array(jsonb_agg(data), '$[*].excluded[*]') AS excluded
    FROM (
        SELECT key, time, convert_from(data, 'UTF8')::jsonb AS data FROM outbox WHERE type = 'merge.answered.v1'
    ) answers
    GROUP BY 1, 2
), judged AS (
    SELECT greatest(
        (SELECT horizon + interval '1 day' FROM retention),  -- a checkout's clock may be a day ahead
        CASE WHEN EXISTS (SELECT FROM documents WHERE NOT late_by_due_day)
             THEN coalesce((SELECT min(said_at) FROM told), 'infinity') ELSE '-infinity' END) AS since
)
SELECT NULL AS order_id, format('the request %s of partner %s about a merge has %s answers%s', request_id, partner_id,
                                coalesce(t.times, 0), CASE WHEN r.month IS NULL THEN ' and was never made'
                                                           WHEN t.times = 1 THEN ', not for all that it names' END) AS detail
FROM merge_requests r FULL JOIN told t USING (partner_id, request_id)
WHERE r.month IS NULL OR t.times > 1
   OR t.times IS NULL AND r.requested_at >= (SELECT since FROM judged)
   OR EXISTS (
       SELECT FROM jsonb_array_elements_text(CASE jsonb_typeof(r.payment_ids) WHEN 'array' THEN r.payment_ids END) AS named
       WHERE NOT t.merged ? named AND NOT t.excluded @> jsonb_build_array(jsonb_build_object('payment_id', named)))
LIMIT $1;

-- name: replays
-- The dead letters that an operator has replayed.
SELECT key, source, event_id, type, replayed_at FROM dead_letters WHERE state = 'replayed' ORDER BY id;

-- name: commands_with_events
-- What operators had done over HTTP from which events followed, with the key of these events.
SELECT DISTINCT a.id, a.recorded_at, a.action, a.target, a.before::text, a.after::text, e.key
FROM audit_log a JOIN outbox e ON e.causation = a.id::text
WHERE a.result = 'done' ORDER BY a.id;

-- name: issued_by_clock_since
-- The last instant at which a document was issued as of its event's own time; null where none was. Where its event is
-- forgotten it was before all that are not.
SELECT CASE WHEN EXISTS (SELECT FROM documents WHERE state = 'issued' AND NOT issued_by_clock)
       THEN coalesce((SELECT max(e.recorded_at) FROM documents d
                      JOIN outbox e ON e.key = d.partner_id AND e.subject = d.invoice_id::text
                      WHERE d.state = 'issued' AND NOT d.issued_by_clock),
                     (SELECT min(recorded_at) FROM outbox)) END;

-- name: nothing_missed
-- Records that were never read, and that nobody has dealt with.
SELECT NULL::text AS order_id,
       format('%s/%s from %s up to %s was never read (%s, noticed %s): pawl gaps ls', topic, partition, from_offset, to_offset,
              kind, to_char(since AT TIME ZONE 'Asia/Seoul', 'YYYY-MM-DD HH24:MI')) AS detail
FROM gaps WHERE closed_at IS NULL ORDER BY id LIMIT $1;

-- name: partition_counts
-- How many partitions a service has ever seen each of its topics have.
SELECT DISTINCT topic, partitions FROM topics;

-- name: handled_offsets
-- How far each partition is handled; none while processes of the version before may run, which do not say it here.
SELECT topic, partition, next_offset FROM handled_offsets WHERE (SELECT offsets_since <= now() FROM retention);
