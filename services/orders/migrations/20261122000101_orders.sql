-- migrate:up

CREATE TABLE orders (
    order_id          text COLLATE "C" PRIMARY KEY,
    partner_id        text COLLATE "C" NOT NULL,
    state             text NOT NULL
                      CHECK (state IN ('unpaid', 'pending_deposit', 'paid', 'expired', 'cancelled', 'refunded')),
    payment_method    text NOT NULL,
    evidence          text NOT NULL,
    issue_policy      text NOT NULL,
    vat_mode          text NOT NULL,
    partner           json NOT NULL,
    expected          bigint NOT NULL CHECK (expected >= 0),
    registered_by     text NOT NULL,
    registered_at     timestamptz NOT NULL,
    deposit_deadline  timestamptz,
    payment_id        text,
    paid_at           timestamptz,
    closed_at         timestamptz,
    amount            bigint NOT NULL CHECK (amount >= 0),
    supply            bigint NOT NULL CHECK (supply >= 0),
    vat               bigint NOT NULL CHECK (vat >= 0),
    remaining_supply  bigint NOT NULL CHECK (remaining_supply BETWEEN 0 AND supply),
    remaining_vat     bigint NOT NULL CHECK (remaining_vat BETWEEN 0 AND vat),
    sequence          integer NOT NULL CHECK (sequence >= 0),
    cancelled_payments text[] NOT NULL,
    recorded_at       timestamptz NOT NULL DEFAULT now(),
    CHECK (amount = supply + vat),
    CHECK ((payment_id IS NULL) = (paid_at IS NULL)),
    CHECK (state NOT IN ('paid', 'refunded') OR payment_id IS NOT NULL),
    CHECK (state <> 'pending_deposit' OR deposit_deadline IS NOT NULL),
    CHECK ((state IN ('expired', 'cancelled', 'refunded')) = (closed_at IS NOT NULL))
) WITH (fillfactor = 85);
CREATE INDEX orders_pending ON orders (deposit_deadline) WHERE state = 'pending_deposit';
CREATE INDEX orders_partner ON orders (partner_id);

-- The row that issuing and refunding both claim from, under the lock of its order. Lines, claims and requests are
-- written with their order in one transaction and carry no foreign key: its check per row would cost more than the row.
CREATE TABLE order_lines (
    order_id          text COLLATE "C" NOT NULL,
    line_id           text COLLATE "C" NOT NULL,
    position          smallint NOT NULL,
    kind              text NOT NULL CHECK (kind IN ('serials', 'metered', 'prepaid', 'goods')),
    product_id        text NOT NULL,
    product_name      text NOT NULL,
    unit_price        bigint NOT NULL CHECK (unit_price >= 0),
    usage_days        integer,
    quantity          integer NOT NULL CHECK (quantity > 0),
    paid              integer NOT NULL CHECK (paid IN (0, quantity)),
    issuing           integer NOT NULL CHECK (issuing >= 0),
    issued            integer NOT NULL CHECK (issued >= 0),
    refunding         integer NOT NULL CHECK (refunding >= 0),
    refunded          integer NOT NULL CHECK (refunded >= 0),
    issue_claimed_at  timestamptz,
    refund_claimed_at timestamptz,
    PRIMARY KEY (order_id, line_id),
    CONSTRAINT claims_never_exceed_paid CHECK (issuing + issued + refunding + refunded <= paid),
    CONSTRAINT only_serials_are_issued CHECK (kind = 'serials' OR issuing + issued = 0)
) WITH (fillfactor = 85);

CREATE TABLE claims (
    claim_id    uuid NOT NULL,
    line_id     text COLLATE "C" NOT NULL,
    order_id    text COLLATE "C" NOT NULL,
    position    smallint NOT NULL,
    purpose     text NOT NULL CHECK (purpose IN ('issue', 'refund')),
    quantity    integer NOT NULL CHECK (quantity > 0),
    state       text NOT NULL CHECK (state IN ('claimed', 'confirmed', 'void')),
    request_id  text NOT NULL,
    supply      bigint NOT NULL CHECK (supply >= 0),
    vat         bigint NOT NULL CHECK (vat >= 0),
    claimed_at  timestamptz NOT NULL,
    settled_at  timestamptz,
    PRIMARY KEY (claim_id, line_id),
    CHECK ((state = 'claimed') = (settled_at IS NULL)),
    CHECK (purpose = 'refund' OR state <> 'void')
) WITH (fillfactor = 85);
CREATE INDEX claims_order ON claims (order_id);

-- Requests to issue that were answered, so that a repeated one changes nothing.
CREATE TABLE issue_requests (
    order_id    text COLLATE "C" NOT NULL,
    request_id  text COLLATE "C" NOT NULL,
    content     bytea NOT NULL CHECK (octet_length(content) = 16),
    PRIMARY KEY (order_id, request_id)
);

-- Money that does not fit its order; negative where it is missing.
CREATE TABLE quarantine (
    order_id    text COLLATE "C" NOT NULL REFERENCES orders,
    number      smallint NOT NULL,
    payment_id  text NOT NULL,
    reason      text NOT NULL CHECK (reason IN
                ('second_payment', 'wrong_amount', 'late_deposit', 'order_closed', 'cancelled_after_issue')),
    amount      bigint NOT NULL CHECK (amount <> 0),
    opened_at   timestamptz NOT NULL,
    taken_back  boolean NOT NULL,
    PRIMARY KEY (order_id, number),
    CHECK (amount > 0 OR reason = 'cancelled_after_issue')
);

CREATE TABLE partners (
    partner_id   text COLLATE "C" PRIMARY KEY,
    withdrawn_at timestamptz,
    sequence     integer NOT NULL
);
CREATE TABLE withdrawal_requests (
    partner_id  text COLLATE "C" NOT NULL REFERENCES partners,
    request_id  text COLLATE "C" NOT NULL,
    content     bytea NOT NULL CHECK (octet_length(content) = 16),
    PRIMARY KEY (partner_id, request_id)
);

-- Payments whose tax invoice is issued, as invoices says; only a partner's leaving asks for it.
CREATE TABLE invoiced_payments (
    payment_id  text COLLATE "C" PRIMARY KEY
);

-- migrate:down
DROP TABLE invoiced_payments;
DROP TABLE withdrawal_requests;
DROP TABLE partners;
DROP TABLE quarantine;
DROP TABLE issue_requests;
DROP TABLE claims;
DROP TABLE order_lines;
DROP TABLE orders;
