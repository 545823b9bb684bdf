-- migrate:up
SET LOCAL lock_timeout = '10s';

-- Whose a registered serial is, sealed: an account may say who a person is. No serial was registered before. A serial
-- is registered or revoked once, and never both.
ALTER TABLE serials DROP COLUMN account;
ALTER TABLE serials ADD COLUMN account bytea;
ALTER TABLE serials
    DROP CONSTRAINT serials_check1,
    DROP CONSTRAINT serials_check2,
    ADD CONSTRAINT serials_registration CHECK (num_nulls(account, registered_at, usage_ends_at) IN (0, 3)),
    ADD CONSTRAINT serials_registered CHECK ((state = 'registered') = (registered_at IS NOT NULL));

-- How many serials of a grant were reissued and revoked; a reissued one stands in the place of a revoked one. `expired`
-- is there once the registration window is over: so many were neither registered nor revoked.
ALTER TABLE grants
    ADD COLUMN reissued integer NOT NULL DEFAULT 0,
    ADD COLUMN revoked integer NOT NULL DEFAULT 0,
    ADD COLUMN expired integer,
    ADD CONSTRAINT grants_revoked CHECK (reissued BETWEEN 0 AND revoked AND revoked <= issued + reissued),
    ADD CONSTRAINT grants_expired CHECK (expired BETWEEN 0 AND issued + reissued - revoked),
    -- The ids of reissued serials follow those of the units, inside the run of the grant.
    ADD CONSTRAINT grants_run CHECK (quantity + reissued < 16777216);
CREATE INDEX grants_uncounted ON grants (registration_deadline) WHERE expired IS NULL;
CREATE INDEX grants_partner ON grants (partner_id, grant_id);

-- migrate:down
DROP INDEX grants_partner;
ALTER TABLE grants DROP COLUMN reissued, DROP COLUMN revoked, DROP COLUMN expired;
ALTER TABLE serials
    DROP CONSTRAINT serials_registered,
    ADD CONSTRAINT serials_check1 CHECK (state <> 'registered' OR registered_at IS NOT NULL),
    ADD CONSTRAINT serials_check2 CHECK (state <> 'active' OR registered_at IS NULL);
ALTER TABLE serials DROP COLUMN account;
ALTER TABLE serials ADD COLUMN account text;
ALTER TABLE serials ADD CONSTRAINT serials_check CHECK (num_nulls(account, registered_at, usage_ends_at) IN (0, 3));
