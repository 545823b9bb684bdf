-- Roles of the whole server. Passwords are set apart from this file (`pawl up` makes them).
-- Safe to repeat. Run as a superuser, or as a role with CREATEROLE and CREATEDB.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        'pawl_owner',                                                   -- owns schemas and tables, runs migrations
        'pawl_orders', 'pawl_serials', 'pawl_refunds', 'pawl_invoices', -- one for each service
        'pawl_console',                                                 -- keeps the sessions of the console
        'pawl_ops'                                                      -- reads everything, writes nothing
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOCREATEDB NOCREATEROLE NOINHERIT', wanted);
        END IF;
    END LOOP;
    -- Whoever creates objects in the owner's name must be a member of it (a superuser is anyway).
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT pawl_owner TO %I', current_user);
    END IF;
END
$$;
