-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Who paid, as of the payment, for printing: [business_number, name, email, representative, address, business_type,
-- business_item, branch_number]. Null where it was not kept.
ALTER TABLE payment_lines ADD COLUMN buyer json;

-- Partners that have left, as orders says: their documents are kept, and hidden from them.
CREATE TABLE withdrawn_partners (
    partner_id    text COLLATE "C" PRIMARY KEY,
    withdrawn_at  timestamptz NOT NULL
);

-- The few documents with payments of several partners, for a partner that asks for its own.
CREATE INDEX documents_also ON documents (month) WHERE also <> '{}';

-- migrate:down
DROP INDEX documents_also;
DROP TABLE withdrawn_partners;
ALTER TABLE payment_lines DROP COLUMN buyer;
