-- migrate:up
SET LOCAL lock_timeout = '10s';

-- An order of which nothing has come but a request that was cancelled; its events are numbered from that one on.
ALTER TABLE orders
    DROP CONSTRAINT orders_state_check,
    ADD CONSTRAINT orders_state_check CHECK (state IN (
        'unknown', 'unpaid', 'pending_deposit', 'paid', 'expired', 'cancelled', 'refunded'));

-- Cases are looked for by their payment.
CREATE INDEX quarantine_payment ON quarantine (payment_id);

-- migrate:down
DROP INDEX quarantine_payment;
DELETE FROM issue_requests r USING orders o WHERE o.order_id = r.order_id AND o.state = 'unknown';
DELETE FROM orders WHERE state = 'unknown';
ALTER TABLE orders
    DROP CONSTRAINT orders_state_check,
    ADD CONSTRAINT orders_state_check
        CHECK (state IN ('unpaid', 'pending_deposit', 'paid', 'expired', 'cancelled', 'refunded'));
