-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Services of the version before run while this is applied, and for a while after it. They do not know what was used up
-- of refunded units, and leave it as it is when the units come back. Then it is cleared for them; a service of this
-- version has cleared it by itself.
-- beside 0.2.0: nothing_is_consumed, since it clears a column that 0.2.0 does not have, and refuses nothing
CREATE FUNCTION consume_nothing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.consumed := 0;
    RETURN NEW;
END $$;
CREATE TRIGGER nothing_is_consumed BEFORE UPDATE ON order_lines
    FOR EACH ROW WHEN (NEW.consumed <> 0 AND NEW.refunding + NEW.refunded = 0) EXECUTE FUNCTION consume_nothing();

-- migrate:down
DROP TRIGGER nothing_is_consumed ON order_lines;
DROP FUNCTION consume_nothing();
