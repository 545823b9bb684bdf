-- migrate:up

-- Every upstream event that this service answers for: its identity and a hash of what it said.
CREATE TABLE inbox (
    source      text COLLATE "C" NOT NULL,
    event_id    text COLLATE "C" NOT NULL,
    content     bytea NOT NULL CHECK (octet_length(content) = 16),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, event_id)
);

-- The last ce_sequence handled of each subject of our own topics. `previous` is what the writer had read:
-- the upsert refuses to move a cursor that somebody else moved in the meantime.
CREATE TABLE cursors (
    source   text COLLATE "C" NOT NULL,
    subject  text COLLATE "C" NOT NULL,
    sequence bigint NOT NULL CHECK (sequence >= 1),
    previous bigint NOT NULL CHECK (previous >= 0),
    CHECK (sequence > previous),
    PRIMARY KEY (source, subject)
) WITH (fillfactor = 80);

-- Events that wait with their key. `record` is the whole Kafka record, sealed.
CREATE TABLE parked (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key         text COLLATE "C" NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('waiting', 'gap', 'blocked', 'behind')),
    reason      text NOT NULL,
    topic       text NOT NULL,
    partition   integer NOT NULL,
    "offset"    bigint NOT NULL,
    source      text NOT NULL,
    event_id    text NOT NULL,
    type        text NOT NULL,
    subject     text NOT NULL,
    sequence    bigint,
    event_time  timestamptz NOT NULL,
    record      bytea NOT NULL,
    parked_at   timestamptz NOT NULL DEFAULT now(),
    tried_at    timestamptz NOT NULL DEFAULT now(),
    overdue_at  timestamptz NOT NULL,
    UNIQUE (topic, partition, "offset")
);
CREATE INDEX parked_key ON parked (key, id);

-- Records that were refused or could not be read, whole and sealed. Nothing is ever deleted here.
CREATE TABLE dead_letters (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic       text NOT NULL,
    partition   integer NOT NULL,
    "offset"    bigint NOT NULL,
    key         text,
    source      text,
    event_id    text,
    type        text,
    code        text NOT NULL,
    pointer     text NOT NULL,
    detail      text NOT NULL,
    record      bytea NOT NULL,
    state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed')),
    dead_at     timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz,
    replayed_by text,
    replay_reason text,
    CHECK ((state = 'replayed') = (replayed_at IS NOT NULL)),
    CHECK ((state = 'replayed') = (replayed_by IS NOT NULL)),
    UNIQUE (topic, partition, "offset")
);

-- What this service says. Append-only; writers hold one advisory lock from the append to the commit, so the
-- order of ids is the order of commits and the relay can read forward.
CREATE TABLE outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id    uuid NOT NULL,
    topic       text NOT NULL,
    partition   integer NOT NULL,
    key         text COLLATE "C" NOT NULL,
    type        text NOT NULL,
    subject     text NOT NULL,
    sequence    bigint,
    time        text NOT NULL,
    correlation text NOT NULL,
    causation   text NOT NULL,
    data        bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_key ON outbox (key);

-- How far the relay has published. `epoch` is the fence: only the latest leader may move `published`.
CREATE TABLE relay (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch     bigint NOT NULL DEFAULT 0,
    published bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO relay DEFAULT VALUES;

-- migrate:down
DROP TABLE relay;
DROP TABLE outbox;
DROP TABLE dead_letters;
DROP TABLE parked;
DROP TABLE cursors;
DROP TABLE inbox;
