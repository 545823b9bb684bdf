-- migrate:up
SET LOCAL lock_timeout = '10s';

-- The custody log loses one thing only: which of a partner's people took serials or looked one up, from which address and
-- why, once the years are over for which a partner that left is named. That it was the partner, when, and which units,
-- stays.
CREATE OR REPLACE FUNCTION refuse_custody_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND current_setting('pawl.erases_custody', true) = 'yes' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the custody log is only added to' USING ERRCODE = 'insufficient_privilege';
END
$$;

-- With the rights of the owner, since a service may not change the log: it can lose a person by this, and never name
-- another one.
CREATE FUNCTION erase_custody(partner text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET pawl.erases_custody = 'yes' AS $$
DECLARE
    erased bigint;
BEGIN
    UPDATE custody SET actor = 'partner', client = '', reason = '' WHERE partner_id = partner;
    GET DIAGNOSTICS erased = ROW_COUNT;
    RETURN erased;
END
$$;

-- migrate:down
DROP FUNCTION erase_custody(text);
CREATE OR REPLACE FUNCTION refuse_custody_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the custody log is only added to' USING ERRCODE = 'insufficient_privilege';
END
$$;
