-- migrate:up

-- How far this service has handled each partition: the offset of the next record. Written before the group's own offset
-- is committed, so that a group which stands further than this was moved, or its records are gone.
CREATE TABLE handled_offsets (
    topic       text COLLATE "C" NOT NULL,
    partition   integer NOT NULL CHECK (partition >= 0),
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    moved_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition)
) WITH (fillfactor = 50);

-- Records that nobody handled here: from the first of them to the next one that was read. `moved`: the group was set
-- forward; `deleted`: the broker had deleted them before they were read. A row stays, closed with who and why.
CREATE TABLE gaps (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic        text COLLATE "C" NOT NULL,
    partition    integer NOT NULL,
    from_offset  bigint NOT NULL CHECK (from_offset >= 0),
    to_offset    bigint NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('deleted', 'moved')),
    since        timestamptz NOT NULL DEFAULT now(),
    last_read_at timestamptz,
    closed_at    timestamptz,
    closed_by    text CHECK (closed_by <> ''),
    close_reason text CHECK (close_reason <> ''),
    CHECK (to_offset > from_offset),
    CHECK ((closed_at IS NULL) = (closed_by IS NULL)),
    CHECK ((closed_at IS NULL) = (close_reason IS NULL))
);
-- Found twice, it is one gap.
CREATE UNIQUE INDEX gaps_open ON gaps (topic, partition, from_offset) WHERE closed_at IS NULL;

-- Services of the version before run while this is applied, and for a while after it: they commit offsets and do not
-- say here how far they are, which looks like a group that was moved. A schema that is new has none.
ALTER TABLE retention ADD COLUMN offsets_since timestamptz NOT NULL DEFAULT now();
UPDATE retention SET offsets_since = now() + interval '1 day'
WHERE EXISTS (SELECT FROM inbox) OR EXISTS (SELECT FROM cursors) OR EXISTS (SELECT FROM outbox);

-- migrate:down
ALTER TABLE retention DROP COLUMN offsets_since;
DROP TABLE gaps;
DROP TABLE handled_offsets;
