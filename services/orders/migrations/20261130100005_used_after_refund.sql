-- migrate:up
SET LOCAL lock_timeout = '10s';

-- A refund gave back what had been used: its won are missing.
ALTER TABLE quarantine
    DROP CONSTRAINT quarantine_reason_check,
    ADD CONSTRAINT quarantine_reason_check CHECK (reason IN (
        'second_payment', 'wrong_amount', 'late_deposit', 'told_late', 'order_closed', 'cancelled_after_issue',
        'cancelled_after_refund', 'partly_cancelled', 'payment_conflict', 'payment_used', 'payout_twice',
        'used_after_refund')),
    DROP CONSTRAINT missing_is_negative,
    ADD CONSTRAINT missing_is_negative CHECK (CASE
        WHEN reason = 'cancelled_after_issue' THEN true
        WHEN reason IN ('cancelled_after_refund', 'partly_cancelled', 'payout_twice', 'used_after_refund')
            THEN amount < 0
        ELSE amount > 0 END);

-- migrate:down
DELETE FROM quarantine WHERE reason = 'used_after_refund';
ALTER TABLE quarantine
    DROP CONSTRAINT quarantine_reason_check,
    ADD CONSTRAINT quarantine_reason_check CHECK (reason IN (
        'second_payment', 'wrong_amount', 'late_deposit', 'told_late', 'order_closed', 'cancelled_after_issue',
        'cancelled_after_refund', 'partly_cancelled', 'payment_conflict', 'payment_used', 'payout_twice')),
    DROP CONSTRAINT missing_is_negative,
    ADD CONSTRAINT missing_is_negative CHECK (CASE
        WHEN reason = 'cancelled_after_issue' THEN true
        WHEN reason IN ('cancelled_after_refund', 'partly_cancelled', 'payout_twice') THEN amount < 0
        ELSE amount > 0 END);
