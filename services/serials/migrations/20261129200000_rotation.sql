-- migrate:up
SET LOCAL lock_timeout = '10s';

-- How far the rotation of a key is. `rotated_to` is the key under which its serials are put, since an operator asked for
-- it at `rotated_at`, when there were `to_rekey` of them; `rekeyed` were put there since. A pass over all serials in the
-- order of their ids has come to `rekeyed_up_to`. It stands still at a serial whose text and tag do not belong together
-- (`stands_at`). A key is retired when no serial is under it: nobody needs it any more.
ALTER TABLE serial_keys
    ADD COLUMN rotated_to    text COLLATE "C",
    ADD COLUMN rotated_at    timestamptz,
    ADD COLUMN to_rekey      bigint NOT NULL DEFAULT 0,
    ADD COLUMN rekeyed       bigint NOT NULL DEFAULT 0,
    ADD COLUMN rekeyed_up_to uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    ADD COLUMN stands_at     uuid,
    ADD COLUMN retired_at    timestamptz,
    ADD CONSTRAINT serial_keys_rotation CHECK ((rotated_to IS NULL) = (rotated_at IS NULL)),
    ADD CONSTRAINT serial_keys_another CHECK (rotated_to <> key_id),
    ADD CONSTRAINT serial_keys_counts CHECK (to_rekey >= 0 AND rekeyed >= 0),
    ADD CONSTRAINT serial_keys_stands CHECK (stands_at IS NULL OR rotated_to IS NOT NULL),
    ADD CONSTRAINT serial_keys_retired CHECK (retired_at IS NULL OR rotated_to IS NOT NULL);

-- migrate:down
DELETE FROM serial_keys WHERE retired_at IS NOT NULL;
ALTER TABLE serial_keys
    DROP COLUMN rotated_to, DROP COLUMN rotated_at, DROP COLUMN to_rekey, DROP COLUMN rekeyed,
    DROP COLUMN rekeyed_up_to, DROP COLUMN stands_at, DROP COLUMN retired_at;
