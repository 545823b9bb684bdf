-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Nothing is kept of what was there before: all of it is marked, and kept by and by.
INSERT INTO changed_months
SELECT month, partner_id FROM payments
UNION
SELECT month, partner_id FROM documents;

-- migrate:down
DELETE FROM changed_months;
