-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Which paid order has which product, for the list of products that sell most. Kept with its order, and compared with
-- it every night: a version before this one changes orders without it.
CREATE TABLE sales (
    order_id    text COLLATE "C" NOT NULL,
    product_id  text COLLATE "C" NOT NULL,
    sold_at     timestamptz NOT NULL,
    PRIMARY KEY (order_id, product_id)
);
INSERT INTO sales (order_id, product_id, sold_at)
SELECT DISTINCT o.order_id, l.product_id, o.paid_at
FROM orders o JOIN order_lines l USING (order_id) WHERE o.state = 'paid';
CREATE INDEX sales_window ON sales (sold_at) INCLUDE (product_id);

-- migrate:down
DROP TABLE sales;
