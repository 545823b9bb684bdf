-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Whose business it is, as of the payment: the bank is asked whether an account is of this number. Null in older rows.
ALTER TABLE orders ADD COLUMN business_number text;

-- How the holder of an account differs while a proof of that is needed; who approved first, and how many won.
-- beside 0.2.0: a_first_approval_waits, since the trigger waits_end clears it where 0.2.0 ends the wait
-- beside 0.2.0: a_mismatch_waits, since the same trigger clears it
ALTER TABLE refunds
    ADD COLUMN mismatch text,
    ADD COLUMN approved_by text,
    ADD COLUMN approved_won bigint CHECK (approved_won > 0),
    ADD CONSTRAINT a_first_approval_is_whole CHECK ((approved_by IS NULL) = (approved_won IS NULL)),
    ADD CONSTRAINT a_first_approval_waits CHECK (approved_by IS NULL OR state = 'in_review'),
    ADD CONSTRAINT a_mismatch_waits CHECK (mismatch IS NULL OR state IN ('held', 'in_review'));

-- Every wait has a deadline, those that began before this version none.
-- beside 0.2.0: only_a_wait_has_a_deadline, since the same trigger clears it
ALTER TABLE refunds
    DROP CONSTRAINT a_return_has_a_deadline,
    ADD CONSTRAINT only_a_wait_has_a_deadline CHECK (deadline IS NULL OR state IN ('held', 'in_review'));

-- migrate:down
ALTER TABLE refunds DROP CONSTRAINT only_a_wait_has_a_deadline;
UPDATE refunds SET deadline = NULL WHERE NOT (state = 'held' AND coalesce(why = 'return_awaited', false));
ALTER TABLE refunds
    ADD CONSTRAINT a_return_has_a_deadline
        CHECK ((deadline IS NOT NULL) = (state = 'held' AND coalesce(why = 'return_awaited', false)));
ALTER TABLE refunds
    DROP COLUMN approved_won,
    DROP COLUMN approved_by,
    DROP COLUMN mismatch;
ALTER TABLE orders DROP COLUMN business_number;
