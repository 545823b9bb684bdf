-- migrate:up

-- One row for each issuance granted by orders: what is to be issued and how far that is.
--
-- batch_id is the first of a run of 2^24 ids that belongs to this grant alone: unit n of the grant has the
-- serial_id batch_id + n, so the primary key of serials makes a second set for a grant impossible.
-- granted_at and issued_at are the logical time of the grant; recorded_at is the wall clock beside it.
CREATE TABLE grants (
    grant_id              uuid PRIMARY KEY,
    batch_id              uuid NOT NULL UNIQUE,
    order_id              text COLLATE "C" NOT NULL,
    line_id               text COLLATE "C" NOT NULL,
    partner_id            text COLLATE "C" NOT NULL,
    product_id            text NOT NULL,
    product_name          text NOT NULL,
    unit_price            bigint NOT NULL CHECK (unit_price >= 0),
    usage_days            integer NOT NULL CHECK (usage_days >= 1),
    quantity              integer NOT NULL CHECK (quantity BETWEEN 1 AND 1000000),
    issued                integer NOT NULL CHECK (issued BETWEEN 0 AND quantity),
    state                 text NOT NULL CHECK (state IN ('issuing', 'issued')),
    sequence              bigint NOT NULL CHECK (sequence >= 0),
    granted_at            timestamptz NOT NULL,
    issued_at             timestamptz,
    registration_deadline timestamptz NOT NULL CHECK (registration_deadline > granted_at),
    correlation           text NOT NULL,
    causation             text NOT NULL,
    recorded_at           timestamptz NOT NULL DEFAULT now(),
    CHECK ((state = 'issued') = (issued = quantity)),
    CHECK ((state = 'issued') = (issued_at IS NOT NULL)),
    CHECK (state = 'issuing' OR sequence >= 1),
    CHECK (right(batch_id::text, 6) = '000000')
) WITH (fillfactor = 90);
CREATE INDEX grants_order ON grants (order_id);
CREATE INDEX grants_issuing ON grants (grant_id) WHERE state = 'issuing';

-- One row for each serial. Nothing in here can be read without a key: lookup_tag is a keyed hash, text is
-- encrypted, key_id names the keys. last_four is for support.
--
-- There is no foreign key to grants, because checking it costs a look-up for each of a million rows: the only
-- writer inserts serials in the transaction that has inserted or locked their grant, and the auditor counts.
CREATE TABLE serials (
    serial_id             uuid PRIMARY KEY,
    grant_id              uuid NOT NULL,
    lookup_tag            bytea NOT NULL CHECK (octet_length(lookup_tag) = 16),
    text                  bytea NOT NULL CHECK (octet_length(text) = 16),
    last_four             text COLLATE "C" NOT NULL CHECK (length(last_four) = 4),
    key_id                text COLLATE "C" NOT NULL,
    state                 text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'registered', 'revoked')),
    account               text,
    registered_at         timestamptz,
    usage_ends_at         timestamptz,
    revoked_at            timestamptz,
    revoke_reason         text,
    replaces              uuid,
    CONSTRAINT serials_lookup_tag UNIQUE (lookup_tag),
    CHECK (num_nulls(account, registered_at, usage_ends_at) IN (0, 3)),
    CHECK (state <> 'registered' OR registered_at IS NOT NULL),
    CHECK (state <> 'active' OR registered_at IS NULL),
    CHECK ((state = 'revoked') = (revoked_at IS NOT NULL)),
    CHECK ((state = 'revoked') = (revoke_reason IS NOT NULL)),
    CHECK (replaces <> serial_id)
);
-- A serial is replaced once. Hardly any row has `replaces`, so the index costs issuing nothing.
CREATE UNIQUE INDEX serials_replaces ON serials (replaces) WHERE replaces IS NOT NULL;

-- migrate:down
DROP TABLE serials;
DROP TABLE grants;
