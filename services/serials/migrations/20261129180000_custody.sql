-- migrate:up

-- Who was handed which serials, and who looked one up by its characters: written before anything leaves, and never
-- changed or removed. No serial stands in it. `partner_id` is the partner that the token was limited to, `state` the one
-- that was asked for, `serials` how many there were. What left can be named by its watermark; a search shows nothing to
-- take away, and one that found nothing has no grant.
CREATE TABLE custody (
    custody_id  uuid PRIMARY KEY,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    form        text NOT NULL CHECK (form IN ('json', 'csv', 'xlsx', 'merge', 'search')),
    actor       text NOT NULL CHECK (actor <> ''),
    partner_id  text,
    client      text NOT NULL,
    request     text NOT NULL,
    reason      text NOT NULL,
    grant_id    uuid,
    first_unit  integer,
    last_unit   integer,
    state       text CHECK (state IN ('active', 'registered', 'expired', 'revoked')),
    serials     integer NOT NULL CHECK (serials >= 0),
    watermark   text COLLATE "C",
    CONSTRAINT custody_watermark UNIQUE (watermark),
    CHECK (num_nulls(grant_id, first_unit, last_unit) IN (0, 3)),
    CHECK (first_unit BETWEEN 1 AND last_unit),
    CHECK ((form = 'search') = (watermark IS NULL)),
    CHECK (form = 'search' OR grant_id IS NOT NULL)
);
CREATE INDEX custody_grant ON custody (grant_id, custody_id);

CREATE FUNCTION refuse_custody_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the custody log is only added to' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER custody_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON custody
FOR EACH STATEMENT EXECUTE FUNCTION refuse_custody_change();

-- migrate:down
DROP TABLE custody;
DROP FUNCTION refuse_custody_change();
