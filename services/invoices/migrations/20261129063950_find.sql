-- migrate:up

-- Partners are looked for by their name and their address, wishes by their id.
SET LOCAL lock_timeout = '10s';
CREATE INDEX partners_name ON partners (lower(name) COLLATE "C", partner_id);
CREATE INDEX partners_email ON partners (lower(invoice_email) COLLATE "C", partner_id);
CREATE INDEX merge_requests_id ON merge_requests (request_id);

-- migrate:down
DROP INDEX merge_requests_id;
DROP INDEX partners_email;
DROP INDEX partners_name;
