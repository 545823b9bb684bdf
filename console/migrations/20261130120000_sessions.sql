-- migrate:up

-- Who is signed in to the console. A token is kept as its SHA-256, so that whoever reads this table cannot act with it.
CREATE TABLE sessions (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    person     text NOT NULL CHECK (person <> ''),
    role       text NOT NULL CHECK (role IN ('viewer', 'operator', 'finance', 'admin')),
    form_key   text NOT NULL CHECK (length(form_key) >= 32),
    began_at   timestamptz NOT NULL,
    seen_at    timestamptz NOT NULL CHECK (seen_at >= began_at),
    ends_at    timestamptz NOT NULL CHECK (ends_at > began_at)
);
CREATE INDEX sessions_by_person ON sessions (person);
CREATE INDEX sessions_by_end ON sessions (ends_at);

-- migrate:down
DROP TABLE sessions;
