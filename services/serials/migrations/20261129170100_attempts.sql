-- migrate:up

-- How often a serial was typed that there is not, in each window: by an account, from an address, by everybody. `who`
-- is a keyed hash of that. Those of everybody are spread over several rows, so that no row is changed by all.
CREATE TABLE failed_attempts (
    window_start timestamptz NOT NULL,
    who          bytea NOT NULL CHECK (octet_length(who) = 16),
    failures     integer NOT NULL CHECK (failures > 0),
    PRIMARY KEY (window_start, who)
) WITH (fillfactor = 70);

-- The names of the keys that serials were made with: without one of them its serials cannot be found.
CREATE TABLE serial_keys (
    key_id        text COLLATE "C" PRIMARY KEY,
    first_used_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO serial_keys (key_id) SELECT DISTINCT key_id FROM serials;

-- migrate:down
DROP TABLE serial_keys;
DROP TABLE failed_attempts;
