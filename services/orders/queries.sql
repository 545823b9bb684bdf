-- name: lock_orders
-- The orders that a batch is about, locked in key order.
SELECT * FROM orders WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id FOR UPDATE;

-- name: parts_of_orders
-- What they have in other tables, as rows of these: their lines in document order; who claimed their units, each claim's
-- lines in order; which requests to issue were answered; their money in quarantine, in order.
SELECT ARRAY(SELECT l FROM order_lines l WHERE order_id = ANY(string_to_array($1, E'\x1f'))
             ORDER BY order_id, position) AS lines,
       ARRAY(SELECT c FROM claims c WHERE order_id = ANY(string_to_array($1, E'\x1f'))
             ORDER BY order_id, claim_id, position) AS claims,
       ARRAY(SELECT r FROM issue_requests r WHERE order_id = ANY(string_to_array($1, E'\x1f'))) AS requests,
       ARRAY(SELECT q FROM quarantine q WHERE order_id = ANY(string_to_array($1, E'\x1f'))
             ORDER BY order_id, number) AS cases;

-- name: claim_payments
-- Payments that nobody has named before become those of these orders, in the order of their ids; they come back. So do
-- those of these partners ($5) that have left: no other one leaves while an order is locked (stop_orders).
WITH claimed AS (
    INSERT INTO payments (payment_id, order_id, amount, content)
    SELECT payment_id, order_id, amount, substr($4::bytea, (16 * number - 15)::integer, 16)
    FROM unnest(string_to_array($1, E'\x1f'), string_to_array($2, E'\x1f'), string_to_array($3, E'\x1f')::bigint[])
         WITH ORDINALITY AS named (payment_id, order_id, amount, number)
    ORDER BY number
    ON CONFLICT DO NOTHING
    RETURNING payment_id
)
SELECT payment_id, NULL AS partner_id FROM claimed
UNION ALL
SELECT NULL, partner_id FROM partners
WHERE withdrawn_at IS NOT NULL AND partner_id = ANY(string_to_array($5, E'\x1f'));

-- name: known_payments
-- Payments that were named before, with the orders that they can pay.
SELECT * FROM payments WHERE payment_id = ANY(string_to_array($1, E'\x1f'));

-- name: give_up_payments
-- Payments that this batch claimed and that no order took.
DELETE FROM payments WHERE payment_id = ANY(string_to_array($1, E'\x1f'));

-- name: drop_lines
-- Lines of an order without money that another snapshot replaces.
DELETE FROM order_lines WHERE order_id = ANY(string_to_array($1, E'\x1f')) AND paid = 0;

-- name: drop_sales
-- Orders that count no more in the ranking.
DELETE FROM sales WHERE order_id = ANY(string_to_array($1, E'\x1f'));

-- name: orders_ranked_wrongly
-- Orders whose sales are not their products at their payment, or that have sales and are not paid.
SELECT DISTINCT order_id
FROM (SELECT DISTINCT o.order_id, l.product_id, o.paid_at
      FROM orders o JOIN order_lines l USING (order_id) WHERE o.state = 'paid') sold
FULL JOIN sales USING (order_id, product_id)
WHERE sold.paid_at IS DISTINCT FROM sales.sold_at
LIMIT $1;

-- name: ranking
-- Products by the number of their paid orders since an instant, then by the latest of them, then by id; each under the
-- name of its latest order.
SELECT product_id, orders, last_sold_at, named.product_name
FROM (
    SELECT product_id, count(*) AS orders, max(sold_at) AS last_sold_at FROM sales WHERE sold_at >= $1
    GROUP BY product_id ORDER BY orders DESC, last_sold_at DESC, product_id LIMIT $2
) best
CROSS JOIN LATERAL (
    SELECT l.product_name FROM sales s JOIN order_lines l USING (order_id, product_id)
    WHERE s.product_id = best.product_id AND s.sold_at = best.last_sold_at ORDER BY order_id, l.position LIMIT 1
) named
ORDER BY orders DESC, last_sold_at DESC, product_id;

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
-- Everything unfinished that keeps a partner from leaving, line by line, its refunds that have no claim, and its money in
-- quarantine. An invoice ends one payment of one order. Where an older version did not note the order, it is the one that the payment pays.
SELECT o.partner_id, b.kind, o.order_id, l.line_id, b.quantity
FROM orders o
JOIN order_lines l USING (order_id)
CROSS JOIN LATERAL (VALUES
    ('pending_deposit', CASE WHEN o.state = 'pending_deposit' THEN l.quantity END),
    ('unissued_units', CASE WHEN l.kind = 'serials' THEN l.paid - l.issued - l.refunding - l.refunded END),
    ('refund_in_progress', l.refunding),
    ('uninvoiced_payment',
     CASE WHEN o.state IN ('paid', 'cancelled') AND o.evidence = 'tax_invoice'
               AND (o.payment_method <> 'card' OR $2::boolean)
               AND o.remaining_supply + o.remaining_vat > 0
               AND NOT EXISTS (SELECT FROM invoiced_payments i LEFT JOIN payments p USING (payment_id)
                               WHERE i.payment_id = o.payment_id AND coalesce(i.order_id, p.order_id) = o.order_id)
          THEN l.paid - l.refunded END)
) AS b (kind, quantity)
WHERE o.partner_id = ANY($1::text[]) AND b.quantity > 0
UNION ALL
SELECT partner_id, 'refund_in_progress', order_id, NULL, NULL::integer
FROM orders WHERE partner_id = ANY($1::text[]) AND open_refunds <> '{}'
UNION ALL
SELECT DISTINCT partner_id, 'quarantined_money', order_id, NULL, NULL::integer
FROM quarantine WHERE partner_id = ANY($1::text[]) AND decision IS NULL
ORDER BY partner_id, order_id, kind, line_id;

-- name: standing_of_partner
-- Whether anything is known of a partner, and when it left.
SELECT (SELECT withdrawn_at FROM partners WHERE partner_id = $1) AS withdrawn_at,
       EXISTS (SELECT FROM orders WHERE partner_id = $1) OR EXISTS (SELECT FROM partners WHERE partner_id = $1) AS is_known;

-- name: partners_to_purge
-- Partners that have left and are still named on their orders, who left first first, with how many orders they have.
SELECT p.*, (SELECT count(*) FROM orders o WHERE o.partner_id = p.partner_id) AS orders
FROM partners p WHERE withdrawn_at IS NOT NULL AND purged_at IS NULL ORDER BY withdrawn_at, partner_id;

-- name: erase_partners
-- Orders of these partners say no more who they were; units and won stay. Locked in key order, as batches do.
WITH locked AS (SELECT order_id FROM orders WHERE partner_id = ANY($1::text[]) ORDER BY order_id FOR UPDATE)
UPDATE orders o SET partner = json_build_object('partner_id', o.partner_id) FROM locked WHERE o.order_id = locked.order_id;

-- name: note_invoiced
-- Payments whose invoice is issued, each with its order.
INSERT INTO invoiced_payments (payment_id, order_id) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT DO NOTHING;

-- name: overdue_deposits
-- Orders whose deposit deadline has passed, and that were known long enough for a deposit made in time to be heard of.
SELECT order_id FROM orders
WHERE state = 'pending_deposit' AND deposit_deadline < now() - $1::interval AND recorded_at < now() - $1::interval
ORDER BY order_id LIMIT $2;

-- name: todo_quarantine
-- Money that nobody has decided about, by reason, with the payment of the oldest case.
SELECT reason, count(*) AS count, sum(amount)::bigint AS won, min(opened_at) AS since,
       (array_agg(payment_id ORDER BY opened_at, order_id))[1] AS oldest,
       count(*) FILTER (WHERE opened_at < $1) AS overdue,
       (array_agg(order_id || ' ' || payment_id ORDER BY opened_at, order_id))[1:20] AS members
FROM quarantine WHERE decision IS NULL GROUP BY reason;

-- name: todo_deposits
-- Deposits that have not come and whose deadline is before an instant.
SELECT count(*) AS count, sum(expected)::bigint AS won, min(registered_at) AS since,
       min(deposit_deadline) FILTER (WHERE deposit_deadline >= $2) AS due,
       count(*) FILTER (WHERE deposit_deadline < $2) AS overdue, min(deposit_deadline) AS first_due,
       (array_agg(order_id ORDER BY deposit_deadline, order_id))[1:20] AS members
FROM orders WHERE state = 'pending_deposit' AND deposit_deadline < $1 HAVING count(*) > 0;

-- name: todo_partners
-- Partners that asked to leave and were refused; when, as far as the outbox still tells.
SELECT count(*) AS count, min(coalesce(refused.at, $1::timestamptz)) AS since,
       (array_agg(partner_id ORDER BY refused.at, partner_id))[1:20] AS members
FROM partners
CROSS JOIN LATERAL (SELECT max(recorded_at) AS at FROM outbox
                    WHERE key = partner_id AND type = 'partner.withdrawal_refused.v1') AS refused
WHERE withdrawn_at IS NULL HAVING count(*) > 0;

-- name: open_cases
-- Cases of quarantine that nobody has decided about, behind one, the oldest first, each with what its event proposed;
-- of one reason, of one partner or older than an instant where that is asked.
SELECT q.order_id, q.number, q.payment_id, q.partner_id, q.reason, q.amount, q.opened_at, q.decision, q.settled_at,
       o.state AS order_state, o.expected, o.state IN ('unpaid', 'pending_deposit') AS needs_money, e.proposal,
       (extract(epoch FROM q.opened_at) * 1000000)::bigint AS place
FROM quarantine q
JOIN orders o USING (order_id)
LEFT JOIN LATERAL (
    SELECT said -> 'proposal' AS proposal
    FROM outbox CROSS JOIN LATERAL convert_from(data, 'UTF8') AS text CROSS JOIN LATERAL CAST(text AS json) AS said
    WHERE key = q.order_id AND type = 'payment.quarantined.v1' AND said ->> 'payment_id' = q.payment_id
      AND said ->> 'reason' = q.reason AND (said ->> 'amount')::bigint = q.amount
    ORDER BY id DESC LIMIT 1
) e ON true
WHERE q.decision IS NULL AND ($1::text IS NULL OR q.reason = $1) AND ($2::text IS NULL OR q.partner_id = $2)
  AND ($3::timestamptz IS NULL OR q.opened_at < $3)
  AND ((extract(epoch FROM q.opened_at) * 1000000)::bigint, q.order_id, q.number) > ($4::bigint, $5::text, $6::smallint)
ORDER BY place, q.order_id, q.number LIMIT $7;

-- name: cases_named
-- Every case of a payment, or of an order, the oldest first, each with what its event proposed.
SELECT q.order_id, q.number, q.payment_id, q.partner_id, q.reason, q.amount, q.opened_at, q.decision, q.settled_at,
       o.state AS order_state, o.expected, o.state IN ('unpaid', 'pending_deposit') AS needs_money, e.proposal
FROM quarantine q
JOIN orders o USING (order_id)
LEFT JOIN LATERAL (
    SELECT said -> 'proposal' AS proposal
    FROM outbox CROSS JOIN LATERAL convert_from(data, 'UTF8') AS text CROSS JOIN LATERAL CAST(text AS json) AS said
    WHERE key = q.order_id AND type = 'payment.quarantined.v1' AND said ->> 'payment_id' = q.payment_id
      AND said ->> 'reason' = q.reason AND (said ->> 'amount')::bigint = q.amount
    ORDER BY id DESC LIMIT 1
) e ON true
WHERE q.payment_id = $1 OR q.order_id = $2 ORDER BY q.opened_at, q.order_id, q.number;

-- name: orders_with_cases
-- The orders that have cases of a payment, those that ended last first.
SELECT order_id, bool_or(decision IS NULL) AS is_open FROM quarantine
WHERE payment_id = $1 GROUP BY order_id ORDER BY max(settled_at) DESC NULLS LAST, order_id;

-- name: find_order
-- The order of this id.
SELECT order_id, state, partner_id, CASE WHEN payment_id IS NULL THEN expected ELSE amount END AS won
FROM orders WHERE order_id = $1;

-- name: find_payment
-- The payment of this id.
SELECT payment_id, order_id, amount FROM payments WHERE payment_id = $1;

-- name: find_grant
-- Units that were claimed under this id to be issued.
SELECT claim_id, order_id, quantity, state FROM claims WHERE claim_id = $1 AND purpose = 'issue' LIMIT 20;

-- name: find_issue_request
-- Requests to issue of this id.
SELECT request_id, order_id FROM issue_requests WHERE request_id = $1 ORDER BY order_id LIMIT 20;

-- name: find_partner
-- The partner of this id, as it was on an order.
SELECT partner_id, partner ->> 'name' AS name, partner ->> 'business_number' AS business_number
FROM orders WHERE partner_id = $1 LIMIT 1;

-- name: find_partner_by_name
-- Partners whose name begins like this, one after the other in the index.
WITH RECURSIVE named (name, partner_id) AS (
    (SELECT lower(partner ->> 'name') COLLATE "C", partner_id FROM orders
     WHERE lower(partner ->> 'name') COLLATE "C" >= lower($1::text)
     ORDER BY lower(partner ->> 'name') COLLATE "C", partner_id LIMIT 1)
    UNION ALL
    SELECT following.* FROM named CROSS JOIN LATERAL (
        SELECT lower(partner ->> 'name') COLLATE "C", partner_id FROM orders
        WHERE (lower(partner ->> 'name') COLLATE "C", partner_id) > (named.name, named.partner_id)
        ORDER BY lower(partner ->> 'name') COLLATE "C", partner_id LIMIT 1
    ) AS following
    WHERE starts_with(named.name, lower($1::text))
), found AS (
    SELECT name, partner_id FROM named WHERE starts_with(name, lower($1::text)) LIMIT 20
)
SELECT found.partner_id, shown.name, shown.business_number
FROM found CROSS JOIN LATERAL (
    SELECT partner ->> 'name' AS name, partner ->> 'business_number' AS business_number
    FROM orders o WHERE lower(o.partner ->> 'name') COLLATE "C" = found.name AND o.partner_id = found.partner_id LIMIT 1
) AS shown;

-- name: find_partner_by_email
-- Partners that told this address on an order, one after the other in the index.
WITH RECURSIVE addressed (partner_id) AS (
    (SELECT partner_id FROM orders WHERE lower(partner ->> 'invoice_email') COLLATE "C" = lower($1::text)
     ORDER BY partner_id LIMIT 1)
    UNION ALL
    SELECT following.* FROM addressed CROSS JOIN LATERAL (
        SELECT partner_id FROM orders
        WHERE lower(partner ->> 'invoice_email') COLLATE "C" = lower($1::text) AND partner_id > addressed.partner_id
        ORDER BY partner_id LIMIT 1
    ) AS following
), found AS (
    SELECT partner_id FROM addressed LIMIT 20
)
SELECT found.partner_id, shown.name, shown.business_number
FROM found CROSS JOIN LATERAL (
    SELECT partner ->> 'name' AS name, partner ->> 'business_number' AS business_number
    FROM orders o WHERE o.partner_id = found.partner_id LIMIT 1
) AS shown;

-- name: find_wish_to_leave
-- Requests to leave of this id.
SELECT request_id, partner_id FROM withdrawal_requests WHERE request_id = $1 ORDER BY partner_id LIMIT 20;

-- name: has_left
-- Whether a partner has left.
SELECT EXISTS (SELECT FROM partners WHERE partner_id = $1 AND withdrawn_at IS NOT NULL);

-- name: evidence_owner
-- Whose order it is.
SELECT partner_id FROM orders WHERE order_id = $1;

-- name: evidence_party
-- The buyer as of the order; nothing of one that is known from a cancelled request only.
SELECT partner_id, partner::text AS partner FROM orders WHERE order_id = $1 AND state <> 'unknown';

-- name: evidence_order
-- How it was bought, what it costs, and what is left of the money.
SELECT order_id, state, payment_method, evidence, issue_policy, vat_mode, expected, amount AS paid_total,
       remaining_supply + remaining_vat AS remaining, taken_back, payment_id, registered_at, deposit_deadline, paid_at, closed_at
FROM orders WHERE order_id = $1;

-- name: evidence_lines
-- What was bought, and where its units are.
SELECT line_id, kind, product_id, product_name, unit_price, discount, usage_days, quantity, paid, issuing, issued,
       refunding, refunded, consumed
FROM order_lines WHERE order_id = $1 ORDER BY position;

-- name: evidence_payments
-- The payments that can pay it, those of its cases too; when the one that paid it last was made.
WITH named (payment_id) AS (
    SELECT payment_id FROM orders WHERE order_id = $1
    UNION SELECT unnest(payment_ids) FROM orders WHERE order_id = $1
    UNION SELECT payment_id FROM quarantine WHERE order_id = $1
)
SELECT p.payment_id, p.amount, o.paid_at
FROM named JOIN payments p USING (payment_id)
LEFT JOIN orders o ON o.order_id = $1 AND o.payment_id = p.payment_id
WHERE p.order_id = $1 ORDER BY p.payment_id;

-- name: evidence_cases
-- Its money in quarantine, and what became of it.
SELECT number, payment_id, reason, amount, opened_at, decision, settled_at FROM quarantine WHERE order_id = $1 ORDER BY number;

-- name: evidence_claims
-- Who claimed its units, and when.
SELECT claim_id, line_id, purpose, quantity, request_id, state, supply, vat, consumed, claimed_at, settled_at
FROM claims WHERE order_id = $1 ORDER BY claimed_at, claim_id, position;
