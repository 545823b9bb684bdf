-- migrate:up

-- Partners are looked for by their name and their address, requests by their id. Many orders share a name, so an index
-- keeps each once and goes from one partner to the next.
SET LOCAL lock_timeout = '10s';
CREATE INDEX orders_partner_name ON orders (lower(partner ->> 'name') COLLATE "C", partner_id);
CREATE INDEX orders_partner_email ON orders (lower(partner ->> 'invoice_email') COLLATE "C", partner_id);
CREATE INDEX issue_requests_id ON issue_requests (request_id);
CREATE INDEX withdrawal_requests_id ON withdrawal_requests (request_id);

-- migrate:down
DROP INDEX withdrawal_requests_id;
DROP INDEX issue_requests_id;
DROP INDEX orders_partner_email;
DROP INDEX orders_partner_name;
