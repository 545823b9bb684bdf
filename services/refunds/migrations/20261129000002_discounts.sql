-- migrate:up

-- Won off the price of a whole line, supply value or gross by the VAT mode of its order. Lines of before have none.
ALTER TABLE order_lines
    ADD COLUMN discount bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT discount_within_price CHECK (discount BETWEEN 0 AND unit_price * paid);

-- Free units go back for nothing, without a payout and so without an account. A constraint of the first migration
-- asked for an account in each state after the request; it had no name of its own.
ALTER TABLE refunds DROP CONSTRAINT refunds_amount_check, DROP CONSTRAINT refunds_check5;
ALTER TABLE refunds
    ADD CONSTRAINT a_payout_has_won CHECK (amount > 0 OR amount = 0 AND state = 'completed'),
    ADD CONSTRAINT a_payout_has_a_destination
        CHECK (destination_masked IS NOT NULL OR state IN ('accepted', 'rejected', 'denied') OR amount = 0);

-- migrate:down
ALTER TABLE refunds DROP CONSTRAINT a_payout_has_won, DROP CONSTRAINT a_payout_has_a_destination;
ALTER TABLE refunds
    ADD CONSTRAINT refunds_amount_check CHECK (amount > 0),
    ADD CONSTRAINT refunds_check5 CHECK (state IN ('rejected', 'denied') OR destination_masked IS NOT NULL);
ALTER TABLE order_lines DROP COLUMN discount;
