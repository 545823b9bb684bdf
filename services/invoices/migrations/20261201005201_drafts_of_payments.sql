-- migrate:up
SET LOCAL lock_timeout = '10s';

-- A document has a row when it says more than its payment does. The draft of a payment that nobody touched is what its
-- payment says, and has none (docs/decisions/0040-a-draft-is-what-its-payment-says.md). `members`: the drafts that a set has
-- merged in this document, whose payments still name their own draft; `merged_for`: the wish that had them merged.
ALTER TABLE documents
    ADD COLUMN members uuid[],
    ADD COLUMN merged_for text COLLATE "C",
    ADD CONSTRAINT documents_members CHECK ((members IS NULL) = (merged_for IS NULL));
CREATE INDEX documents_members_of ON documents (partner_id, month) WHERE members IS NOT NULL;
CREATE INDEX payments_draft ON payments (draft_id) WHERE draft_id IS NOT NULL;
-- A month is closed partner by partner.
CREATE INDEX payments_month ON payments (month, partner_id);

-- Services of release 0.2.0 run while this is applied, and may run for a while after it: they ask for a row for each draft,
-- and get it until then. A schema that is new has none of them.
ALTER TABLE retention ADD COLUMN draft_rows_until timestamptz NOT NULL DEFAULT '-infinity';
UPDATE retention SET draft_rows_until = now() + interval '1 day'
WHERE EXISTS (SELECT FROM inbox) OR EXISTS (SELECT FROM cursors) OR EXISTS (SELECT FROM outbox);

-- What a merge says of its payments is written once, read once by the relay and forgotten: compressing it costs more than
-- all else that a close does for a payment.
ALTER TABLE outbox ALTER COLUMN data SET STORAGE EXTERNAL;

-- Payments with the document that each is in. A merge that was undone has no members any more.
CREATE VIEW placed_payments AS
SELECT p.order_id, p.payment_id, p.partner_id, p.business_number, p.month, p.evidence, p.paid_at, p.supply, p.vat,
       p.refunded_supply, p.refunded_vat, p.standing_supply, p.standing_vat, p.serial_units, p.issued_units, p.returned_units,
       p.other_lines, p.open_refunds, p.draft_id, coalesce(m.invoice_id, p.invoice_id) AS invoice_id
FROM payments p
LEFT JOIN documents m ON m.month = p.month AND m.partner_id = p.partner_id AND m.members IS NOT NULL AND m.state <> 'undone'
                     AND p.invoice_id = p.draft_id AND p.draft_id = ANY(m.members);

-- All documents: those that have a row, and the drafts that are what their payments say.
CREATE VIEW all_documents AS
SELECT invoice_id, kind, state, partner_id, business_number, month, supply, vat, total, sequence, late, payments, document_key,
       written_date, issued_at, order_id, original_id, modification, refund_id, also, late_by_due_day
FROM documents
UNION ALL
SELECT p.draft_id, 'payment', 'draft', p.partner_id, p.business_number, p.month, p.standing_supply, p.standing_vat,
       p.standing_supply + p.standing_vat, 1, false, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', true
FROM payments p
WHERE p.draft_id IS NOT NULL AND p.invoice_id = p.draft_id AND p.standing_supply + p.standing_vat > 0
  AND NOT EXISTS (SELECT FROM documents d WHERE d.invoice_id = p.draft_id)
  AND NOT EXISTS (SELECT FROM documents m
                  WHERE m.month = p.month AND m.partner_id = p.partner_id AND m.members IS NOT NULL AND m.state <> 'undone'
                    AND p.draft_id = ANY(m.members))
UNION ALL
SELECT p.draft_id, 'payment', 'void', p.partner_id, p.business_number, p.month, 0, 0, 0, 1, false, 1, NULL, NULL, NULL, NULL,
       NULL, NULL, NULL, '{}', true
FROM payments p
WHERE p.draft_id IS NOT NULL AND p.invoice_id = p.draft_id AND p.standing_supply + p.standing_vat = 0
  AND NOT EXISTS (SELECT FROM documents d WHERE d.invoice_id = p.draft_id)
  AND NOT EXISTS (SELECT FROM documents m
                  WHERE m.month = p.month AND m.partner_id = p.partner_id AND m.members IS NOT NULL AND m.state <> 'undone'
                    AND p.draft_id = ANY(m.members))
UNION ALL
SELECT p.draft_id, 'payment', 'in_merge', p.partner_id, p.business_number, p.month, p.standing_supply, p.standing_vat,
       p.standing_supply + p.standing_vat, 1, false, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{}', true
FROM placed_payments p
WHERE p.draft_id IS NOT NULL AND p.invoice_id <> p.draft_id
  AND NOT EXISTS (SELECT FROM documents d WHERE d.invoice_id = p.draft_id);

-- All explanations: those that have a row, and that a set has merged what it has merged.
CREATE VIEW all_explanations AS
SELECT partner_id, request_id, payment_id, order_id, reason FROM merge_explanations
UNION
SELECT m.partner_id, m.merged_for, p.payment_id, p.order_id, 'merged'
FROM documents m JOIN payments p ON p.month = m.month AND p.partner_id = m.partner_id AND p.draft_id = ANY(m.members)
WHERE m.members IS NOT NULL
  AND NOT EXISTS (SELECT FROM merge_explanations e
                  WHERE e.partner_id = m.partner_id AND e.request_id = m.merged_for AND e.payment_id = p.payment_id);

CREATE OR REPLACE VIEW document_lines AS
WITH RECURSIVE standing (invoice_id, order_id, payment_id, supply, vat) AS (
    SELECT p.invoice_id, p.order_id, p.payment_id, p.standing_supply, p.standing_vat
    FROM placed_payments p LEFT JOIN documents d USING (invoice_id)
    WHERE p.invoice_id IS NOT NULL AND d.kind IS DISTINCT FROM 'modified'
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

-- How each business stands in a month. `changed`, `new` and `gone` are what has drifted since its approval: documents that
-- are no more as they were approved, that came after it, and that are not to be issued any more.
CREATE VIEW business_months AS
WITH counted AS (
    SELECT d.month, d.business_number,
           array_agg(DISTINCT d.partner_id) AS partners,
           count(*) FILTER (WHERE d.state = 'draft') AS drafts,
           count(*) FILTER (WHERE d.state = 'approved') AS approved,
           count(*) FILTER (WHERE d.state = 'issue_failed') AS failed,
           count(*) FILTER (WHERE d.state = 'issued' AND d.modification IS NULL) AS issued,
           count(*) FILTER (WHERE d.state = 'issued') AS to_transmit,
           count(*) FILTER (WHERE t.state = 'transmitted') AS transmitted,
           count(*) FILTER (WHERE t.state = 'transmission_failed') AS not_transmitted,
           count(*) FILTER (WHERE d.state = 'draft' AND a.invoice_id IS NOT NULL) AS changed,
           count(*) FILTER (WHERE d.state = 'draft' AND a.invoice_id IS NULL) AS never_approved,
           count(*) FILTER (WHERE d.state IN ('void', 'undone', 'in_merge')) AS gone,
           coalesce(sum(d.total) FILTER (WHERE d.state IN ('draft', 'approved', 'issue_failed')), 0)::bigint AS to_issue,
           coalesce(sum(d.total) FILTER (WHERE d.state = 'issued'), 0)::bigint AS total,
           sum(a.supply + a.vat)::bigint AS approved_total,
           (array_agg(a.actor ORDER BY a.approved_at DESC) FILTER (WHERE a.actor IS NOT NULL))[1] AS approved_by,
           (array_agg(a.reason ORDER BY a.approved_at DESC) FILTER (WHERE a.actor IS NOT NULL))[1] AS approved_why,
           max(a.approved_at) AS approved_at
    FROM all_documents d
    LEFT JOIN approvals a USING (invoice_id, business_number)
    LEFT JOIN transmissions t USING (invoice_id)
    WHERE d.state IN ('draft', 'approved', 'issue_failed', 'issued') OR a.invoice_id IS NOT NULL
    GROUP BY d.month, d.business_number
)
SELECT n.month, n.business_number,
       CASE WHEN n.drafts > 0 THEN 'review'
            WHEN n.approved > 0 AND c.month IS NOT NULL THEN 'submitted'
            WHEN n.approved > 0 THEN 'approved'
            WHEN n.failed > 0 THEN 'issue_failed'
            WHEN n.to_transmit = 0 THEN 'void'
            WHEN n.not_transmitted > 0 THEN 'transmission_failed'
            WHEN n.transmitted = n.to_transmit THEN 'transmitted'
            ELSE 'issued' END AS state,
       n.partners, n.drafts, n.approved, n.failed, n.issued, n.to_transmit, n.transmitted, n.not_transmitted, n.changed,
       CASE WHEN n.approved_at IS NULL THEN 0 ELSE n.never_approved END AS new, n.gone, n.to_issue, n.total,
       n.approved_total, n.approved_by, n.approved_why, n.approved_at, c.actor AS issued_by, c.reason AS issued_why,
       c.closed_at AS issued_at
FROM counted n LEFT JOIN closed_businesses c USING (month, business_number);

-- migrate:down
DROP VIEW business_months;
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
DROP VIEW all_explanations, all_documents, placed_payments;
ALTER TABLE retention DROP COLUMN draft_rows_until;
ALTER TABLE outbox ALTER COLUMN data SET STORAGE EXTENDED;
DROP INDEX payments_month, payments_draft;
ALTER TABLE documents DROP COLUMN members, DROP COLUMN merged_for;
