-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Who paid, as of the payment, for printing: [business_number, name, email, representative, address, business_type,
-- business_item, branch_number]. Null where it was not kept.
ALTER TABLE payment_lines ADD COLUMN buyer json;

-- migrate:down
ALTER TABLE payment_lines DROP COLUMN buyer;
