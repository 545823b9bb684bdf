-- migrate:up

-- Won off the price of a whole line, supply value or gross by the VAT mode of its order. Lines of before have none.
ALTER TABLE order_lines
    ADD COLUMN discount bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT discount_within_price CHECK (discount BETWEEN 0 AND unit_price * quantity);

-- migrate:down
ALTER TABLE order_lines DROP COLUMN discount;
