-- The schemas of the database `pawl` and who may do what in them: one for each service, and that of the console.
-- Safe to repeat.
-- Each service reaches its own schema only, and rows only: tables are made by pawl_owner's migrations. What it
-- may do with the rows of each table is said in rights.sql; until then a new table can be read and no more.

REVOKE ALL ON SCHEMA public FROM PUBLIC;

DO $$
DECLARE
    service text;
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format(
        'GRANT CONNECT ON DATABASE %I TO pawl_owner, pawl_ops, pawl_orders, pawl_serials, pawl_refunds, pawl_invoices, pawl_console',
        current_database()
    );
    -- Functions are the one kind of object that everybody may use by default.
    ALTER DEFAULT PRIVILEGES FOR ROLE pawl_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
    -- Large objects stand outside of all schemas: a role that may only read could fill the disk with them.
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC;
    END IF;

    FOREACH service IN ARRAY ARRAY['orders', 'serials', 'refunds', 'invoices'] LOOP
        EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I AUTHORIZATION pawl_owner', service);
        EXECUTE format('REVOKE ALL ON SCHEMA %I FROM PUBLIC', service);
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I, pawl_ops', service, 'pawl_' || service);
        EXECUTE format(
            'ALTER DEFAULT PRIVILEGES FOR ROLE pawl_owner IN SCHEMA %I
                 GRANT SELECT ON TABLES TO %I, pawl_ops', service, 'pawl_' || service);
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = %I', 'pawl_' || service, current_database(), service);
    END LOOP;

    -- The console reads services as pawl_ops does, which in turn sees nothing of who is signed in there.
    CREATE SCHEMA IF NOT EXISTS console AUTHORIZATION pawl_owner;
    REVOKE ALL ON SCHEMA console FROM PUBLIC;
    GRANT USAGE ON SCHEMA console TO pawl_console;
    ALTER DEFAULT PRIVILEGES FOR ROLE pawl_owner IN SCHEMA console GRANT SELECT ON TABLES TO pawl_console;
    EXECUTE format('ALTER ROLE pawl_console IN DATABASE %I SET search_path = console', current_database());
END
$$;
