-- migrate:up

-- Money of a refund that left twice is missing, as what is missing of a payment that was taken back.
ALTER TABLE quarantine
    DROP CONSTRAINT IF EXISTS quarantine_reason_check,
    ADD CONSTRAINT quarantine_reason_check CHECK (reason IN
        ('second_payment', 'wrong_amount', 'late_deposit', 'told_late', 'order_closed', 'cancelled_after_issue',
         'cancelled_after_refund', 'partly_cancelled', 'payment_conflict', 'payment_used', 'payout_twice')),
    DROP CONSTRAINT IF EXISTS quarantine_check,
    ADD CONSTRAINT quarantine_check CHECK (
        (amount < 0) = (reason IN
            ('cancelled_after_issue', 'cancelled_after_refund', 'partly_cancelled', 'payout_twice'))
        OR reason = 'cancelled_after_issue');

-- migrate:down
DELETE FROM quarantine WHERE reason NOT IN
    ('second_payment', 'wrong_amount', 'late_deposit', 'order_closed', 'cancelled_after_issue');
ALTER TABLE quarantine
    DROP CONSTRAINT IF EXISTS quarantine_reason_check,
    ADD CONSTRAINT quarantine_reason_check CHECK (reason IN
        ('second_payment', 'wrong_amount', 'late_deposit', 'order_closed', 'cancelled_after_issue')),
    DROP CONSTRAINT IF EXISTS quarantine_check,
    ADD CONSTRAINT quarantine_check CHECK (amount > 0 OR reason = 'cancelled_after_issue');
