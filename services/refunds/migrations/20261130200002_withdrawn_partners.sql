-- migrate:up

-- Partners that have left, as orders says: what they could see is kept, and hidden from them.
CREATE TABLE withdrawn_partners (
    partner_id    text COLLATE "C" PRIMARY KEY,
    withdrawn_at  timestamptz NOT NULL
);

-- migrate:down
DROP TABLE withdrawn_partners;
