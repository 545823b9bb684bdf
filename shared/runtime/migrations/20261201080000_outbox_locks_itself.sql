-- migrate:up

-- Whoever appends to the outbox holds its lock until the commit, so that ids become visible in their order. It is taken
-- before the first id is drawn, by the statement that appends: nobody can forget it, and it costs no exchange of its own.
CREATE FUNCTION lock_outbox() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(TG_TABLE_SCHEMA || '.outbox', 0));
    RETURN NULL;
END $$;

-- beside 0.2.0: lock_outbox, since an older service has taken the same lock by itself when it appends
CREATE TRIGGER lock_outbox BEFORE INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION lock_outbox();

-- migrate:down
DROP TRIGGER lock_outbox ON outbox;
DROP FUNCTION lock_outbox();
