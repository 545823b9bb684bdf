-- migrate:up

-- What no topic holds any more is forgotten, so that inbox and outbox do not grow with the history
-- (docs/decisions/0013-retention.md). A service may not delete from either. It may call the functions below, which
-- run with the rights of the owner and forget nothing that was recorded after `horizon`; how far that comes is
-- decided by `keep`, which only the owner can change.

-- When an event came once more, where that was noted; no space is taken by those that never did.
ALTER TABLE inbox ADD COLUMN repeated_at timestamptz;

-- The room of what is forgotten is used again before a tenth of the table is such room.
ALTER TABLE inbox SET (autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.05);

-- `keep`: at least so long everything is kept. `horizon`: what was recorded before may be gone.
-- `forgotten`: the facts up to this id are gone, and no other.
CREATE TABLE retention (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    keep      interval NOT NULL DEFAULT '400 days' CHECK (keep > '0'),
    horizon   timestamptz NOT NULL DEFAULT '-infinity',
    forgotten bigint NOT NULL DEFAULT 0 CHECK (forgotten >= 0)
) WITH (fillfactor = 10);
INSERT INTO retention DEFAULT VALUES;

-- Moves the horizon, never back: to `keep` ago, and a tenth of that before the oldest record that a topic holds.
-- Half of that tenth is for repeats that were not noted (see contents_of_ids), the other half for clocks that differ and
-- for facts that were published late.
CREATE FUNCTION move_horizon(oldest_record timestamptz) RETURNS timestamptz
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    UPDATE retention SET horizon = greatest(horizon, least(now() - keep, oldest_record - keep / 10))
    RETURNING horizon;
END;

-- Forgets the oldest facts, at most so many: published, recorded before the horizon, and all before them forgotten.
CREATE FUNCTION forget_facts(most integer) RETURNS bigint
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

-- Forgets the ids on so many pages of the inbox that neither came nor were repeated after the horizon. Page by
-- page, because an index by age would cost every event of checkout something.
CREATE FUNCTION forget_ids(first_page bigint, pages bigint) RETURNS bigint
LANGUAGE sql SECURITY DEFINER
BEGIN ATOMIC
    WITH gone AS (
        DELETE FROM inbox
        WHERE ctid >= format('(%s,0)', first_page)::tid AND ctid < format('(%s,0)', first_page + pages)::tid
          AND greatest(recorded_at, repeated_at) < (SELECT horizon FROM retention)
        RETURNING event_id
    )
    SELECT count(*) FROM gone;
END;

-- migrate:down
DROP FUNCTION forget_ids(bigint, bigint);
DROP FUNCTION forget_facts(integer);
DROP FUNCTION move_horizon(timestamptz);
DROP TABLE retention;
ALTER TABLE outbox RESET (autovacuum_vacuum_scale_factor);
ALTER TABLE inbox RESET (autovacuum_vacuum_scale_factor);
ALTER TABLE inbox DROP COLUMN repeated_at;
