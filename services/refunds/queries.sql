-- name: lock_orders
-- The orders that a batch is about, locked in key order so that no two batches can deadlock.
SELECT * FROM orders WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id FOR UPDATE;

-- name: lock_orders_of_partners
-- All orders of partners that are purged, with those that their batch is about, locked in key order.
SELECT order_id FROM orders
WHERE partner_id = ANY($1::text[]) OR order_id = ANY(string_to_array($2, E'\x1f')) ORDER BY order_id FOR UPDATE;

-- name: erase_partner
-- Erases who a partner was from its orders and refunds.
SELECT erase_partner($1);

-- name: parts_of_orders
-- Their lines, as they stood in the order, then their refunds, oldest first, and the units of these, in the order of each:
-- all as rows of their tables.
SELECT ARRAY(SELECT l FROM order_lines l WHERE order_id = ANY(string_to_array($1, E'\x1f'))
             ORDER BY order_id, position) AS lines,
       ARRAY(SELECT r FROM refunds r WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY refund_id) AS refunds,
       ARRAY(SELECT u FROM refunds r JOIN refund_lines u USING (refund_id)
             WHERE r.order_id = ANY(string_to_array($1, E'\x1f')) AND u.quantity > 0
             ORDER BY u.refund_id, u.position) AS units;

-- name: readings_of_orders
-- What was used of their lines, in the order of its own times.
SELECT * FROM usage_readings WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id, line_id, recorded_at;

-- name: bonuses_of_orders
-- Bonus cash of their lines, in the order in which it was told.
SELECT * FROM bonuses WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id, line_id, position;

-- name: drop_lines
-- Lines of orders that were registered and are paid with another snapshot.
DELETE FROM order_lines WHERE order_id = ANY(string_to_array($1, E'\x1f'));

-- name: payouts_of_orders
-- What was paid out for their refunds, each refund's payouts in their order.
SELECT r.order_id, p.* FROM refund_payouts p JOIN refunds r USING (refund_id)
WHERE r.order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY p.refund_id, p.position;

-- name: failures_of_orders
-- Which payouts of their refunds failed.
SELECT r.order_id, f.* FROM payout_failures f JOIN refunds r USING (refund_id)
WHERE r.order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY f.refund_id, f.payout_id;

-- name: read_details
-- The sealed details that a reference names, with the data key that opens them: null where it was destroyed, or where
-- the key of the service does.
SELECT d.*, k.sealed AS sealed_key FROM refund_details d LEFT JOIN data_keys k
  ON k.partner_id = d.partner_id AND k.number = d.key_number
WHERE d.reference = $1;

-- name: details_of_refunds
-- The same of these refunds.
SELECT d.*, k.sealed AS sealed_key FROM refund_details d LEFT JOIN data_keys k
  ON k.partner_id = d.partner_id AND k.number = d.key_number
WHERE d.refund_id = ANY($1::uuid[]);

-- name: details_of_partner
-- The same of all refunds of a partner.
SELECT d.*, k.sealed AS sealed_key
FROM orders o JOIN refunds r USING (order_id) JOIN refund_details d USING (refund_id)
LEFT JOIN data_keys k ON k.partner_id = d.partner_id AND k.number = d.key_number
WHERE o.partner_id = $1 ORDER BY d.reference;

-- name: data_keys_in_use
-- The data keys of these partners. Until the end of the transaction nobody destroys them.
SELECT * FROM data_keys WHERE partner_id = ANY($1::text[]) AND forgotten_at IS NULL ORDER BY partner_id FOR KEY SHARE;

-- name: make_data_keys
-- Data keys of partners that have none. Who comes second waits for the first, and makes none.
INSERT INTO data_keys (partner_id, number, sealed)
SELECT n.partner_id, 1 + (SELECT count(*) FROM data_keys k WHERE k.partner_id = n.partner_id), n.sealed
FROM unnest($1::text[], $2::bytea[]) AS n (partner_id, sealed)
ON CONFLICT DO NOTHING;

-- name: lock_data_key
-- The data key of a partner, for whoever destroys it: waits for those who seal with it.
SELECT * FROM data_keys WHERE partner_id = $1 AND forgotten_at IS NULL FOR UPDATE;

-- name: erase_details
-- Overwrites what the key of the service alone sealed for a partner, and names the data key that is destroyed.
SELECT forget_details($1, $2);

-- name: knows_partner
-- Whether there is an order of the partner.
SELECT EXISTS (SELECT FROM orders WHERE partner_id = $1);

-- name: accounts_needed
-- Refunds of a partner that still need its bank account, oldest first.
SELECT r.refund_id, r.order_id, r.state FROM orders o JOIN refunds r USING (order_id)
WHERE o.partner_id = $1 AND r.destination_kind = 'bank_account'
  AND r.state IN ('held', 'in_review', 'accepted', 'paying_out', 'unknown', 'failed', 'bounced', 'repaying')
ORDER BY r.requested_at, r.refund_id LIMIT $2;

-- name: requests_that_wait
-- Refund requests of a partner that wait for the payment of their order, with the account in them.
SELECT p.key AS order_id, p.event_id FROM orders o JOIN parked p ON p.key = o.order_id
WHERE o.partner_id = $1 AND p.type = 'refund.requested.v1' ORDER BY p.id LIMIT $2;

-- name: dead_letters_of_partner
-- How many refused refund requests about orders of a partner are kept, each as it came.
SELECT count(*) FROM orders o JOIN dead_letters d ON d.key = o.order_id
WHERE o.partner_id = $1 AND d.type = 'refund.requested.v1';

-- name: todo_refunds
-- Refunds that are not at their end, by state, its reason, the Seoul day from which their time counts, the day on which
-- their money is expected, and the instant by which goods have to be back. A bounced one is owed anew from its bounce, and
-- goods that came back are owed from then on.
SELECT r.state, coalesce(r.why, '') AS why, b.since::date AS day, r.expected_on, r.deadline, count(*) AS count,
       sum(r.amount)::bigint AS won, array_agg(r.amount) FILTER (WHERE r.amount > 0) AS amounts, min(h.at) AS state_since, min(r.requested_at) AS requested_at,
       (array_agg(r.refund_id::text ORDER BY r.requested_at, r.refund_id))[1:20] AS members
FROM refunds r
LEFT JOIN refund_history h
  ON r.state IN ('bounced', 'repaying') AND h.refund_id = r.refund_id AND h.position = r.steps
CROSS JOIN LATERAL (
    SELECT coalesce(h.at, r.returned_at, r.requested_at) AT TIME ZONE INTERVAL '+09:00'
) AS b (since)
WHERE r.state IN ('held', 'in_review', 'accepted', 'paying_out', 'unknown', 'failed', 'bounced', 'repaying')
GROUP BY 1, 2, 3, 4, 5;

-- name: take_payouts_in_turn
-- Who takes payouts out waits for whoever is doing that now, so that each leaves once.
SELECT pg_advisory_xact_lock(hashtext('refunds.payouts'));

-- name: payouts_to_make
-- Payouts to a bank account that checkout was asked for and has not answered, oldest first. `asked` counts the steps of
-- the refund until it was asked for, `taken` has the references under which it was taken out before.
-- One that was asked for again because nobody answered is left out: its money may be on its way. `is_forgotten`: its
-- account was destroyed with the key of its partner.
SELECT r.refund_id, r.order_id, o.partner_id, r.amount, r.expected_on, r.requested_at, r.destination_masked,
       h.position AS asked, p.bounces, coalesce(a.taken, '{}') AS taken, k.forgotten_at IS NOT NULL AS is_forgotten
FROM refunds r
JOIN orders o USING (order_id)
LEFT JOIN refund_details d USING (refund_id)
LEFT JOIN data_keys k ON k.partner_id = d.partner_id AND k.number = d.key_number
CROSS JOIN LATERAL (
    SELECT position, reason FROM refund_history
    WHERE refund_id = r.refund_id AND state IN ('paying_out', 'repaying') ORDER BY position DESC LIMIT 1
) AS h
CROSS JOIN LATERAL (
    SELECT count(*) AS bounces FROM refund_payouts WHERE refund_id = r.refund_id AND state = 'bounced'
) AS p
CROSS JOIN LATERAL (
    SELECT array_agg(after ->> 'reference') AS taken FROM audit_log
    WHERE target = (r.order_id || ' ' || r.refund_id) COLLATE "default" AND action = $1
) AS a
WHERE r.state IN ('paying_out', 'repaying') AND r.destination_kind = 'bank_account' AND h.reason <> $2
ORDER BY r.requested_at, r.refund_id;

-- name: unanswered_payouts
-- Payouts of which nobody knows whether they were made, that are to be asked for again: $1 after that was said, then
-- after twice as long each time, at most after $2. `at` is the present instant on the clock of the refund's own steps.
SELECT r.order_id, r.refund_id, h.at + (now() - h.recorded_at) AS at
FROM refunds r
JOIN refund_history h ON h.refund_id = r.refund_id AND h.position = r.steps
CROSS JOIN LATERAL (
    SELECT count(*) AS times FROM refund_history WHERE refund_id = r.refund_id AND reason = $3
) AS a
WHERE (r.state = 'unknown' OR (r.state = 'bounced' AND r.why IN ('timeout', 'unknown')))
  AND h.recorded_at <= now() - least($1::interval * 2 ^ least(a.times, 20), $2::interval)
ORDER BY r.refund_id LIMIT $4;

-- name: holders_to_check
-- Refunds of which the bank has not said whose their account is: at once, then $1 after it did not answer, then after
-- twice as long each time, at most after $2. `at` is the present instant on the clock of the refund's own steps.
SELECT r.order_id, r.refund_id, r.destination_reference, o.business_number, h.at + (now() - h.recorded_at) AS at
FROM refunds r
JOIN orders o USING (order_id)
JOIN refund_history h ON h.refund_id = r.refund_id AND h.position = r.steps
CROSS JOIN LATERAL (
    SELECT count(*) AS times FROM refund_history WHERE refund_id = r.refund_id AND reason = $3
) AS a
WHERE r.state = 'held' AND r.why = 'holder_check'
  AND (a.times = 0 OR h.recorded_at <= now() - least($1::interval * 2 ^ least(a.times - 1, 20), $2::interval))
ORDER BY r.requested_at, r.refund_id LIMIT $4;

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
-- The order of a refund, and whose it is.
SELECT r.order_id, o.partner_id FROM refunds r JOIN orders o USING (order_id) WHERE r.refund_id = $1;

-- name: refund_to_show
-- A refund, whose order it is of, and since when it is in its state.
SELECT r.refund_id, r.refund_request_id, r.order_id, o.partner_id, r.state, r.why, r.reason, r.requested_by, r.requested_at,
       r.everything, r.destination_kind, r.destination_masked, r.supply, r.vat, r.fee, r.amount, r.expected_on, r.completed_at,
       r.deadline, r.returned_at, r.mismatch, h.at AS since
FROM refunds r JOIN orders o USING (order_id) JOIN refund_history h ON h.refund_id = r.refund_id AND h.position = r.steps
WHERE r.refund_id = $1;

-- name: refunds_in_turn
-- Refunds behind one, by their requests, the oldest first: of a partner, in some states, asked for since an instant.
SELECT r.refund_id, r.refund_request_id, r.order_id, o.partner_id, r.state, r.why, r.reason, r.requested_by, r.requested_at,
       r.everything, r.destination_kind, r.destination_masked, r.supply, r.vat, r.fee, r.amount, r.expected_on, r.completed_at,
       r.deadline, r.returned_at, r.mismatch, h.at AS since,
       (extract(epoch FROM r.requested_at) * 1000000)::bigint AS place
FROM refunds r JOIN orders o USING (order_id) JOIN refund_history h ON h.refund_id = r.refund_id AND h.position = r.steps
WHERE ($1::text IS NULL OR o.partner_id = $1) AND ($2::text[] IS NULL OR r.state = ANY($2))
  AND ($3::timestamptz IS NULL OR r.requested_at >= $3)
  AND (r.requested_at, r.refund_id) > ('epoch'::timestamptz + $4::bigint * interval '1 microsecond', $5::uuid)
ORDER BY r.requested_at, r.refund_id LIMIT $6;

-- name: waiting_refunds_in_turn
-- The same of those that are not at their end: few among many, which an index of their own has in this order. Where $7 is given,
-- only those that are overdue, as count_waiting_refunds counts them.
SELECT r.refund_id, r.refund_request_id, r.order_id, o.partner_id, r.state, r.why, r.reason, r.requested_by, r.requested_at,
       r.everything, r.destination_kind, r.destination_masked, r.supply, r.vat, r.fee, r.amount, r.expected_on, r.completed_at,
       r.deadline, r.returned_at, r.mismatch, h.at AS since,
       (extract(epoch FROM r.requested_at) * 1000000)::bigint AS place
FROM refunds r JOIN orders o USING (order_id) JOIN refund_history h ON h.refund_id = r.refund_id AND h.position = r.steps
WHERE r.state IN ('held', 'in_review', 'accepted', 'paying_out', 'unknown', 'failed', 'bounced', 'repaying')
  AND ($1::text IS NULL OR o.partner_id = $1) AND ($2::text[] IS NULL OR r.state = ANY($2))
  AND ($3::timestamptz IS NULL OR r.requested_at >= $3)
  AND (r.requested_at, r.refund_id) > ('epoch'::timestamptz + $4::bigint * interval '1 microsecond', $5::uuid)
  AND ($7::timestamptz IS NULL OR r.deadline < $7
       OR r.amount > 0 AND (coalesce(r.returned_at, r.requested_at) AT TIME ZONE INTERVAL '+09:00')::date <= $8::date)
ORDER BY r.requested_at, r.refund_id LIMIT $6;

-- name: count_waiting_refunds
-- How many refunds that are not at their end are in which state and overdue, with the won of those that are granted, and since
-- when the oldest is in its state. Overdue: at $1 a deadline went by, or the legal day of won that are owed since $2 or before.
SELECT r.state, o.is_overdue, count(*) AS count, sum(r.amount)::bigint AS won, min(h.at) AS since
FROM refunds r
CROSS JOIN LATERAL (
    SELECT at FROM refund_history WHERE refund_id = r.refund_id AND position = r.steps OFFSET 0 -- one by one
) AS h
CROSS JOIN LATERAL (SELECT coalesce(
    r.deadline < $1::timestamptz
    OR r.amount > 0 AND (coalesce(r.returned_at, r.requested_at) AT TIME ZONE INTERVAL '+09:00')::date <= $2::date, false
)) AS o (is_overdue)
WHERE r.state IN ('held', 'in_review', 'accepted', 'paying_out', 'unknown', 'failed', 'bounced', 'repaying')
GROUP BY 1, 2;

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

-- name: note_invoiced
-- Payments whose tax invoice is issued. What was told before stays: the invoice may have been corrected since.
INSERT INTO tax_invoices (payment_id, document_key, supply, vat, written_date)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::date[])
ON CONFLICT DO NOTHING;

-- name: note_replaced
-- A tax invoice was corrected: its payments stand on the one that says the same, or it was a duplicate.
UPDATE tax_invoices SET document_key = coalesce($2, document_key), is_duplicate = is_duplicate OR $2 IS NULL
WHERE document_key = $1;

-- name: read_order
-- An order as it is, for a look.
SELECT * FROM orders WHERE order_id = $1;

-- name: tax_invoice_of_payment
-- The issued tax invoice that a payment stands on.
SELECT document_key, supply, vat, written_date, is_duplicate FROM tax_invoices WHERE payment_id = $1;

-- name: evidence_owner
-- Whose order it is.
SELECT partner_id FROM orders WHERE order_id = $1;

-- name: evidence_deliveries
-- Lines that are delivered, activated or used, with the latest running total; serials are issued, and told by serials.
SELECT l.line_id, l.kind, l.delivered_at, l.activated_at, u.used, u.recorded_at AS used_at, b.bonus, l.consumed, l.overpaid
FROM order_lines l
LEFT JOIN LATERAL (
    SELECT used, recorded_at FROM usage_readings r WHERE r.order_id = l.order_id AND r.line_id = l.line_id
    ORDER BY recorded_at DESC LIMIT 1
) u ON true
LEFT JOIN LATERAL (
    SELECT sum(bonus)::bigint AS bonus FROM bonuses n WHERE n.order_id = l.order_id AND n.line_id = l.line_id
) b ON true
WHERE l.order_id = $1 AND l.kind <> 'serials' ORDER BY l.position;

-- name: evidence_refunds
-- What was asked back, what became of it, its won and its days. Where the money goes is masked.
SELECT r.refund_id, r.refund_request_id, r.state, r.why, r.reason, r.requested_by, r.role, r.requested_at, r.everything,
       r.destination_kind, r.destination_masked, r.supply, r.vat, r.fee, r.amount, r.expected_on, r.deadline, r.returned_at,
       r.reviewed_at, r.completed_at, l.line_ids, l.quantities
FROM refunds r
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(line_id ORDER BY position), '{}') AS line_ids,
           coalesce(array_agg(quantity ORDER BY position), '{}') AS quantities
    FROM refund_lines WHERE refund_id = r.refund_id AND quantity > 0
) l
WHERE r.order_id = $1 ORDER BY r.requested_at, r.refund_id;

-- name: evidence_payouts
-- Every payout that was made.
SELECT p.payout_id, r.refund_request_id, p.refund_id, p.state, coalesce(p.amount, r.amount) AS amount, p.paid_out_at
FROM refunds r JOIN refund_payouts p USING (refund_id) WHERE r.order_id = $1 ORDER BY r.requested_at, r.refund_id, p.position;

-- name: evidence_failed_payouts
-- The latest sure failure of each payout.
SELECT f.payout_id, r.refund_request_id, f.refund_id, f.reason, f.failed_at
FROM refunds r JOIN payout_failures f USING (refund_id) WHERE r.order_id = $1 ORDER BY f.failed_at, f.payout_id;

-- name: evidence_steps
-- Every change of its refunds: when, who, why.
SELECT h.refund_id, r.refund_request_id, h.position, h.state, h.at, h.recorded_at, h.actor, h.reason, h.note
FROM refunds r JOIN refund_history h USING (refund_id) WHERE r.order_id = $1 ORDER BY h.recorded_at, h.refund_id, h.position;
