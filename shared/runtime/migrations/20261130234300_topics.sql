-- migrate:up

-- What this service has seen of its topics: an id is a topic, and one created anew has another. Partitions are only ever
-- added; the place of a record is that of its key by the number of its time.
CREATE TABLE topics (
    topic      text COLLATE "C" NOT NULL,
    topic_id   uuid NOT NULL,
    partitions integer NOT NULL CHECK (partitions > 0),
    since      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (topic, topic_id, partitions)
);

-- migrate:down
DROP TABLE topics;
