-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Since when nothing here says who a partner that left was, but the business number on its payments and documents, which
-- the law has kept (docs/domain.md section 6).
-- beside 0.2.0: a_purged_partner_has_no_name, since the trigger purged_stays_nameless clears what 0.2.0 writes
ALTER TABLE partners
    ADD COLUMN purged_at timestamptz,
    ADD CONSTRAINT a_purged_partner_has_no_name
        CHECK (purged_at IS NULL OR (name, invoice_email, business_number) = ('', '', ''));

CREATE FUNCTION keep_nameless() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.name := '';
    NEW.invoice_email := '';
    NEW.business_number := '';
    RETURN NEW;
END
$$;
-- A service of 0.2.0 does not know that a partner was purged, and would write the name of a late event.
-- beside 0.2.0: purged_stays_nameless, since it clears what nobody may keep, and refuses nothing
CREATE TRIGGER purged_stays_nameless BEFORE UPDATE ON partners FOR EACH ROW
WHEN (NEW.purged_at IS NOT NULL) EXECUTE FUNCTION keep_nameless();

-- migrate:down
DROP TRIGGER purged_stays_nameless ON partners;
DROP FUNCTION keep_nameless();
ALTER TABLE partners DROP COLUMN purged_at;
