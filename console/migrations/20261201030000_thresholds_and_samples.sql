-- migrate:up

-- From when on something needs somebody, as people chose it here: the newest row of a name counts. No minutes: as
-- configured again. Rows stay, and say who chose what, and why.
CREATE TABLE thresholds (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name    text NOT NULL CHECK (name IN ('waiting', 'grant', 'deposit', 'quarantine')),
    minutes bigint CHECK (minutes BETWEEN 0 AND 525600),
    person  text NOT NULL CHECK (person <> ''),
    reason  text NOT NULL CHECK (reason <> ''),
    set_at  timestamptz NOT NULL
);
CREATE INDEX thresholds_by_name ON thresholds (name, id);

-- How many seconds each service was behind, now and then. Whichever console writes the row first reads what it says; no
-- seconds: that could not be read.
CREATE TABLE lag_samples (
    taken_at   timestamptz NOT NULL,
    service    text NOT NULL,
    reading    double precision CHECK (reading >= 0),
    publishing double precision CHECK (publishing >= 0),
    PRIMARY KEY (taken_at, service)
);

-- migrate:down
DROP TABLE lag_samples;
DROP TABLE thresholds;
