-- migrate:up
SET LOCAL lock_timeout = '10s';

-- The custody log loses one thing only: which of a partner's people took serials or looked one up, from which address and
-- why, once the years are over for which a partner that left is named. That it was the partner, when, and which units,
-- stays. Any other change is refused as before, also to the owner.
-- beside 0.2.0: custody_stays, since it goes on to refuse what it refused but an update, which the next one looks at
-- beside 0.2.0: custody_is_not_rewritten, since 0.2.0 updates nothing in custody
CREATE OR REPLACE TRIGGER custody_stays BEFORE DELETE OR TRUNCATE ON custody
FOR EACH STATEMENT EXECUTE FUNCTION refuse_custody_change();
CREATE TRIGGER custody_is_not_rewritten BEFORE UPDATE ON custody
FOR EACH ROW WHEN (
    NEW.partner_id IS NULL OR (NEW.actor, NEW.client, NEW.reason) IS DISTINCT FROM ('partner', '', '')
    OR (NEW.custody_id, NEW.recorded_at, NEW.form, NEW.partner_id, NEW.request, NEW.grant_id, NEW.first_unit,
        NEW.last_unit, NEW.state, NEW.serials, NEW.watermark)
       IS DISTINCT FROM
       (OLD.custody_id, OLD.recorded_at, OLD.form, OLD.partner_id, OLD.request, OLD.grant_id, OLD.first_unit,
        OLD.last_unit, OLD.state, OLD.serials, OLD.watermark)
) EXECUTE FUNCTION refuse_custody_change();

-- With the rights of the owner, since a service may not change the log: it can lose a person by this, and never name
-- another one.
CREATE FUNCTION erase_custody(partner text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    WITH erased AS (
        UPDATE custody SET actor = 'partner', client = '', reason = '' WHERE partner_id = partner
        RETURNING custody_id
    )
    SELECT count(*) FROM erased;
END;

-- migrate:down
DROP FUNCTION erase_custody(text);
DROP TRIGGER custody_is_not_rewritten ON custody;
CREATE OR REPLACE TRIGGER custody_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON custody
FOR EACH STATEMENT EXECUTE FUNCTION refuse_custody_change();
