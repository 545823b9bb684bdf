-- migrate:up

-- A month close asks for the refunds that are open; there are few at any time.
SET LOCAL lock_timeout = '10s';
CREATE INDEX refunds_open ON refunds (order_id) WHERE state = 'open';

-- migrate:down
DROP INDEX refunds_open;
