-- migrate:up

-- Orders as refunds sees them. The row is the lock of everything about the order. `remaining_*` is what is left
-- of the payment, in won, after every refund that was granted and not released.
CREATE TABLE orders (
    order_id         text COLLATE "C" PRIMARY KEY,
    state            text NOT NULL CHECK (state IN ('registered', 'paid', 'expired', 'cancelled')),
    payment_method   text NOT NULL
        CHECK (payment_method IN ('card', 'virtual_account', 'bank_transfer', 'mycash', 'app_store')),
    vat_mode         text NOT NULL CHECK (vat_mode IN ('exclusive', 'inclusive')),
    partner_id       text COLLATE "C" NOT NULL,
    partner_name     text NOT NULL,
    payment_id       text COLLATE "C",
    paid_supply      bigint NOT NULL,
    paid_vat         bigint NOT NULL,
    remaining_supply bigint NOT NULL,
    remaining_vat    bigint NOT NULL,
    paid_at          timestamptz,
    ended_at         timestamptz,
    CHECK (remaining_supply BETWEEN 0 AND paid_supply),
    CHECK (remaining_vat BETWEEN 0 AND paid_vat),
    CHECK ((payment_id IS NULL) = (paid_at IS NULL)),
    CHECK (state <> 'paid' OR paid_at IS NOT NULL),
    CHECK (state NOT IN ('registered', 'expired') OR paid_at IS NULL),
    CHECK ((state IN ('expired', 'cancelled')) = (ended_at IS NOT NULL))
) WITH (fillfactor = 85);

-- The units of each line. Written only together with its order and under the order's lock, so no foreign key
-- spends a look-up on each of them.
CREATE TABLE order_lines (
    order_id        text COLLATE "C" NOT NULL,
    line_id         text COLLATE "C" NOT NULL,
    position        integer NOT NULL CHECK (position >= 0),
    kind            text NOT NULL CHECK (kind IN ('serials', 'metered', 'prepaid', 'goods')),
    unit_price      bigint NOT NULL CHECK (unit_price >= 0),
    paid            integer NOT NULL CHECK (paid > 0),
    granted         integer NOT NULL CHECK (granted >= 0),
    refunding       integer NOT NULL CHECK (refunding >= 0),
    refunded        integer NOT NULL CHECK (refunded >= 0),
    taken_back      integer NOT NULL CHECK (taken_back >= 0),
    last_granted_at timestamptz,
    locked          boolean NOT NULL,
    locks           integer NOT NULL CHECK (locks >= 0),
    CHECK (granted + refunding + refunded + taken_back <= paid),
    CHECK ((granted > 0) = (last_granted_at IS NOT NULL)),
    CHECK (NOT locked OR (granted > 0 AND granted + refunding + refunded + taken_back = paid)),
    CHECK (NOT locked OR locks > 0),
    PRIMARY KEY (order_id, line_id)
) WITH (fillfactor = 80);

-- Refund requests and what became of them; the states of domain.md section 4. `sequence` counts the events
-- about a refund, `steps` its rows in refund_history. A request id names one refund; a duplicate with other
-- content, found after it had waited, is kept rejected beside it.
CREATE TABLE refunds (
    refund_id             uuid PRIMARY KEY,
    order_id              text COLLATE "C" NOT NULL REFERENCES orders,
    refund_request_id     text COLLATE "C" NOT NULL,
    content               bytea NOT NULL CHECK (octet_length(content) = 16),
    state                 text NOT NULL CHECK (state IN (
        'held', 'in_review', 'accepted', 'paying_out', 'unknown', 'failed',
        'completed', 'rejected', 'denied', 'released')),
    requested_by          text NOT NULL,
    role                  text NOT NULL CHECK (role IN ('partner', 'operator')),
    reason                text NOT NULL,
    everything            boolean NOT NULL,
    requested_at          timestamptz NOT NULL,
    destination_kind      text NOT NULL
        CHECK (destination_kind IN ('bank_account', 'original_card', 'mycash', 'app_store')),
    destination_reference uuid NOT NULL UNIQUE,
    destination_masked    text,
    why                   text,
    why_at                timestamptz,
    supply                bigint CHECK (supply >= 0),
    vat                   bigint CHECK (vat >= 0),
    fee                   bigint NOT NULL CHECK (fee >= 0),
    amount                bigint GENERATED ALWAYS AS (supply + vat - fee) STORED CHECK (amount > 0),
    expected_on           date,
    completed_at          timestamptz,
    sequence              bigint NOT NULL CHECK (sequence >= 1),
    steps                 integer NOT NULL CHECK (steps >= 2),
    CHECK ((supply IS NULL) = (vat IS NULL)),
    CHECK ((state IN ('paying_out', 'unknown', 'failed', 'completed', 'released')) = (supply IS NOT NULL)),
    CHECK ((supply IS NULL) = (expected_on IS NULL)),
    CHECK ((state = 'completed') = (completed_at IS NOT NULL)),
    CHECK (why IS NOT NULL OR state NOT IN ('held', 'rejected', 'denied', 'failed', 'unknown', 'released')),
    CHECK (state IN ('rejected', 'denied') OR destination_masked IS NOT NULL)
) WITH (fillfactor = 80);
CREATE INDEX refunds_order ON refunds (order_id);
CREATE UNIQUE INDEX refunds_request ON refunds (order_id, refund_request_id)
    WHERE why IS DISTINCT FROM 'duplicate_request';

-- The units of each refund: asked for, and from `accepted` on exactly what orders was asked.
CREATE TABLE refund_lines (
    refund_id uuid NOT NULL REFERENCES refunds,
    line_id   text COLLATE "C" NOT NULL,
    order_id  text COLLATE "C" NOT NULL,
    position  integer NOT NULL CHECK (position >= 0),
    quantity  integer NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (refund_id, line_id),
    FOREIGN KEY (order_id, line_id) REFERENCES order_lines
);

-- Payouts that were made. The first one completed its refund; any other is money out without a claim.
CREATE TABLE refund_payouts (
    refund_id uuid NOT NULL REFERENCES refunds,
    payout_id text COLLATE "C" NOT NULL,
    position  integer NOT NULL CHECK (position >= 0),
    PRIMARY KEY (refund_id, payout_id),
    UNIQUE (refund_id, position)
);

-- Every change of every refund: when, who, why. Nothing here is ever changed or deleted.
CREATE TABLE refund_history (
    refund_id   uuid NOT NULL REFERENCES refunds,
    position    integer NOT NULL CHECK (position >= 1),
    state       text NOT NULL CHECK (state IN (
        'requested', 'held', 'in_review', 'accepted', 'granted', 'paying_out', 'unknown', 'failed',
        'completed', 'rejected', 'denied', 'released')),
    at          timestamptz NOT NULL,
    actor       text NOT NULL,
    reason      text NOT NULL,
    note        text,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (refund_id, position)
);

-- The bank account and the free text of a request, sealed (AES-256-GCM) in the context of the reference.
CREATE TABLE refund_details (
    reference uuid PRIMARY KEY REFERENCES refunds (destination_reference),
    refund_id uuid NOT NULL UNIQUE REFERENCES refunds,
    order_id  text COLLATE "C" NOT NULL,
    sealed    bytea NOT NULL CHECK (octet_length(sealed) > 0)
);

-- migrate:down
DROP TABLE refund_details;
DROP TABLE refund_history;
DROP TABLE refund_payouts;
DROP TABLE refund_lines;
DROP TABLE refunds;
DROP TABLE order_lines;
DROP TABLE orders;
