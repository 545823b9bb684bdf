-- migrate:up

-- A refund of everything may be granted less than orders was asked for. A line of which nothing was granted stays
-- with 0 units, so that this role needs no right to delete.
ALTER TABLE refund_lines DROP CONSTRAINT refund_lines_quantity_check, ADD CHECK (quantity >= 0);

-- migrate:down
DELETE FROM refund_lines WHERE quantity = 0;
ALTER TABLE refund_lines DROP CONSTRAINT refund_lines_quantity_check, ADD CHECK (quantity > 0);
