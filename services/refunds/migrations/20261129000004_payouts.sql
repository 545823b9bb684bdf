-- migrate:up

-- A refund may bounce: its money came back after it was out, and is owed again until it is repaid. Units and
-- documents stay as they are, so `completed_at` stays too.
ALTER TABLE refunds
    DROP CONSTRAINT refunds_state_check,
    ADD CONSTRAINT refunds_state_check CHECK (state IN (
        'held', 'in_review', 'accepted', 'paying_out', 'unknown', 'failed',
        'completed', 'bounced', 'repaying', 'rejected', 'denied', 'released')),
    DROP CONSTRAINT refunds_check1,
    ADD CONSTRAINT refunds_check1 CHECK (
        (state IN ('paying_out', 'unknown', 'failed', 'completed', 'bounced', 'repaying', 'released'))
        = (supply IS NOT NULL)),
    DROP CONSTRAINT refunds_check3,
    ADD CONSTRAINT refunds_check3 CHECK (
        (state IN ('completed', 'bounced', 'repaying')) = (completed_at IS NOT NULL)),
    DROP CONSTRAINT refunds_check4,
    ADD CONSTRAINT refunds_check4 CHECK (
        why IS NOT NULL
        OR state NOT IN ('held', 'rejected', 'denied', 'failed', 'unknown', 'bounced', 'released'));

ALTER TABLE refund_history
    DROP CONSTRAINT refund_history_state_check,
    ADD CONSTRAINT refund_history_state_check CHECK (state IN (
        'requested', 'held', 'in_review', 'accepted', 'granted', 'paying_out', 'unknown', 'failed',
        'completed', 'bounced', 'repaying', 'rejected', 'denied', 'released'));

-- Every payout that was made: the one that its refund stands on (`paid`), those that came back (`bounced`), and
-- money that nobody was owed (`twice`; `returned` when it came back). Payouts of before have the amount and the
-- instant of their refund.
ALTER TABLE refund_payouts
    ADD COLUMN state text NOT NULL DEFAULT 'paid' CHECK (state IN ('paid', 'bounced', 'twice', 'returned')),
    ADD COLUMN amount bigint CHECK (amount > 0),
    ADD COLUMN paid_out_at timestamptz;
CREATE UNIQUE INDEX refund_payouts_paid ON refund_payouts (refund_id) WHERE state = 'paid';

-- The earliest instants at which what was paid for could be used, and arrived; null where nobody said so.
ALTER TABLE order_lines
    ADD COLUMN activated_at timestamptz,
    ADD COLUMN delivered_at timestamptz;

-- migrate:down
ALTER TABLE order_lines DROP COLUMN delivered_at, DROP COLUMN activated_at;

DELETE FROM refund_payouts WHERE state <> 'paid';
DROP INDEX refund_payouts_paid;
ALTER TABLE refund_payouts DROP COLUMN paid_out_at, DROP COLUMN amount, DROP COLUMN state;

DELETE FROM refund_history WHERE state IN ('bounced', 'repaying');
ALTER TABLE refund_history
    DROP CONSTRAINT refund_history_state_check,
    ADD CONSTRAINT refund_history_state_check CHECK (state IN (
        'requested', 'held', 'in_review', 'accepted', 'granted', 'paying_out', 'unknown', 'failed',
        'completed', 'rejected', 'denied', 'released'));

UPDATE refunds SET state = 'completed', why = NULL WHERE state IN ('bounced', 'repaying');
ALTER TABLE refunds
    DROP CONSTRAINT refunds_state_check,
    ADD CONSTRAINT refunds_state_check CHECK (state IN (
        'held', 'in_review', 'accepted', 'paying_out', 'unknown', 'failed',
        'completed', 'rejected', 'denied', 'released')),
    DROP CONSTRAINT refunds_check1,
    ADD CONSTRAINT refunds_check1 CHECK (
        (state IN ('paying_out', 'unknown', 'failed', 'completed', 'released')) = (supply IS NOT NULL)),
    DROP CONSTRAINT refunds_check3,
    ADD CONSTRAINT refunds_check3 CHECK ((state = 'completed') = (completed_at IS NOT NULL)),
    DROP CONSTRAINT refunds_check4,
    ADD CONSTRAINT refunds_check4 CHECK (
        why IS NOT NULL OR state NOT IN ('held', 'rejected', 'denied', 'failed', 'unknown', 'released'));
