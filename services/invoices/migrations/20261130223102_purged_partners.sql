-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Since when nothing here says who a partner that left was, but the business number on its payments and documents, which
-- the law has kept (docs/domain.md section 6).
ALTER TABLE partners
    ADD COLUMN purged_at timestamptz,
    ADD CONSTRAINT a_purged_partner_has_no_name
        CHECK (purged_at IS NULL OR (name, invoice_email, business_number) = ('', '', ''));

-- migrate:down
ALTER TABLE partners DROP COLUMN purged_at;
