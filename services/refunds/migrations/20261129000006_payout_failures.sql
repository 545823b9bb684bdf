-- migrate:up

-- The latest word that a payout surely failed. A payout that was made before that, and is heard of later, has bounced.
CREATE TABLE payout_failures (
    refund_id uuid NOT NULL REFERENCES refunds,
    payout_id text COLLATE "C" NOT NULL,
    failed_at timestamptz NOT NULL,
    reason    text NOT NULL,
    PRIMARY KEY (refund_id, payout_id)
);

-- migrate:down
DROP TABLE payout_failures;
