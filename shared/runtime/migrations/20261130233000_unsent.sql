-- migrate:up

-- Facts that the broker refuses for good (larger than their topic takes), and what follows for their keys: the relay's
-- mark has moved over them. `refused` is the first of a key, which is tried again at `retry_at`; the others are `behind`.
CREATE TABLE unsent (
    id           bigint PRIMARY KEY,
    topic        text NOT NULL,
    key          text NOT NULL COLLATE "C",
    state        text NOT NULL CHECK (state IN ('refused', 'behind')),
    reason       text NOT NULL,
    tries        integer NOT NULL DEFAULT 1 CHECK (tries > 0),
    set_aside_at timestamptz NOT NULL DEFAULT now(),
    tried_at     timestamptz NOT NULL DEFAULT now(),
    retry_at     timestamptz NOT NULL,
    CHECK ((state = 'refused') = isfinite(retry_at))
);
CREATE INDEX unsent_key ON unsent (topic, key, id);

-- As before, and never what is still to be published.
CREATE OR REPLACE FUNCTION forget_facts(most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    WITH oldest AS (
        SELECT o.id, o.recorded_at >= r.horizon AS is_kept
        FROM retention r CROSS JOIN relay p CROSS JOIN LATERAL (
            SELECT id, recorded_at FROM outbox
            WHERE id > r.forgotten AND id <= least(p.published, (SELECT min(u.id) - 1 FROM unsent u))
            ORDER BY id LIMIT most
        ) o
    ), reached AS (
        SELECT coalesce(min(id) FILTER (WHERE is_kept) - 1, max(id)) AS id FROM oldest
    ), moved AS (
        UPDATE retention r SET forgotten = reached.id FROM reached WHERE reached.id > r.forgotten
    ), gone AS (
        DELETE FROM outbox o USING retention r, reached WHERE o.id > r.forgotten AND o.id <= reached.id
        RETURNING o.id
    )
    SELECT count(*) FROM gone;
END;

-- migrate:down

-- What is set aside here would never be published by the version before.
DO $$ BEGIN
    IF EXISTS (SELECT FROM unsent) THEN
        RAISE EXCEPTION 'facts are set aside: see them with pawl dead ls, and have them published first';
    END IF;
END $$;
CREATE OR REPLACE FUNCTION forget_facts(most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    WITH oldest AS (
        SELECT o.id, o.recorded_at >= r.horizon AS is_kept
        FROM retention r CROSS JOIN relay p CROSS JOIN LATERAL (
            SELECT id, recorded_at FROM outbox WHERE id > r.forgotten AND id <= p.published ORDER BY id LIMIT most
        ) o
    ), reached AS (
        SELECT coalesce(min(id) FILTER (WHERE is_kept) - 1, max(id)) AS id FROM oldest
    ), moved AS (
        UPDATE retention r SET forgotten = reached.id FROM reached WHERE reached.id > r.forgotten
    ), gone AS (
        DELETE FROM outbox o USING retention r, reached WHERE o.id > r.forgotten AND o.id <= reached.id
        RETURNING o.id
    )
    SELECT count(*) FROM gone;
END;
DROP TABLE unsent;
