-- migrate:up
SET LOCAL lock_timeout = '10s';

-- A bonus that was told after a refund had left more to give back: its won are proposed to go.
ALTER TABLE quarantine
    DROP CONSTRAINT quarantine_reason_check,
    ADD CONSTRAINT quarantine_reason_check CHECK (reason IN (
        'second_payment', 'wrong_amount', 'late_deposit', 'told_late', 'order_closed', 'cancelled_after_issue',
        'cancelled_after_refund', 'partly_cancelled', 'payment_conflict', 'payment_used', 'payout_twice',
        'used_after_refund', 'bonus_after_refund'));

-- migrate:down
DELETE FROM quarantine WHERE reason = 'bonus_after_refund';
ALTER TABLE quarantine
    DROP CONSTRAINT quarantine_reason_check,
    ADD CONSTRAINT quarantine_reason_check CHECK (reason IN (
        'second_payment', 'wrong_amount', 'late_deposit', 'told_late', 'order_closed', 'cancelled_after_issue',
        'cancelled_after_refund', 'partly_cancelled', 'payment_conflict', 'payment_used', 'payout_twice',
        'used_after_refund'));
