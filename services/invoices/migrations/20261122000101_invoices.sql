-- migrate:up

-- Every paid order and where its won stand. `standing_*` is the part on its evidence: on the document
-- `invoice_id`, on the card slip or on the cash receipt. Narrow on purpose: one row for each payment of a month.
CREATE TABLE payments (
    order_id        text COLLATE "C" PRIMARY KEY,
    payment_id      text COLLATE "C" NOT NULL,
    partner_id      text COLLATE "C" NOT NULL,
    business_number text COLLATE "C" NOT NULL,
    month           text COLLATE "C" NOT NULL CHECK (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    evidence        text NOT NULL CHECK (evidence IN ('tax_invoice', 'card_slip', 'cash_receipt')),
    paid_at         timestamptz NOT NULL,
    supply          bigint NOT NULL CHECK (supply >= 0),
    vat             bigint NOT NULL CHECK (vat >= 0),
    refunded_supply bigint NOT NULL CHECK (refunded_supply BETWEEN 0 AND supply),
    refunded_vat    bigint NOT NULL CHECK (refunded_vat BETWEEN 0 AND vat),
    standing_supply bigint NOT NULL,
    standing_vat    bigint NOT NULL,
    serial_units    integer NOT NULL CHECK (serial_units >= 0),
    issued_units    integer NOT NULL CHECK (issued_units >= 0),
    returned_units  integer NOT NULL CHECK (returned_units >= 0),
    other_lines     text[] NOT NULL,
    open_refunds    integer NOT NULL CHECK (open_refunds >= 0),
    draft_id        uuid,
    invoice_id      uuid,
    CHECK (month = to_char(paid_at AT TIME ZONE INTERVAL '+09:00', 'YYYY-MM')),
    CHECK (issued_units + returned_units <= serial_units),
    -- What stands on the evidence is never less than what is left, and never more than what was paid.
    CHECK (standing_supply BETWEEN supply - refunded_supply AND supply),
    CHECK (standing_vat BETWEEN vat - refunded_vat AND vat),
    -- Exactly one evidence, and at most one document at a time, is one row here.
    CHECK ((evidence = 'tax_invoice') = (draft_id IS NOT NULL)),
    CHECK ((evidence = 'tax_invoice') = (invoice_id IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX payments_business ON payments (partner_id, month);

-- The lines of each payment as they were sold, written once; documents are printed from them. One array a line:
-- [line_id, kind, product_id, product_name, unit_price, quantity]. `json`, because nobody searches in it and
-- this is written for every payment: jsonb with named fields took ten times as long.
CREATE TABLE payment_lines (
    order_id text COLLATE "C" PRIMARY KEY,
    vat_mode text NOT NULL CHECK (vat_mode IN ('exclusive', 'inclusive')),
    lines    json NOT NULL
);

-- Tax invoices from draft to issued, and modified ones. A draft follows its refunds; an issued one never changes.
CREATE TABLE documents (
    invoice_id      uuid PRIMARY KEY,
    kind            text NOT NULL CHECK (kind IN ('payment', 'merged', 'modified')),
    state           text NOT NULL CHECK (state IN ('draft', 'in_merge', 'undone', 'void', 'issue_failed', 'issued')),
    partner_id      text COLLATE "C" NOT NULL,
    business_number text COLLATE "C" NOT NULL,
    month           text COLLATE "C" NOT NULL CHECK (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    supply          bigint NOT NULL,
    vat             bigint NOT NULL,
    total           bigint GENERATED ALWAYS AS (supply + vat) STORED,
    sequence        bigint NOT NULL CHECK (sequence >= 1),
    late            boolean NOT NULL,
    payments        integer NOT NULL CHECK (payments >= 1),
    document_key    text COLLATE "C" UNIQUE,
    written_date    date,
    issued_at       timestamptz,
    order_id        text COLLATE "C",
    original_id     uuid,
    modification    text CHECK (modification IN ('contract_cancelled', 'supply_value_changed')),
    refund_id       text COLLATE "C",
    CHECK ((state = 'issued') = (document_key IS NOT NULL)),
    CHECK ((state = 'issued') = (written_date IS NOT NULL)),
    CHECK ((state = 'issued') = (issued_at IS NOT NULL)),
    CHECK (num_nulls(order_id, original_id, modification, refund_id) = CASE kind WHEN 'modified' THEN 0 ELSE 4 END),
    CHECK (kind <> 'modified' OR (state = 'issued' AND supply <= 0 AND vat <= 0 AND supply + vat < 0)),
    CHECK (kind = 'modified' OR (supply >= 0 AND vat >= 0)),
    CHECK (state NOT IN ('void', 'undone') OR supply + vat = 0),
    CHECK (state <> 'in_merge' OR kind = 'payment'),
    CHECK (state <> 'undone' OR kind = 'merged'),
    CHECK (state NOT IN ('draft', 'issue_failed', 'issued') OR supply + vat <> 0),
    CHECK (document_key IS NULL OR document_key ~ ('^[0-9]{4}-[0-9]{2}-' || business_number || '-[0-9]{6,}$'))
) WITH (fillfactor = 80);
CREATE INDEX documents_month ON documents (month, partner_id);
CREATE INDEX documents_failed ON documents (partner_id) WHERE state = 'issue_failed';
CREATE UNIQUE INDEX documents_one_open_merge ON documents (partner_id, business_number, month)
    WHERE kind = 'merged' AND state IN ('draft', 'issue_failed');
CREATE UNIQUE INDEX documents_one_modified_for_each_refund ON documents (refund_id) WHERE kind = 'modified';

-- An issued document is never edited or deleted (domain.md section 5); changes are documents of their own.
CREATE FUNCTION refuse_change_of_issued_document() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'document % is issued and never changes', OLD.document_key USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER issued_documents_stay BEFORE UPDATE OR DELETE ON documents
    FOR EACH ROW WHEN (OLD.state = 'issued') EXECUTE FUNCTION refuse_change_of_issued_document();

-- Which won of which payment stand on which document. Their sum is the document's total by construction: a
-- payment stands on one document, and a modified document concerns one payment.
CREATE VIEW document_lines AS
SELECT invoice_id, order_id, payment_id, standing_supply AS supply, standing_vat AS vat
FROM payments WHERE invoice_id IS NOT NULL
UNION ALL
SELECT d.invoice_id, d.order_id, p.payment_id, d.supply, d.vat
FROM documents d JOIN payments p USING (order_id) WHERE d.kind = 'modified';

-- Refunds of payments, and the units that a cancellation took back.
CREATE TABLE refunds (
    refund_id    text COLLATE "C" PRIMARY KEY,
    order_id     text COLLATE "C" NOT NULL,
    state        text NOT NULL CHECK (state IN ('open', 'completed', 'rejected', 'denied', 'released')),
    supply       bigint NOT NULL CHECK (supply >= 0),
    vat          bigint NOT NULL CHECK (vat >= 0),
    cancellation boolean NOT NULL,
    CHECK (state = 'completed' OR supply + vat = 0),
    CHECK (state = 'completed' OR NOT cancellation)
) WITH (fillfactor = 80);
CREATE INDEX refunds_order ON refunds (order_id);

-- Partners as their last change says.
CREATE TABLE partners (
    partner_id         text COLLATE "C" PRIMARY KEY,
    business_number    text COLLATE "C" NOT NULL,
    name               text NOT NULL,
    invoice_email      text NOT NULL,
    always_merge       boolean NOT NULL,
    always_merge_since timestamptz NOT NULL,
    changed_at         timestamptz NOT NULL,
    CHECK (always_merge_since <= changed_at)
);

-- Every wish to merge or not to merge. `standing`: no later wish for the same month has replaced it.
CREATE TABLE merge_requests (
    partner_id      text COLLATE "C" NOT NULL,
    request_id      text COLLATE "C" NOT NULL,
    undo            boolean NOT NULL,
    business_number text COLLATE "C" NOT NULL,
    month           text COLLATE "C" NOT NULL CHECK (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    payment_ids     jsonb,
    requested_at    timestamptz NOT NULL,
    standing        boolean NOT NULL,
    content         bytea NOT NULL CHECK (octet_length(content) = 16),
    PRIMARY KEY (partner_id, request_id)
);

-- Why a payment is ('merged') or is not in a merge.
CREATE TABLE merge_explanations (
    partner_id text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    payment_id text COLLATE "C" NOT NULL,
    order_id   text COLLATE "C",
    reason     text NOT NULL CHECK (reason IN (
        'merged', 'other_month', 'other_business', 'not_a_tax_invoice', 'already_issued', 'month_closed',
        'after_cut_off', 'nothing_left', 'units_not_issued', 'open_refund', 'only_one_payment', 'unknown_payment')),
    CHECK ((order_id IS NULL) = (reason = 'unknown_payment')),
    PRIMARY KEY (partner_id, request_id, payment_id)
);
CREATE INDEX merge_explanations_order ON merge_explanations (order_id);

-- The last document number of each business number. Numbers go on over months, so document keys never repeat.
CREATE TABLE document_counters (
    business_number text COLLATE "C" PRIMARY KEY,
    last_number     bigint NOT NULL CHECK (last_number >= 0)
) WITH (fillfactor = 50);

-- Closed months. `unreported`: documents were issued or failed since the last month.closed.
CREATE TABLE months (
    month      text COLLATE "C" PRIMARY KEY CHECK (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    closed_at  timestamptz NOT NULL,
    sequence   bigint NOT NULL DEFAULT 0 CHECK (sequence >= 0),
    unreported boolean NOT NULL DEFAULT false
);

-- migrate:down
DROP TABLE months, document_counters, merge_explanations, merge_requests, partners, refunds;
DROP VIEW document_lines;
DROP TABLE documents, payment_lines, payments;
DROP FUNCTION refuse_change_of_issued_document();
