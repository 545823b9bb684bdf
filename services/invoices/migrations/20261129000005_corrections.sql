-- migrate:up

-- A merge names the payments of other partners of the same business.
CREATE INDEX payments_business_month ON payments (business_number, month);

-- `also`: the other partners with payments on a document that an operator merged for one business.
ALTER TABLE documents ADD COLUMN also text[] NOT NULL DEFAULT '{}';
-- Rows from before this migration say late of whatever came after the close of its month; auditors pass them over.
ALTER TABLE documents ADD COLUMN late_by_due_day boolean NOT NULL DEFAULT false;
ALTER TABLE documents ALTER COLUMN late_by_due_day SET DEFAULT true;
-- A correction takes an issued document back and says it again under the right number; both are issued at once. What
-- takes back a modified document is positive. The one that replaces an original is of its kind.
ALTER TABLE documents DROP CONSTRAINT documents_modification_check,
    DROP CONSTRAINT documents_check3, DROP CONSTRAINT documents_check4;
ALTER TABLE documents
    ADD CONSTRAINT documents_modification CHECK (modification IN
        ('contract_cancelled', 'supply_value_changed', 'correction', 'issued_twice')),
    ADD CONSTRAINT documents_original CHECK ((original_id IS NULL) = (modification IS NULL)),
    ADD CONSTRAINT documents_refund CHECK ((order_id IS NULL) = (refund_id IS NULL)),
    ADD CONSTRAINT documents_modified CHECK (CASE
        WHEN kind <> 'modified' THEN order_id IS NULL AND (modification IS NULL OR modification = 'correction')
        WHEN modification IN ('correction', 'issued_twice') THEN state = 'issued' AND supply + vat <> 0
        ELSE order_id IS NOT NULL AND state = 'issued' AND supply <= 0 AND vat <= 0 AND supply + vat < 0 END);
DROP INDEX documents_one_modified_for_each_refund;
CREATE UNIQUE INDEX documents_one_modified_for_each_refund ON documents (original_id, refund_id)
    WHERE kind = 'modified' AND refund_id IS NOT NULL;
-- A document is corrected once: one takes it back, and at most one replaces it.
CREATE UNIQUE INDEX documents_corrected_once ON documents (original_id, kind)
    WHERE original_id IS NOT NULL AND refund_id IS NULL;

-- Which won of which payment stand on which document, those that a correction took back and said again too. What was
-- issued twice is left out: the won of its payments are on another document.
CREATE OR REPLACE VIEW document_lines AS
WITH RECURSIVE standing (invoice_id, order_id, payment_id, supply, vat) AS (
    SELECT p.invoice_id, p.order_id, p.payment_id, p.standing_supply, p.standing_vat
    FROM payments p JOIN documents d USING (invoice_id) WHERE d.kind <> 'modified'
    UNION ALL
    SELECT d.original_id, s.order_id, s.payment_id, s.supply, s.vat
    FROM standing s JOIN documents d USING (invoice_id) WHERE d.original_id IS NOT NULL
)
SELECT invoice_id, order_id, payment_id, supply, vat FROM standing
UNION ALL
SELECT d.invoice_id, s.order_id, s.payment_id, -s.supply, -s.vat
FROM standing s JOIN documents d ON d.original_id = s.invoice_id AND d.kind = 'modified' AND d.refund_id IS NULL
UNION ALL
SELECT d.invoice_id, d.order_id, p.payment_id, d.supply, d.vat
FROM documents d JOIN payments p USING (order_id) WHERE d.kind = 'modified';

-- The units that went back, for printing: [line_id, quantity] each. Null where they were not kept.
ALTER TABLE refunds ADD COLUMN lines json;

ALTER TABLE merge_explanations DROP CONSTRAINT merge_explanations_reason_check;
ALTER TABLE merge_explanations ADD CONSTRAINT merge_explanations_reason_check CHECK (reason IN (
    'merged', 'other_month', 'other_business', 'not_a_tax_invoice', 'already_issued', 'month_closed',
    'after_cut_off', 'nothing_left', 'units_not_issued', 'open_refund', 'only_one_payment', 'unknown_payment',
    'other_partner', 'merged_by_operator', 'undone', 'not_merged'));

-- The business numbers that partners have told, and since when.
CREATE TABLE partner_numbers (
    partner_id      text COLLATE "C" NOT NULL,
    since           timestamptz NOT NULL,
    business_number text COLLATE "C" NOT NULL,
    PRIMARY KEY (partner_id, since)
);
INSERT INTO partner_numbers SELECT partner_id, changed_at, business_number FROM partners;

-- Issued documents that name the wrong business: proposed, until an operator has them corrected.
CREATE TABLE corrections (
    invoice_id      uuid PRIMARY KEY,
    partner_id      text COLLATE "C" NOT NULL,
    month           text COLLATE "C" NOT NULL CHECK (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    business_number text COLLATE "C" NOT NULL,
    state           text NOT NULL CHECK (state IN ('proposed', 'corrected', 'withdrawn')),
    proposed_at     timestamptz NOT NULL,
    reason          text,
    actor           text,
    decided_at      timestamptz,
    CHECK ((state = 'corrected') = (reason IS NOT NULL)),
    CHECK ((state = 'corrected') = (actor IS NOT NULL)),
    CHECK ((state = 'corrected') = (decided_at IS NOT NULL))
);
CREATE INDEX corrections_month ON corrections (month);
CREATE INDEX corrections_proposed ON corrections (partner_id) WHERE state = 'proposed';

-- migrate:down
CREATE OR REPLACE VIEW document_lines AS
SELECT invoice_id, order_id, payment_id, standing_supply AS supply, standing_vat AS vat
FROM payments WHERE invoice_id IS NOT NULL
UNION ALL
SELECT d.invoice_id, d.order_id, p.payment_id, d.supply, d.vat
FROM documents d JOIN payments p USING (order_id) WHERE d.kind = 'modified';
DROP TABLE corrections, partner_numbers;
ALTER TABLE merge_explanations DROP CONSTRAINT merge_explanations_reason_check;
ALTER TABLE merge_explanations ADD CONSTRAINT merge_explanations_reason_check CHECK (reason IN (
    'merged', 'other_month', 'other_business', 'not_a_tax_invoice', 'already_issued', 'month_closed',
    'after_cut_off', 'nothing_left', 'units_not_issued', 'open_refund', 'only_one_payment', 'unknown_payment'));
ALTER TABLE refunds DROP COLUMN lines;
DROP INDEX documents_corrected_once, documents_one_modified_for_each_refund;
CREATE UNIQUE INDEX documents_one_modified_for_each_refund ON documents (refund_id) WHERE kind = 'modified';
ALTER TABLE documents DROP CONSTRAINT documents_modification, DROP CONSTRAINT documents_original,
    DROP CONSTRAINT documents_refund, DROP CONSTRAINT documents_modified, DROP COLUMN also, DROP COLUMN late_by_due_day;
ALTER TABLE documents
    ADD CONSTRAINT documents_modification_check CHECK (modification IN ('contract_cancelled', 'supply_value_changed')),
    ADD CONSTRAINT documents_check3
        CHECK (num_nulls(order_id, original_id, modification, refund_id) = CASE kind WHEN 'modified' THEN 0 ELSE 4 END),
    ADD CONSTRAINT documents_check4
        CHECK (kind <> 'modified' OR (state = 'issued' AND supply <= 0 AND vat <= 0 AND supply + vat < 0));
DROP INDEX payments_business_month;
