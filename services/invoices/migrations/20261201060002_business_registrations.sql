-- migrate:up
SET LOCAL lock_timeout = '10s';

-- What stands on the registration of a business (사업자등록증), as a partner told it of a number of its own. Documents under the
-- number name it where their payments did not. Empty: not told.
CREATE TABLE business_registrations (
    partner_id      text COLLATE "C" NOT NULL,
    business_number text COLLATE "C" NOT NULL,
    told_at         timestamptz NOT NULL,
    representative  text NOT NULL,
    address         text NOT NULL,
    business_type   text NOT NULL,
    business_item   text NOT NULL,
    branch_number   text NOT NULL,
    PRIMARY KEY (partner_id, business_number)
);

-- migrate:down
DROP TABLE business_registrations;
