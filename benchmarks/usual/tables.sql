-- The tables of the usual way: the same events as Pawl keeps, reduced to what this one flow reads and writes.
CREATE SCHEMA usual;

CREATE TABLE usual.orders_inbox   (event_id text PRIMARY KEY);
CREATE TABLE usual.serials_inbox  (event_id text PRIMARY KEY);
CREATE TABLE usual.refunds_inbox  (event_id text PRIMARY KEY);
CREATE TABLE usual.invoices_inbox (event_id text PRIMARY KEY);

CREATE TABLE usual.orders (
    order_id   text PRIMARY KEY,
    partner_id text NOT NULL,
    state      text NOT NULL,
    payment_id text NOT NULL,
    paid_at    timestamptz NOT NULL,
    supply     bigint NOT NULL,
    vat        bigint NOT NULL
);
CREATE TABLE usual.order_lines (
    order_id   text NOT NULL,
    line_id    text NOT NULL,
    product_id text NOT NULL,
    unit_price bigint NOT NULL,
    usage_days integer,
    paid       integer NOT NULL,
    issuing    integer NOT NULL,
    issued     integer NOT NULL,
    PRIMARY KEY (order_id, line_id),
    CHECK (issuing + issued <= paid)
);
CREATE TABLE usual.claims (
    claim_id uuid PRIMARY KEY,
    order_id text NOT NULL,
    line_id  text NOT NULL,
    quantity integer NOT NULL,
    state    text NOT NULL
);
CREATE TABLE usual.events (
    id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic text NOT NULL,
    key   text NOT NULL,
    type  text NOT NULL,
    data  bytea NOT NULL
);

CREATE TABLE usual.grants (
    grant_id uuid PRIMARY KEY,
    order_id text NOT NULL,
    line_id  text NOT NULL,
    quantity integer NOT NULL
);
CREATE TABLE usual.serials (
    serial_id  uuid PRIMARY KEY,
    grant_id   uuid NOT NULL,
    lookup_tag bytea NOT NULL UNIQUE,
    text       bytea NOT NULL,
    last_four  text NOT NULL
);

CREATE TABLE usual.refundable (
    order_id text NOT NULL,
    line_id  text NOT NULL,
    paid     integer NOT NULL,
    locked   integer NOT NULL,
    PRIMARY KEY (order_id, line_id),
    CHECK (locked <= paid)
);

CREATE TABLE usual.invoices (
    order_id        text PRIMARY KEY,
    invoice_id      uuid NOT NULL,
    partner_id      text NOT NULL,
    business_number text NOT NULL,
    month           text NOT NULL,
    supply          bigint NOT NULL,
    vat             bigint NOT NULL
);
