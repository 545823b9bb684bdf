-- migrate:up

-- Each payment that was heard of, and the one order that it can pay. `content` is a hash of what it said (amount,
-- buyer, goods); it is absent where an older version kept only the amount.
CREATE TABLE payments (
    payment_id  text COLLATE "C" PRIMARY KEY,
    order_id    text COLLATE "C" NOT NULL,
    amount      bigint NOT NULL CHECK (amount >= 0),
    content     bytea CHECK (octet_length(content) = 16)
);
-- One payment may stand on two orders here: it belongs to the one that it paid, and that it paid first.
INSERT INTO payments (payment_id, order_id, amount)
SELECT DISTINCT ON (payment_id) payment_id, order_id, amount
FROM (
    SELECT payment_id, order_id, amount, paid_at, 0 AS place FROM orders WHERE payment_id IS NOT NULL
    UNION ALL
    SELECT payment_id, order_id, amount, opened_at, 1 FROM quarantine WHERE amount > 0
        AND reason <> 'cancelled_after_issue'
) AS heard
ORDER BY payment_id, place, paid_at, order_id;

ALTER TABLE orders
    -- Won of the order's payment that upstream took back.
    ADD COLUMN taken_back bigint NOT NULL DEFAULT 0 CHECK (taken_back BETWEEN 0 AND amount),
    -- All payments where several pay together.
    ADD COLUMN payment_ids text[] NOT NULL DEFAULT '{}',
    -- What upstream took back, by payment: when, and how much of it.
    ADD COLUMN reversals json NOT NULL DEFAULT '{}',
    -- When a payment was said to be paid once more, by payment.
    ADD COLUMN repeats json NOT NULL DEFAULT '{}',
    -- Not read any more; a version before this one still writes it.
    ALTER COLUMN cancelled_payments SET DEFAULT '{}';
UPDATE orders SET taken_back = amount WHERE state = 'cancelled';
UPDATE orders o SET reversals = (
    SELECT json_object_agg(payment_id, json_build_array(json_build_object(
        'at', CASE WHEN o.state = 'cancelled' AND payment_id = coalesce(o.payment_id, payment_id) THEN o.closed_at END)))
    FROM unnest(o.cancelled_payments) AS payment_id)
WHERE cancelled_payments <> '{}';

ALTER TABLE quarantine
    -- Whose money it is.
    ADD COLUMN partner_id text COLLATE "C",
    ADD COLUMN content bytea CHECK (octet_length(content) = 16),
    ADD COLUMN decision text
        CHECK (decision IN ('returned', 'applied', 'kept', 'taken_back', 'reinstated')),
    ADD COLUMN settled_at timestamptz,
    -- Not read any more; a version before this one still writes it.
    ALTER COLUMN taken_back SET DEFAULT false,
    DROP CONSTRAINT quarantine_reason_check,
    ADD CONSTRAINT quarantine_reason_check CHECK (reason IN (
        'second_payment', 'wrong_amount', 'late_deposit', 'told_late', 'order_closed', 'cancelled_after_issue',
        'cancelled_after_refund', 'partly_cancelled', 'payment_conflict', 'payment_used', 'payout_twice')),
    DROP CONSTRAINT quarantine_check,
    ADD CONSTRAINT missing_is_negative CHECK (CASE
        WHEN reason = 'cancelled_after_issue' THEN true
        WHEN reason IN ('cancelled_after_refund', 'partly_cancelled', 'payout_twice') THEN amount < 0
        ELSE amount > 0 END);
UPDATE quarantine q SET partner_id = o.partner_id FROM orders o WHERE o.order_id = q.order_id;
UPDATE quarantine SET decision = 'taken_back', settled_at = opened_at WHERE taken_back;
ALTER TABLE quarantine ADD CONSTRAINT settled_with_decision CHECK ((decision IS NULL) = (settled_at IS NULL));
CREATE INDEX quarantine_of_partner ON quarantine (partner_id) WHERE decision IS NULL;

-- An invoice ends one payment of one order. A version before this one writes the payment only.
ALTER TABLE invoiced_payments ADD COLUMN order_id text COLLATE "C";
ALTER TABLE invoiced_payments DROP CONSTRAINT invoiced_payments_pkey;
CREATE UNIQUE INDEX invoiced_payments_once ON invoiced_payments (payment_id, order_id) NULLS NOT DISTINCT;

-- migrate:down
DELETE FROM invoiced_payments a USING invoiced_payments b
WHERE a.payment_id = b.payment_id AND coalesce(a.order_id, '') > coalesce(b.order_id, '');
DROP INDEX invoiced_payments_once;
ALTER TABLE invoiced_payments DROP COLUMN order_id;
ALTER TABLE invoiced_payments ADD PRIMARY KEY (payment_id);
DROP INDEX quarantine_of_partner;
UPDATE quarantine SET taken_back = true WHERE decision IS NOT NULL;
DELETE FROM quarantine WHERE amount < 0 AND reason <> 'cancelled_after_issue';
UPDATE quarantine SET reason = 'order_closed'
WHERE reason IN ('told_late', 'payment_conflict', 'payment_used');
ALTER TABLE quarantine
    DROP CONSTRAINT settled_with_decision,
    DROP CONSTRAINT missing_is_negative,
    ADD CONSTRAINT quarantine_check CHECK (amount > 0 OR reason = 'cancelled_after_issue'),
    DROP CONSTRAINT quarantine_reason_check,
    ADD CONSTRAINT quarantine_reason_check CHECK (reason IN
        ('second_payment', 'wrong_amount', 'late_deposit', 'order_closed', 'cancelled_after_issue')),
    ALTER COLUMN taken_back DROP DEFAULT,
    DROP COLUMN settled_at, DROP COLUMN decision, DROP COLUMN content, DROP COLUMN partner_id;
UPDATE orders SET cancelled_payments = (
    SELECT array_agg(DISTINCT payment_id)
    FROM (SELECT unnest(cancelled_payments) UNION SELECT json_object_keys(reversals)) AS gone (payment_id))
WHERE reversals::text <> '{}';
ALTER TABLE orders
    ALTER COLUMN cancelled_payments DROP DEFAULT,
    DROP COLUMN repeats, DROP COLUMN reversals, DROP COLUMN payment_ids, DROP COLUMN taken_back;
DROP TABLE payments;
