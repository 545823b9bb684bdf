-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Erases who a partner was, and who asked and wrote for it, from its orders and refunds: its name and business number, the
-- last digits of its accounts, its people, and what people wrote about it. Ids, won, units, states, instants, payout ids and
-- the actors of operators' decisions stay. With the rights of the owner, since a service may not rewrite what was done: it
-- can lose a name by this, and never put another one in its place. Whoever calls it has locked the orders.
CREATE FUNCTION erase_partner(partner text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    -- A proof is a step into review that names no reason to wait.
    UPDATE refund_history h
    SET note = NULL,
        actor = CASE WHEN (r.role = 'partner' AND h.actor = r.requested_by) OR h.reason = 'requester_withdrew'
                          OR (h.state = 'in_review' AND h.reason NOT IN ('used', 'window_over', 'second_approval'))
                     THEN 'partner' ELSE h.actor END
    FROM refunds r JOIN orders o USING (order_id)
    WHERE h.refund_id = r.refund_id AND o.partner_id = partner
      AND h.actor NOT IN ('refunds', 'orders', 'checkout', 'bank');

    UPDATE refunds r
    SET requested_by = CASE r.role WHEN 'partner' THEN 'partner' ELSE r.requested_by END,
        destination_masked = CASE r.destination_kind
            WHEN 'bank_account' THEN regexp_replace(r.destination_masked, '[0-9A-Za-z]+$', '')
            ELSE r.destination_masked END
    FROM orders o
    WHERE r.order_id = o.order_id AND o.partner_id = partner;

    WITH erased AS (
        UPDATE orders SET partner_name = partner_id, business_number = NULL WHERE partner_id = partner
        RETURNING order_id
    )
    SELECT count(*) FROM erased;
END;

-- migrate:down
DROP FUNCTION erase_partner(text);
