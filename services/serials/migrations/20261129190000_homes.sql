-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Serials live in several tables under one name. Those of a large grant have a table of their own, their home: they are
-- copied into it while it has no index, which takes a sixth of the work of inserting them among all others. Home 0 is
-- that of all others. The primary key and the unique look-up tag are those of each home: a grant has one home only, and
-- that no tag is in two is left to 75 random bits, and seen by the auditor.
ALTER TABLE serials RENAME TO serials_0;
ALTER TABLE serials_0 ADD COLUMN home integer NOT NULL DEFAULT 0;
CREATE TABLE serials (LIKE serials_0 INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY LIST (home);
-- With this check, attaching reads no row.
ALTER TABLE serials_0 ADD CONSTRAINT serials_home CHECK (home = 0);
ALTER TABLE serials ATTACH PARTITION serials_0 FOR VALUES IN (0);

ALTER TABLE grants ADD COLUMN home integer NOT NULL DEFAULT 0 CHECK (home >= 0);
CREATE UNIQUE INDEX grants_home ON grants (home) WHERE home > 0;
CREATE SEQUENCE homes AS integer;

-- Makes a home that is empty, has no index and is not yet a part of `serials`; returns its number. These three functions
-- run with the rights of the owner, since a service makes no tables.
CREATE FUNCTION make_home() RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    home CONSTANT integer := nextval('homes');
    name CONSTANT text := 'serials_' || home;
BEGIN
    EXECUTE format('CREATE TABLE %I (LIKE serials INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('ALTER TABLE %I ALTER home SET DEFAULT %2$s, ADD CONSTRAINT serials_home CHECK (home = %2$s)', name, home);
    EXECUTE format('GRANT INSERT ON %I TO %I', name, session_user);
    RETURN home;
END
$$;

-- Indexes a home whose serials are all there, on one core: others work meanwhile.
CREATE FUNCTION index_home(home integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT SET maintenance_work_mem = '128MB' SET max_parallel_maintenance_workers = 0 AS $$
DECLARE
    name CONSTANT text := 'serials_' || home;
BEGIN
    EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (serial_id), ADD UNIQUE (lookup_tag)', name);
    EXECUTE format('CREATE UNIQUE INDEX ON %I (replaces) WHERE replaces IS NOT NULL', name);
END
$$;

-- Makes an indexed home a part of `serials`: from now on its serials are found, and nothing is put into it directly.
CREATE FUNCTION open_home(home integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    name CONSTANT text := 'serials_' || home;
BEGIN
    EXECUTE format('ALTER TABLE serials ATTACH PARTITION %I FOR VALUES IN (%s)', name, home);
    EXECUTE format('REVOKE INSERT ON %I FROM %I', name, session_user);
END
$$;

-- migrate:down
DO $$
DECLARE
    name regclass;
BEGIN
    ALTER TABLE serials DETACH PARTITION serials_0;
    ALTER TABLE serials_0 DROP CONSTRAINT serials_home;
    FOR name IN SELECT oid FROM pg_class
                WHERE relnamespace = current_schema()::regnamespace AND relname ~ '^serials_[1-9][0-9]*$' LOOP
        EXECUTE format('INSERT INTO serials_0 SELECT * FROM %s', name);
        EXECUTE format('DROP TABLE %s', name);
    END LOOP;
END
$$;
DROP TABLE serials;
DROP FUNCTION open_home(integer);
DROP FUNCTION index_home(integer);
DROP FUNCTION make_home();
DROP SEQUENCE homes;
ALTER TABLE grants DROP COLUMN home;
ALTER TABLE serials_0 DROP COLUMN home;
ALTER TABLE serials_0 RENAME TO serials;
