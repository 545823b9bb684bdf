-- migrate:up

-- A place (topic, partition, offset) repeats when a topic is created anew or moved, so it tells no two records apart.
-- `digest` is a hash over the whole record and its timestamp; none where it was kept by the version before, which goes
-- on beside this one and relies on one row for each place. A second record at a place stands in a table of its own,
-- which whoever asks for dead letters or parked events asks too.
ALTER TABLE dead_letters ADD COLUMN digest bytea CHECK (octet_length(digest) = 16);
ALTER TABLE parked ADD COLUMN digest bytea CHECK (octet_length(digest) = 16);

CREATE TABLE dead_letters_again (
    PRIMARY KEY (id),
    UNIQUE (topic, partition, "offset", digest)
) INHERITS (dead_letters);
ALTER TABLE dead_letters_again ALTER id SET DEFAULT nextval('dead_letters_id_seq'), ALTER digest SET NOT NULL;
CREATE INDEX dead_letters_again_event ON dead_letters_again (source, event_id);
CREATE INDEX dead_letters_again_request ON dead_letters_again (request_key, id) WHERE state = 'open';

CREATE TABLE parked_again (
    PRIMARY KEY (id),
    UNIQUE (topic, partition, "offset", digest)
) INHERITS (parked);
ALTER TABLE parked_again ALTER id SET DEFAULT nextval('parked_id_seq'), ALTER digest SET NOT NULL;
CREATE INDEX parked_again_key ON parked_again (key, id);

-- migrate:down
DROP TABLE parked_again;
DROP TABLE dead_letters_again;
ALTER TABLE parked DROP COLUMN digest;
ALTER TABLE dead_letters DROP COLUMN digest;
