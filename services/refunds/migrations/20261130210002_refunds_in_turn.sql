-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Refunds are listed by when they were asked for, and by whose they are.
CREATE INDEX refunds_requested ON refunds (requested_at, refund_id);
CREATE INDEX orders_partner ON orders (partner_id);

-- migrate:down
DROP INDEX orders_partner;
DROP INDEX refunds_requested;
