-- migrate:up

-- A list of refused records that somebody ends one after the other: frozen when it is made, the first one alone, then the
-- rest until one fails. It keeps names, keys and outcomes; the records stay with their services.
CREATE TABLE lists (
    list_id    uuid PRIMARY KEY,
    person     text NOT NULL CHECK (person <> ''),
    action     text NOT NULL CHECK (action IN ('replay', 'resolve')),
    cause      text NOT NULL,
    reason     text,
    made_at    timestamptz NOT NULL,
    stopped_at timestamptz,
    stopped_by text,
    stop_why   text,
    CHECK ((stopped_at IS NULL) = (stopped_by IS NULL) AND (stopped_at IS NULL) = (stop_why IS NULL))
);
CREATE INDEX lists_in_turn ON lists (made_at);

-- `hindrance` is why it could not be ended when the list was made, `would` what a dry run said, `is_hopeless` that it said
-- no. Begun and not ended: nobody knows what became of it.
CREATE TABLE list_members (
    list_id     uuid NOT NULL REFERENCES lists ON DELETE CASCADE,
    position    integer NOT NULL,
    name        text NOT NULL,
    key         text,
    hindrance   text NOT NULL,
    would       text,
    is_hopeless boolean NOT NULL DEFAULT false,
    begun_at    timestamptz,
    ended_at    timestamptz,
    outcome     text CHECK (outcome IN ('done', 'failed', 'unknown')),
    detail      text,
    PRIMARY KEY (list_id, position),
    CHECK ((ended_at IS NULL) = (outcome IS NULL) AND (outcome IS NULL OR begun_at IS NOT NULL))
);

-- migrate:down
DROP TABLE list_members;
DROP TABLE lists;
