-- migrate:up
SET LOCAL lock_timeout = '10s';

-- The keys that bank accounts and free texts are sealed with, one for each partner, each sealed with the key of the
-- service. Destroying one makes all of them unreadable (docs/decisions/0028-a-data-key-for-each-partner.md). A partner
-- that asks for a refund after that gets the next number.
CREATE TABLE data_keys (
    partner_id   text COLLATE "C" NOT NULL,
    number       integer NOT NULL CHECK (number >= 1),
    sealed       bytea CHECK (octet_length(sealed) > 0),
    forgotten_at timestamptz,
    made_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partner_id, number),
    CHECK ((sealed IS NULL) = (forgotten_at IS NOT NULL))
);
CREATE UNIQUE INDEX data_keys_in_use ON data_keys (partner_id) WHERE forgotten_at IS NULL;

-- Which of them sealed a row; none sealed the rows of before this version, which the key of the service opens.
ALTER TABLE refund_details
    ADD COLUMN partner_id text COLLATE "C",
    ADD COLUMN key_number integer,
    ADD CONSTRAINT refund_details_key FOREIGN KEY (partner_id, key_number) REFERENCES data_keys,
    ADD CONSTRAINT a_key_is_of_a_partner CHECK ((partner_id IS NULL) = (key_number IS NULL));
CREATE INDEX orders_of_partner ON orders (partner_id);

-- Overwrites the rows of a partner that no data key sealed, and says that the key of this number had them. With the
-- rights of the owner, since a service may not change where a refund goes: it can lose an account by this, never
-- replace one.
CREATE FUNCTION forget_details(partner text, number integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    WITH gone AS (
        UPDATE refund_details d
        SET sealed = '\x00', partner_id = partner, key_number = number
        FROM refunds r JOIN orders o USING (order_id)
        WHERE d.refund_id = r.refund_id AND o.partner_id = partner AND d.key_number IS NULL
        RETURNING d.reference
    )
    SELECT count(*) FROM gone;
END;

-- migrate:down
DROP FUNCTION forget_details(text, integer);
DROP INDEX orders_of_partner;
ALTER TABLE refund_details
    DROP CONSTRAINT a_key_is_of_a_partner,
    DROP CONSTRAINT refund_details_key,
    DROP COLUMN key_number,
    DROP COLUMN partner_id;
DROP TABLE data_keys;
