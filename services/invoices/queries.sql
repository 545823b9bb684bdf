-- name: share_sets
-- Keeps sets of partners from being closed until the commit (claim_set): whoever reads payments to change something comes
-- here first. Then keeps these months from being closed until the commit: a payment is drafted in an open month or is late.
-- `draft_rows`: a service of release 0.2.0 may run beside this one.
WITH sets AS MATERIALIZED (
    SELECT count(pg_advisory_xact_lock_shared(hashtextextended(current_schema() || '.set.' || slot, 0))) AS shared
    FROM generate_series(1, 2) AS slot
), months AS MATERIALIZED (
    SELECT count(pg_advisory_xact_lock_shared(hashtextextended(current_schema() || '.month.' || month, 0))) AS shared
    FROM sets, unnest($1::text[]) AS month WHERE sets.shared > 0
)
SELECT months.shared AS months, (SELECT draft_rows_until > now() FROM retention) AS draft_rows FROM months;

-- name: wants_draft_rows
-- Whether a service of release 0.2.0 may run beside this one.
SELECT draft_rows_until > now() FROM retention;

-- name: claim_set
-- Waits until nobody changes a payment, and closes the next set of partners alone in this slot ($1); the sets of both slots
-- have different partners.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.set.' || $1::integer, 0));

-- name: claim_month
-- Waits until nobody is drafting in a month, so that its close sees every draft.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.month.' || $1::text, 0));

-- name: lock_partners
-- Holds partners in the order given: a correction and a document that needs one see each other.
SELECT count(pg_advisory_xact_lock(hashtextextended(current_schema() || '.partner.' || partner, 0)))
FROM unnest($1::text[]) AS partner;

-- name: closed_months
-- Every closed month and the logical time of its close; then the months of these businesses that are issued before the
-- rest of the month is.
SELECT month, NULL AS business_number, closed_at FROM months
UNION ALL
SELECT month, business_number, closed_at FROM closed_businesses c
WHERE business_number = ANY($1::text[]) AND NOT EXISTS (SELECT FROM months m WHERE m.month = c.month);

-- name: read_approvals
-- What these documents were when they were approved.
SELECT * FROM approvals WHERE invoice_id = ANY($1::uuid[]);

-- name: read_submissions
-- What of these documents a tax agent was given, and how far it is.
SELECT * FROM submissions WHERE invoice_id = ANY($1::uuid[]);

-- name: submissions_to_send
-- Takes the next documents that are to be sent to the tax agent, at most so many ($3), as sent by the call that begins now
-- ($1) and to be asked about at $2 if its answer is lost. What modifies another document waits until that one was
-- transmitted, since it names its approval number.
WITH chosen AS (
    SELECT s.invoice_id FROM submissions s JOIN documents d USING (invoice_id)
    WHERE s.state = 'to_send' AND s.next_at <= $1
      AND (d.original_id IS NULL
           OR EXISTS (SELECT FROM transmissions t WHERE t.invoice_id = d.original_id AND t.state = 'transmitted'))
    ORDER BY s.next_at, s.invoice_id LIMIT $3 FOR UPDATE OF s SKIP LOCKED
)
UPDATE submissions s SET state = 'sending', next_at = $2 FROM chosen WHERE s.invoice_id = chosen.invoice_id
RETURNING s.*;

-- name: submissions_to_ask
-- Takes the next documents of which the tax agent is to be asked what became of them, at most so many ($3): at present ($1),
-- and not again before $2.
WITH chosen AS (
    SELECT invoice_id FROM submissions
    WHERE state IN ('sending', 'sent', 'issued') AND next_at <= $1
    ORDER BY next_at, invoice_id LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE submissions s SET next_at = $2 FROM chosen WHERE s.invoice_id = chosen.invoice_id RETURNING s.*;

-- name: submission_of_key
-- What a tax agent was given of the document of this key, or under this key, and whether it is issued here.
SELECT s.*, d.state = 'issued' AS is_issued
FROM submissions s JOIN documents d USING (invoice_id)
WHERE s.month = $1 AND (d.document_key = $2 OR s.document_key = $2) ORDER BY d.document_key = $2 DESC LIMIT 1;

-- name: hold_submission
-- Keeps a document that was not sent from being sent for a minute, in which it is taken back.
UPDATE submissions SET next_at = greatest(next_at, now() + interval '1 minute')
WHERE invoice_id = $1 AND state = 'to_send' RETURNING true;

-- name: submissions_back
-- Has what surely was not taken sent again from $2 on.
UPDATE submissions SET state = 'to_send', next_at = $2, tries = tries + 1
WHERE invoice_id = ANY($1::uuid[]) AND state = 'sending';

-- name: failed_submissions
-- Some issued documents of a month, and of these business numbers where they are given, that the tax agent has not transmitted.
SELECT d.* FROM submissions s JOIN documents d USING (invoice_id)
WHERE s.month = $1 AND s.state = 'failed' AND d.state = 'issued'
  AND ($2::text[] IS NULL OR d.business_number = ANY($2::text[]))
ORDER BY s.invoice_id LIMIT $3;

-- name: submissions_open_of_month
-- Whether the tax agent is still to answer about documents of a month that are not issued, and whether all of it was given.
SELECT EXISTS (SELECT FROM submissions WHERE month = $1 AND state IN ('to_send', 'sending', 'sent')) AS is_open,
       EXISTS (SELECT FROM submissions WHERE month = $1 AND is_of_all) AS is_of_all;

-- name: document_to_send
-- A document as the tax agent is given it, with the one that it modifies, by the key that the agent has of it, and the approval
-- number of that.
SELECT d.*, coalesce(g.document_key, o.document_key) AS original_key, o.written_date AS original_written, t.approval_number AS original_approval
FROM documents d
LEFT JOIN documents o ON o.invoice_id = d.original_id
LEFT JOIN submissions g ON g.invoice_id = d.original_id
LEFT JOIN transmissions t ON t.invoice_id = d.original_id
WHERE d.invoice_id = $1 AND d.state IN ('approved', 'issued');

-- name: orders_of_businesses
-- The payments of these partners' months, and those of others that an operator merged with them.
SELECT p.order_id FROM payments p
JOIN unnest($1::text[], $2::text[]) AS wanted (partner_id, month) USING (partner_id, month)
UNION
SELECT p.order_id FROM documents d
JOIN unnest($1::text[], $2::text[]) AS wanted (partner_id, month) USING (partner_id, month)
JOIN placed_payments p ON p.month = d.month AND p.partner_id = ANY(d.also) AND p.invoice_id = d.invoice_id
WHERE d.also <> '{}';

-- name: orders_of_business
-- The payments of a business number in a month, whoever paid them, with the partners that have them.
SELECT order_id, partner_id FROM payments WHERE business_number = $1 AND month = $2;

-- name: payments_of_others
-- The payments of these business numbers in these months, and those with these ids: what an answer may have to name.
SELECT payment_id, order_id, partner_id, business_number, month FROM payments
WHERE business_number = ANY($1::text[]) AND (month = ANY($2::text[]) OR payment_id = ANY($3::text[]))
ORDER BY paid_at, order_id;

-- name: orders_of_named_payments
-- The payments that these partners have named, in whatever month.
SELECT p.order_id FROM payments p
JOIN unnest($1::text[], $2::text[]) AS named (partner_id, payment_id) USING (partner_id, payment_id);

-- name: orders_of_failed_documents
-- The payments on documents that wait for these partners to be corrected.
SELECT p.order_id FROM payments p JOIN documents d USING (partner_id, month)
WHERE d.partner_id = ANY($1::text[]) AND d.state = 'issue_failed';

-- name: orders_of_other_numbers
-- The payments of these partners under another number than the one that they tell now, and those on documents for
-- which a correction is proposed.
SELECT p.order_id FROM payments p
JOIN unnest($1::text[], $2::text[]) AS told (partner_id, business_number) USING (partner_id)
WHERE p.business_number <> told.business_number AND p.invoice_id IS NOT NULL
UNION
SELECT p.order_id FROM corrections c
JOIN documents d USING (invoice_id)
JOIN placed_payments p ON p.month = d.month AND p.partner_id = d.partner_id AND p.invoice_id = d.invoice_id
WHERE c.partner_id = ANY($1::text[]) AND c.state = 'proposed';

-- name: is_partner_known
-- Whether this partner has paid anything, or was told of.
SELECT EXISTS (SELECT FROM payments WHERE partner_id = $1) OR EXISTS (SELECT FROM partners WHERE partner_id = $1);

-- name: orders_of_document
-- The payments on a document, whichever partners paid them.
SELECT p.order_id FROM all_documents d
JOIN placed_payments p ON p.month = d.month AND p.partner_id = ANY(d.partner_id || d.also) AND p.invoice_id = d.invoice_id
WHERE d.invoice_id = $1;

-- name: find_document
-- A document by its key or, where it is one ($3), by its id.
SELECT * FROM all_documents WHERE month = $1 AND document_key = $2
UNION ALL
SELECT * FROM all_documents WHERE month = $1 AND invoice_id = $3::uuid AND document_key IS DISTINCT FROM $2;

-- name: read_modifications
-- The modified documents that refunds of this one caused; they never change.
SELECT * FROM documents WHERE original_id = $1 AND kind = 'modified' AND refund_id IS NOT NULL ORDER BY invoice_id;

-- name: lock_payments
-- Locks payments in the order of their ids.
SELECT * FROM payments WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id FOR UPDATE;

-- name: read_payments
-- The same payments as they are, without a lock: for what is decided and taken back.
SELECT * FROM payments WHERE order_id = ANY(string_to_array($1, E'\x1f')) ORDER BY order_id;

-- name: lock_documents
-- Locks documents in the order of their ids, and those in which sets have merged drafts ($2) of these partners' months.
SELECT * FROM documents WHERE invoice_id = ANY($1::uuid[]) OR invoice_id = ANY(ARRAY(
    SELECT m.invoice_id FROM documents m JOIN unnest($3::text[], $4::text[]) AS wanted (partner_id, month) USING (partner_id, month)
    WHERE m.members && $2::uuid[]))
ORDER BY invoice_id FOR UPDATE;

-- name: read_documents
-- The same documents as they are, without a lock.
SELECT * FROM documents WHERE invoice_id = ANY($1::uuid[]) OR invoice_id = ANY(ARRAY(
    SELECT m.invoice_id FROM documents m JOIN unnest($3::text[], $4::text[]) AS wanted (partner_id, month) USING (partner_id, month)
    WHERE m.members && $2::uuid[]))
ORDER BY invoice_id;

-- name: documents_of_ids
-- Documents that are more than drafts, in the order of their ids.
SELECT * FROM documents WHERE invoice_id = ANY($1::uuid[]) ORDER BY invoice_id;

-- name: open_counters
-- Starts the numbering of business numbers that have no document yet.
INSERT INTO document_counters (business_number, last_number)
SELECT business_number, 0 FROM unnest($1::text[]) AS business_number
ON CONFLICT DO NOTHING;

-- name: lock_counters
-- Locks the last document numbers in the order of the business numbers.
SELECT * FROM document_counters WHERE business_number = ANY($1::text[]) ORDER BY business_number FOR UPDATE;

-- name: read_refunds
-- What is recorded of these refunds; the locks of their payments protect them.
SELECT * FROM refunds WHERE refund_id = ANY($1::text[]);

-- name: read_partners
-- What is recorded of these partners.
SELECT * FROM partners WHERE partner_id = ANY($1::text[]);

-- name: purged_partners
-- Those of these partners that are named no more.
SELECT * FROM partners WHERE partner_id = ANY($1::text[]) AND purged_at IS NOT NULL;

-- name: reopen_documents
-- Approved documents are drafts again, so that they may change.
UPDATE documents SET state = 'draft', document_key = NULL, written_date = NULL WHERE invoice_id = ANY($1::uuid[]);

-- name: name_buyers
-- Keeps with the payments on issued documents who these partners are, where it was not kept and they are about to be purged:
-- a document goes on to name whom it named.
UPDATE payment_lines l SET buyer = json_build_array(n.business_number, n.name, n.invoice_email)
FROM placed_payments p JOIN documents d USING (invoice_id) JOIN partners n ON n.partner_id = p.partner_id
WHERE l.order_id = p.order_id AND p.partner_id = ANY($1::text[]) AND l.buyer IS NULL AND d.state = 'issued'
  AND n.business_number = p.business_number AND n.name <> '';

-- name: erase_buyers
-- Forgets who paid, as of their payments, of these partners, but where it stands on a document that is issued or still to be
-- issued: each names the latest of its payments that has a name, and one that modifies it the payment that it is about.
WITH named AS (
    SELECT DISTINCT ON (q.invoice_id) q.order_id
    FROM documents d
    JOIN placed_payments q ON q.month = d.month AND q.partner_id = ANY(d.partner_id || d.also) AND q.invoice_id = d.invoice_id
    JOIN payment_lines s ON s.order_id = q.order_id AND s.buyer ->> 1 <> ''
    WHERE d.state = 'issued' AND d.invoice_id IN (SELECT invoice_id FROM placed_payments WHERE partner_id = ANY($1::text[]))
    ORDER BY q.invoice_id, q.paid_at DESC, q.order_id DESC
)
UPDATE payment_lines l SET buyer = NULL
FROM placed_payments p
LEFT JOIN LATERAL (SELECT * FROM all_documents a WHERE a.invoice_id = p.invoice_id OFFSET 0) AS d ON true -- one by one
WHERE l.order_id = p.order_id AND p.partner_id = ANY($1::text[]) AND l.buyer IS NOT NULL
  AND (d.state IN ('draft', 'approved', 'issue_failed')) IS NOT TRUE
  AND p.order_id NOT IN (SELECT order_id FROM named)
  AND NOT EXISTS (SELECT FROM documents m
                  WHERE m.kind = 'modified' AND m.refund_id IS NOT NULL AND m.order_id = p.order_id
                    AND m.original_id IN (d.invoice_id, d.original_id));

-- name: read_registrations
-- What these partners have told of their businesses.
SELECT * FROM business_registrations WHERE partner_id = ANY($1::text[]);

-- name: incomplete_again
-- Has the tax agent given again from $3 on what is issued for these partners ($1) under these numbers ($2), and was refused for
-- what is told of them now. Nothing was made of it, so its key stays.
UPDATE submissions s SET state = 'to_send', next_at = $3, tries = 0, detail = ''
FROM documents d JOIN unnest($1::text[], $2::text[]) AS told (partner_id, business_number) USING (partner_id, business_number)
WHERE s.invoice_id = d.invoice_id AND s.state = 'failed' AND s.detail = 'incomplete' AND s.approval_number IS NULL
  AND d.state = 'issued';

-- name: erase_registrations
-- Forgets what these partners have told of their businesses, but where an issued document says it.
UPDATE business_registrations r
SET representative = '', address = '', business_type = '', business_item = '', branch_number = ''
WHERE r.partner_id = ANY($1::text[])
  AND NOT EXISTS (SELECT FROM documents d
                  WHERE d.partner_id = r.partner_id AND d.business_number = r.business_number AND d.state = 'issued');

-- name: refunds_of_payments
-- Every refund of these payments, in progress or ended.
SELECT * FROM refunds WHERE order_id = ANY($1::text[]) ORDER BY refund_id;

-- name: page_of_partners
-- Partners with a payment of a business number in a month, after one of them.
SELECT DISTINCT partner_id FROM payments
WHERE month = $1 AND business_number = $2 AND partner_id > $3 ORDER BY partner_id LIMIT $4;

-- name: read_numbers
-- Every business number that these partners have told.
SELECT * FROM partner_numbers WHERE partner_id = ANY($1::text[]);

-- name: read_corrections
-- What is proposed or decided about these documents.
SELECT * FROM corrections WHERE invoice_id = ANY($1::uuid[]);

-- name: corrections_behind
-- The corrections that each of these documents came out of, the latest first; of a modified one those of what it modifies.
WITH RECURSIVE behind AS (
    SELECT invoice_id AS of_document, kind, modification, original_id, 1 AS step FROM documents WHERE invoice_id = ANY($1::uuid[])
    UNION ALL
    SELECT b.of_document, d.kind, d.modification, d.original_id, b.step + 1
    FROM behind b JOIN documents d ON d.invoice_id = b.original_id
)
SELECT b.of_document, c.* FROM behind b JOIN corrections c ON c.invoice_id = b.original_id
WHERE b.kind <> 'modified' AND b.modification = 'correction' AND c.state = 'corrected'
ORDER BY b.of_document, b.step;

-- name: latest_orders
-- The order that was paid last of those that were issued on each of these documents, as payments_of_document finds them.
WITH RECURSIVE family (of_document, invoice_id) AS (
    SELECT id, id FROM unnest($1::uuid[]) AS id
    UNION
    SELECT f.of_document, d.invoice_id
    FROM documents d JOIN family f ON d.original_id = f.invoice_id WHERE d.refund_id IS NULL
), about AS (
    SELECT DISTINCT month, unnest(partner_id || also) AS partner_id FROM all_documents WHERE invoice_id = ANY($1)
)
SELECT DISTINCT ON (f.of_document) f.of_document, p.order_id
FROM about JOIN placed_payments p USING (month, partner_id) JOIN family f USING (invoice_id)
ORDER BY f.of_document, p.paid_at DESC, p.order_id DESC;

-- name: corrections_of_month
-- The corrections of a month that are proposed or made, with the document that each is about.
SELECT d.document_key, c.invoice_id, c.partner_id, d.business_number, c.business_number AS right_number, c.state,
       c.proposed_at, c.reason, c.actor, c.decided_at
FROM corrections c JOIN documents d USING (invoice_id)
WHERE c.month = $1 AND c.state <> 'withdrawn' ORDER BY d.document_key;

-- name: snapshots_of_orders
-- The lines of these payments as they were sold.
SELECT * FROM payment_lines WHERE order_id = ANY($1::text[]) ORDER BY order_id;

-- name: refunds_of_orders
-- What went back of these payments.
SELECT * FROM refunds WHERE order_id = ANY($1::text[]) AND state = 'completed' ORDER BY refund_id;

-- name: payments_of_document
-- The payments that were issued on a document, also when a correction has moved them to another one.
WITH RECURSIVE family (invoice_id) AS (
    SELECT $1::uuid
    UNION
    SELECT d.invoice_id FROM documents d JOIN family f ON d.original_id = f.invoice_id WHERE d.refund_id IS NULL
)
SELECT p.* FROM all_documents d
JOIN placed_payments p ON p.month = d.month AND p.partner_id = ANY(d.partner_id || d.also)
WHERE d.invoice_id = $1 AND p.invoice_id IN (SELECT invoice_id FROM family)
ORDER BY p.paid_at, p.order_id;

-- name: refunds_after_issue
-- The refunds that modified a document, or one that corrects it.
WITH RECURSIVE family (invoice_id) AS (
    SELECT $1::uuid
    UNION
    SELECT d.invoice_id FROM documents d JOIN family f ON d.original_id = f.invoice_id WHERE d.refund_id IS NULL
)
SELECT d.refund_id FROM family f JOIN documents d ON d.original_id = f.invoice_id
WHERE d.kind = 'modified' AND d.refund_id IS NOT NULL;

-- name: document_by_id
-- A document, to be looked at.
SELECT * FROM all_documents WHERE invoice_id = $1;

-- name: read_requests
-- Every wish of these partners.
SELECT * FROM merge_requests WHERE partner_id = ANY($1::text[]);

-- name: answered_request
-- A wish to merge, or to undo a merge, with how many payments its answer names.
SELECT r.partner_id, r.request_id, r.undo, r.business_number, r.month, r.requested_at,
       (SELECT count(*) FROM all_explanations e
        WHERE e.partner_id = r.partner_id AND e.request_id = r.request_id) AS count
FROM merge_requests r WHERE r.partner_id = $1 AND r.request_id = $2;

-- name: answered_payments
-- The next payments, in the order of their ids, of such an answer.
SELECT payment_id, order_id, reason FROM all_explanations
WHERE partner_id = $1 AND request_id = $2 AND payment_id > $3 ORDER BY payment_id LIMIT $4;

-- name: open_refunds_of_month
-- The refunds in progress of payments whose documents of a month are still to be issued, with what stands on those.
SELECT r.refund_id, p.payment_id, p.order_id, p.partner_id, p.standing_supply + p.standing_vat AS won
FROM refunds r JOIN placed_payments p USING (order_id) LEFT JOIN documents d USING (invoice_id)
WHERE r.state = 'open' AND p.month = $1 AND p.invoice_id IS NOT NULL AND p.standing_supply + p.standing_vat > 0
  AND coalesce(d.state, 'draft') IN ('draft', 'approved', 'issue_failed')
ORDER BY p.partner_id, p.payment_id, r.refund_id;

-- name: open_month_close
-- Notes that a month is closed; the first close gives the instant.
INSERT INTO months (month, closed_at) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- name: partners_to_close
-- The next partners, in order, with a document of a month that is still to be issued. Once a month was told as closed, each
-- of those has a row.
SELECT partner_id FROM (
    (SELECT DISTINCT partner_id FROM documents
     WHERE month = $1 AND partner_id > $2 AND state IN ('draft', 'approved', 'issue_failed') ORDER BY partner_id LIMIT $3)
    UNION
    (SELECT DISTINCT partner_id FROM all_documents
     WHERE month = $1 AND partner_id > $2 AND state = 'draft'
       AND NOT EXISTS (SELECT FROM months WHERE month = $1 AND sequence > 0 AND NOT unreported) ORDER BY partner_id LIMIT $3)
) AS found ORDER BY partner_id LIMIT $3;

-- name: partners_to_approve
-- The next partners with a document of a month that is to be approved, of these business numbers where they are given.
SELECT DISTINCT partner_id FROM all_documents
WHERE month = $1 AND partner_id > $2 AND state IN ('draft', 'issue_failed')
  AND ($4::text[] IS NULL OR business_number = ANY($4::text[]))
ORDER BY partner_id LIMIT $3;

-- name: partners_to_issue
-- The next partners with an approved document of a business whose issue has begun, of these business numbers where they
-- are given.
SELECT DISTINCT d.partner_id FROM documents d JOIN closed_businesses USING (month, business_number)
WHERE d.month = $1 AND d.partner_id > $2 AND d.state = 'approved'
  AND ($4::text[] IS NULL OR d.business_number = ANY($4::text[]))
ORDER BY d.partner_id LIMIT $3;

-- name: approve_whole
-- Who approves a business anew ($3, at $5, for the reason $4) approves all of it as it is now, also what somebody else has
-- approved and what is unchanged since: of the month $1, and of these numbers where they are given. Not what is with the
-- tax agent, which was issued on the earlier approval.
WITH earlier AS (
    SELECT a.document_key FROM approvals a JOIN documents d USING (invoice_id, business_number)
    WHERE a.month = $1 AND a.actor <> $3 AND d.state = 'approved'
      AND a.business_number IN (
          SELECT business_number FROM approvals
          WHERE month = $1 AND actor = $3 AND approved_at = $5
            AND ($2::text[] IS NULL OR business_number = ANY($2::text[])))
      AND NOT EXISTS (
          SELECT FROM submissions s
          WHERE s.invoice_id = a.invoice_id AND s.state IN ('to_send', 'sending', 'sent'))
    ORDER BY a.document_key FOR UPDATE OF a
)
UPDATE approvals a SET actor = $3, reason = $4, approved_at = $5 FROM earlier e WHERE a.document_key = e.document_key;

-- name: begin_issue
-- Begins the issue of the businesses of a month all of whose documents are approved or have failed: what comes for them
-- later is late. Those of which somebody has approved a document and is to issue it too ($4) are left, where four eyes
-- are asked for ($6), and so are those with a refund in progress, unless they are to be issued whole ($7).
WITH refunded AS (
    SELECT p.invoice_id FROM refunds f JOIN placed_payments p USING (order_id)
    WHERE f.state = 'open' AND p.month = $1 AND p.standing_supply + p.standing_vat > 0
), ready AS (
    SELECT business_number FROM all_documents
    WHERE month = $1 AND ($2::text[] IS NULL OR business_number = ANY($2::text[]))
      AND state IN ('draft', 'approved', 'issue_failed')
    GROUP BY business_number
    HAVING bool_or(state = 'approved') AND NOT bool_or(state = 'draft')
       AND ($7 OR NOT bool_or(invoice_id IN (SELECT invoice_id FROM refunded)))
)
INSERT INTO closed_businesses (month, business_number, closed_at, actor, reason)
SELECT $1, r.business_number, $3, $4, $5 FROM ready r
WHERE NOT ($6 AND EXISTS (
        SELECT FROM approvals a JOIN documents d USING (invoice_id)
        WHERE a.month = $1 AND a.business_number = r.business_number AND a.actor = $4 AND d.state = 'approved'))
ON CONFLICT DO NOTHING;

-- name: left_of_month
-- The businesses of a month, of these numbers where they are given, that are still to be issued, and why: a refund is in
-- progress, a document is not approved, or is with the tax agent, or whoever issues ($3) has approved it and four eyes are asked for ($4).
WITH refunded AS (
    SELECT p.invoice_id FROM refunds f JOIN placed_payments p USING (order_id)
    WHERE f.state = 'open' AND p.month = $1 AND p.standing_supply + p.standing_vat > 0
)
SELECT d.business_number, bool_or(d.state = 'draft') AS is_draft, sum(d.total)::bigint AS won,
       CASE WHEN bool_or(d.invoice_id IN (SELECT invoice_id FROM refunded)) THEN 'open_refund'
            WHEN bool_or(d.state = 'draft') THEN 'not_approved'
            WHEN bool_or(s.doubt <> '') THEN 'answer_doubted'
            WHEN bool_or(s.state IN ('to_send', 'sending', 'sent')) THEN 'with_agent'
            WHEN $4 AND bool_or(a.actor = $3) THEN 'four_eyes'
            ELSE 'not_issued' END AS reason
FROM all_documents d
LEFT JOIN approvals a USING (invoice_id, business_number)
LEFT JOIN submissions s ON s.invoice_id = d.invoice_id AND d.state = 'approved'
WHERE d.month = $1 AND ($2::text[] IS NULL OR d.business_number = ANY($2::text[])) AND d.state IN ('draft', 'approved')
GROUP BY d.business_number ORDER BY d.business_number;

-- name: stand_of_month
-- What of a month, and of these business numbers where they are given, is drafted, approved, failed and issued.
SELECT count(*) FILTER (WHERE state = 'draft') AS drafts,
       count(*) FILTER (WHERE state = 'approved') AS approved,
       coalesce(sum(total) FILTER (WHERE state = 'approved'), 0)::bigint AS approved_total,
       count(*) FILTER (WHERE state = 'issue_failed') AS issue_failed,
       count(*) FILTER (WHERE state = 'issued') AS issued,
       coalesce(sum(total) FILTER (WHERE state = 'issued'), 0)::bigint AS issued_total
FROM all_documents
WHERE month = $1 AND modification IS NULL AND ($2::text[] IS NULL OR business_number = ANY($2::text[]));

-- name: states_of_businesses
-- How many businesses of a month are in which state, with their documents and won, issued or to be.
SELECT state, count(*) AS count, sum(drafts + approved + failed + to_transmit)::bigint AS documents,
       sum(to_issue + total)::bigint AS won
FROM standing_businesses WHERE month = $1 GROUP BY state;

-- name: sums_of_month
-- What is issued of a month, what has failed and what is to be approved or issued, and all that it declares, modified documents
-- and corrections too; that may be negative.
SELECT coalesce(sum(issued), 0)::bigint AS documents, coalesce(sum(payments), 0)::bigint AS payments,
       coalesce(sum(supply), 0)::bigint AS supply, coalesce(sum(vat), 0)::bigint AS vat,
       coalesce(sum(supply + vat), 0)::bigint AS total, coalesce(sum(merged), 0)::bigint AS merged,
       coalesce(sum(failed), 0)::bigint AS issue_failed, coalesce(sum(drafts + approved), 0)::bigint AS drafts,
       coalesce(sum(to_transmit), 0)::bigint AS declared, coalesce(sum(declared_supply), 0)::bigint AS declared_supply,
       coalesce(sum(declared_vat), 0)::bigint AS declared_vat
FROM standing_months WHERE month = $1;

-- name: worth_of_business
-- The documents of a business in a month as far as their penalty goes.
SELECT d.month, d.supply, d.issued_at, d.modification, t.at AS transmitted_at
FROM (
    SELECT * FROM all_documents WHERE document_key > $1 || '-' || $2 || '-' AND document_key < $1 || '-' || $2 || '.'
    UNION ALL
    SELECT * FROM all_documents WHERE month = $1 AND business_number = $2 AND document_key IS NULL
) AS d LEFT JOIN transmissions t ON t.invoice_id = d.invoice_id AND t.state = 'transmitted'
WHERE d.state IN ('draft', 'approved', 'issue_failed', 'issued');

-- name: steps_of_document
-- Who approved a document, gave it to the tax agent, began its issue, and what the tax authority made of it.
SELECT 'approved' AS step, approved_at AS at, actor, reason, document_key AS note FROM approvals WHERE invoice_id = $1
UNION ALL
SELECT 'issue_begun', c.closed_at, c.actor, c.reason, ''
FROM documents d JOIN closed_businesses c USING (month, business_number)
WHERE d.invoice_id = $1 AND d.kind <> 'modified'
UNION ALL
SELECT state, at, actor, '', coalesce(approval_number, detail) FROM transmissions WHERE invoice_id = $1
ORDER BY at, step;

-- name: submission_of_document
-- Where a document is with the tax agent.
SELECT state, actor, next_at, tries, approval_number, detail FROM submissions WHERE invoice_id = $1;

-- name: page_of_businesses
-- How the next businesses of a month, after one of them, stand; in one state where it is given.
SELECT * FROM standing_businesses
WHERE month = $1 AND business_number > $2 AND ($3::text IS NULL OR state = $3)
  -- Of all of them no more is added up than what the page has.
  AND ($3::text IS NOT NULL
       OR business_number <= (SELECT max(business_number)
                              FROM (SELECT DISTINCT business_number FROM standing_months
                                    WHERE month = $1 AND business_number > $2 ORDER BY business_number LIMIT $4) AS of_page))
ORDER BY business_number LIMIT $4;

-- name: business_of_month
-- How one business stands in a month, as the view business_months says it: Postgres would read the whole month for that.
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
    FROM (
        SELECT * FROM all_documents WHERE document_key > $1 || '-' || $2 || '-' AND document_key < $1 || '-' || $2 || '.'
        UNION ALL
        SELECT * FROM all_documents WHERE month = $1 AND business_number = $2 AND document_key IS NULL
    ) AS d
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

-- name: approval_told_at
-- When the last approval of a document of a business ($2) in a month, of these partners, was told; null where that is forgotten.
SELECT max(e.recorded_at) FROM outbox e JOIN approvals a ON a.month = $1 AND a.business_number = $2
WHERE e.key = ANY($3::text[]) AND e.type = 'invoice.approved.v1' AND e.subject = a.invoice_id::text;

-- name: payments_since
-- The payments of a business ($2) in a month whose drafts were made behind an id, of these partners, the oldest first.
SELECT p.payment_id, p.order_id, p.partner_id, p.draft_id, (p.supply + p.vat)::bigint AS won
FROM placed_payments p LEFT JOIN documents d USING (invoice_id)
WHERE p.month = $1 AND coalesce(d.business_number, p.business_number) = $2 AND p.partner_id = ANY($3::text[])
  AND p.draft_id > $4
ORDER BY p.draft_id LIMIT $5;

-- name: returned_since
-- What went back of the payments of a business ($2) in a month, of these partners, and was heard of since an instant, the
-- oldest first.
SELECT p.payment_id, p.order_id, p.partner_id, r.refund_id, r.cancellation, -(r.supply + r.vat)::bigint AS won, r.heard_at
FROM placed_payments p LEFT JOIN documents d USING (invoice_id) JOIN refunds r ON r.order_id = p.order_id
WHERE p.month = $1 AND coalesce(d.business_number, p.business_number) = $2 AND p.partner_id = ANY($3::text[])
  AND p.draft_id IS NOT NULL AND r.heard_at > $4
ORDER BY r.heard_at, r.refund_id LIMIT $5;

-- name: documents_of_keys
-- The documents of a month with these keys, or that a tax agent has under them, those that corrections made too.
SELECT * FROM documents
WHERE month = $1 AND (document_key = ANY($2::text[])
                      OR invoice_id IN (SELECT invoice_id FROM submissions WHERE month = $1 AND document_key = ANY($2::text[])))
ORDER BY invoice_id;

-- name: read_transmissions
-- What the tax authority made of these documents, and of others under these approval numbers.
SELECT * FROM transmissions WHERE invoice_id = ANY($1::uuid[]) OR approval_number = ANY($2::text[]);

-- name: finish_month
-- Notes that a month is closed, when nothing of it is left to be approved or issued; it is then to be reported.
INSERT INTO months (month, closed_at, unreported)
SELECT $1, $2, true
WHERE EXISTS (SELECT FROM all_documents WHERE month = $1)
  AND NOT EXISTS (SELECT FROM all_documents WHERE month = $1 AND state IN ('draft', 'approved'))
ON CONFLICT DO NOTHING;

-- name: partners_of_month
-- The next partners, in order, with a payment of a month.
SELECT DISTINCT partner_id FROM payments WHERE month = $1 AND partner_id > $2 ORDER BY partner_id LIMIT $3;

-- name: spread_out
-- Until the commit: room for the rows of a set, so that they are joined in memory; plans of their own, since tables grow by a
-- set at a time and a plan that was made while they were empty reads all of them for each row; and indexes are read in their
-- order, so that payments come partner by partner.
SELECT set_config('work_mem', '64MB', true), set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('enable_bitmapscan', 'off', true);

-- name: close_plain
-- Merges, and issues or approves, by set what needs no second thought, and says so in the outbox: the month of partners all
-- of whose documents are drafts that are what their payments say, under the number that they always told, with a right check
-- digit, without a refund in progress or a wish for some payments only. It decides as decisions/eligibility.py,
-- merging.py and issuing.py do. Answers with the partners that it leaves with something to do. $3: the instant of the close,
-- as it is written ($4); $5: the last day of the month and $6 the due day; $7: whether that is late and $8 with how many percent; $9: the cut-off; $10: whether documents are only approved, by $11 for the reason
-- $12; $13: the cause; $14: the partitions of the partners' keys. It locks the outbox as lock_outbox does.
WITH written AS MATERIALIZED (
    SELECT invoice_id, partner_id AS owner, state FROM documents WHERE month = $1 AND partner_id = ANY($2::text[])
    UNION ALL
    SELECT unnest(members), partner_id, 'in_merge' FROM documents
    WHERE month = $1 AND partner_id = ANY($2::text[]) AND members IS NOT NULL AND state <> 'undone'
), summed AS MATERIALIZED (
    SELECT partner_id, business_number, count(*) AS count, count(*) FILTER (WHERE is_draft) AS drafts,
           count(*) FILTER (WHERE is_fit) AS payments, coalesce(bool_or(is_odd), false) AS is_odd,
           sum(standing_supply) FILTER (WHERE is_fit) AS supply, sum(standing_vat) FILTER (WHERE is_fit) AS vat,
           array_agg(draft_id ORDER BY paid_at, order_id) FILTER (WHERE is_fit) AS members,
           -- Ids have no control character, so one may stand between them.
           string_agg(payment_id, E'\x1f' ORDER BY paid_at, order_id) FILTER (WHERE is_fit) AS payment_ids,
           string_agg(order_id, E'\x1f' ORDER BY paid_at, order_id) FILTER (WHERE is_fit) AS order_ids
    FROM (
        SELECT *, is_unwritten AND standing > 0 AS is_draft,
               is_unwritten AND standing > 0 AND issued_units + returned_units >= serial_units AS is_fit,
               CASE WHEN is_unwritten THEN invoice_id <> draft_id OR open_refunds > 0 AND standing > 0
                    ELSE draft_id IN (SELECT w.invoice_id FROM written w WHERE w.state NOT IN ('void', 'issued')) END AS is_odd
        FROM (
            -- No join: so the rows come by partner, as the index has them, and are sorted within each.
            SELECT *, draft_id IS NOT NULL AND draft_id NOT IN (SELECT w.invoice_id FROM written w) AS is_unwritten,
                   standing_supply + standing_vat AS standing
            FROM payments WHERE month = $1 AND partner_id = ANY($2::text[])
        ) AS each
    ) AS judged
    GROUP BY partner_id, business_number
), left_alone AS (
    SELECT partner_id FROM summed
    GROUP BY partner_id
    HAVING sum(count) > 1000 OR bool_or(is_odd) OR bool_or(drafts > 0 AND NOT CASE
        WHEN business_number ~ '^[0-9]{10}$' THEN
            (SELECT (sum(digit * weight) + substr(business_number, 9, 1)::integer * 5 / 10
                     + substr(business_number, 10, 1)::integer) % 10 = 0
             FROM unnest(string_to_array(left(business_number, 9), NULL)::integer[], '{1,3,7,1,3,7,1,3,5}'::integer[])
                  AS n (digit, weight))
        ELSE false END)
    UNION
    SELECT s.partner_id FROM summed s JOIN partner_numbers n USING (partner_id) WHERE n.business_number <> s.business_number
    UNION
    SELECT partner_id FROM merge_requests
    WHERE partner_id = ANY($2::text[]) AND month = $1 AND standing AND (undo OR payment_ids IS NOT NULL)
), plain AS MATERIALIZED (
    SELECT * FROM summed WHERE partner_id NOT IN (SELECT partner_id FROM left_alone)
), preferring AS (
    SELECT partner_id FROM partners n
    WHERE partner_id = ANY($2::text[]) AND CASE
        WHEN json_array_length(preferences) = 0 THEN always_merge AND always_merge_since < $9
        ELSE (SELECT (each ->> 1)::boolean FROM json_array_elements(n.preferences) WITH ORDINALITY AS told (each, place)
              WHERE (each ->> 0)::timestamptz < $9 ORDER BY place DESC LIMIT 1) END
), asking AS (
    SELECT DISTINCT ON (partner_id, business_number) partner_id, business_number, request_id FROM merge_requests
    WHERE partner_id = ANY($2::text[]) AND month = $1 AND standing AND NOT undo
    ORDER BY partner_id, business_number, requested_at DESC, request_id DESC
), wished AS MATERIALIZED (
    SELECT s.*, CASE WHEN n.partner_id IS NOT NULL THEN 'always_merge:' || $1 ELSE a.request_id END AS request_id
    FROM plain s
    LEFT JOIN preferring n USING (partner_id) LEFT JOIN asking a USING (partner_id, business_number)
    WHERE drafts > 0
), merges AS MATERIALIZED (
    SELECT uuidv7() AS invoice_id, w.* FROM wished w WHERE request_id IS NOT NULL AND payments > 1
), apart AS (
    -- Partners of whom not every payment is in one merge.
    SELECT partner_id FROM plain LEFT JOIN merges m USING (partner_id, business_number)
    GROUP BY partner_id HAVING bool_or(plain.drafts > 0) AND (count(*) > 1 OR bool_or(m.payments IS DISTINCT FROM plain.count))
    UNION
    SELECT e.partner_id FROM merge_explanations e JOIN merges m USING (partner_id, request_id)
), verdicts AS MATERIALIZED (
    SELECT p.partner_id, p.business_number, p.order_id, p.payment_id, p.draft_id, p.paid_at, p.standing_supply, p.standing_vat,
           w.state IS NULL AND p.draft_id IS NOT NULL AND p.standing_supply + p.standing_vat > 0 AS is_draft, s.request_id,
           CASE WHEN fit.reason = 'merged' THEN m.invoice_id END AS merge_id, fit.reason
    FROM payments p
    LEFT JOIN written w ON w.invoice_id = p.draft_id
    LEFT JOIN wished s USING (partner_id, business_number)
    LEFT JOIN merges m USING (partner_id, business_number)
    CROSS JOIN LATERAL (SELECT CASE
        WHEN p.draft_id IS NULL THEN CASE p.evidence WHEN 'tax_invoice' THEN 'nothing_left' ELSE 'not_a_tax_invoice' END
        WHEN w.state = 'issued' THEN 'already_issued'
        WHEN p.standing_supply + p.standing_vat = 0 THEN 'nothing_left'
        WHEN p.issued_units + p.returned_units < p.serial_units THEN 'units_not_issued'
        ELSE 'merged' END AS reason) AS fit
    WHERE p.month = $1 AND p.partner_id = ANY(ARRAY(SELECT partner_id FROM apart))
), explained AS (
    INSERT INTO merge_explanations (partner_id, request_id, payment_id, order_id, reason)
    SELECT v.partner_id, v.request_id, v.payment_id, v.order_id,
           CASE WHEN v.reason = 'merged' AND v.merge_id IS NULL THEN 'only_one_payment' ELSE v.reason END
    FROM verdicts v LEFT JOIN merge_explanations e USING (partner_id, request_id, payment_id)
    WHERE v.request_id IS NOT NULL AND v.reason <> 'already_issued' AND (v.merge_id IS NULL OR e.payment_id IS NOT NULL)
    ON CONFLICT (partner_id, request_id, payment_id) DO UPDATE SET order_id = EXCLUDED.order_id, reason = EXCLUDED.reason
), issuing AS (
    SELECT draft_id AS invoice_id, business_number, (paid_at AT TIME ZONE INTERVAL '+09:00')::date AS written_date
    FROM verdicts WHERE is_draft AND merge_id IS NULL
    UNION ALL
    SELECT invoice_id, business_number, $5::date FROM merges
), counted AS (
    INSERT INTO document_counters AS c (business_number, last_number)
    SELECT business_number, count(*) FROM issuing GROUP BY business_number ORDER BY business_number
    ON CONFLICT (business_number) DO UPDATE SET last_number = c.last_number + EXCLUDED.last_number
    RETURNING business_number, last_number
), numbered AS (
    SELECT i.invoice_id, i.business_number, i.written_date,
           c.last_number - count(*) OVER (PARTITION BY i.business_number)
           + row_number() OVER (PARTITION BY i.business_number ORDER BY i.invoice_id) AS number
    FROM issuing i JOIN counted c USING (business_number)
), made AS MATERIALIZED (
    SELECT n.invoice_id, n.business_number, n.written_date, m.invoice_id IS NOT NULL AS is_merge,
           format('%s-%s-%s', $1, n.business_number, lpad(number::text, greatest(6, length(number::text)), '0')) AS key,
           coalesce(m.partner_id, v.partner_id) AS partner_id, coalesce(m.supply, v.standing_supply)::bigint AS supply,
           coalesce(m.vat, v.standing_vat)::bigint AS vat, coalesce(m.payments, 1) AS payments, m.members, m.request_id,
           coalesce(m.payment_ids, v.payment_id) AS payment_ids, coalesce(m.order_ids, v.order_id) AS order_ids
    FROM numbered n
    LEFT JOIN merges m USING (invoice_id)
    LEFT JOIN verdicts v ON v.draft_id = n.invoice_id
), frozen AS (
    INSERT INTO approvals (document_key, invoice_id, business_number, month, supply, vat, payments, actor, reason, approved_at)
    SELECT key, invoice_id, business_number, $1, supply, vat, payments, $11::text, $12::text, $3::timestamptz FROM made
    WHERE $10::boolean
), kept AS (
    INSERT INTO documents (invoice_id, kind, state, partner_id, business_number, month, supply, vat, sequence, late, payments,
                           document_key, written_date, issued_at, members, merged_for)
    SELECT invoice_id, CASE WHEN is_merge THEN 'merged' ELSE 'payment' END, CASE WHEN $10 THEN 'approved' ELSE 'issued' END,
           partner_id, business_number, $1, supply, vat, 2, $7::boolean AND NOT $10, payments, key, written_date,
           CASE WHEN $10 THEN NULL ELSE $3 END, members, CASE WHEN is_merge THEN request_id END
    FROM made
), left_out AS (
    SELECT m.invoice_id, string_agg(format('{"payment_id":%s,"reason":"%s"}', to_json(v.payment_id), CASE
               WHEN v.business_number <> m.business_number THEN 'other_business' ELSE v.reason END),
               ',' ORDER BY v.paid_at, v.order_id) AS excluded
    FROM merges m JOIN verdicts v ON v.partner_id = m.partner_id AND v.merge_id IS DISTINCT FROM m.invoice_id
    GROUP BY m.invoice_id
), said AS MATERIALIZED (
    SELECT m.*, o.excluded,
           concat('["', replace(replace(replace(m.payment_ids, '\', '\\'), '"', '\"'), E'\x1f', '","'), '"]') AS payment_list,
           concat('["', replace(replace(replace(m.order_ids, '\', '\\'), '"', '\"'), E'\x1f', '","'), '"]') AS order_list,
           format('{"invoice_id":"%s","partner_id":%s,"business_number":"%s","month":"%s",', m.invoice_id,
                  to_json(m.partner_id), m.business_number, $1) AS head,
           format('"supply":%s,"vat":%s,"total":%s,"written_date":"%s"', supply, vat, supply + vat, written_date) AS won
    FROM made m LEFT JOIN left_out o USING (invoice_id)
), events AS MATERIALIZED (
    SELECT 1 AS turn, partner_id, business_number, invoice_id, 'invoice.merged.v1' AS type, 1 AS sequence,
           convert_to(concat(head, won, ',"due_on":"', $6::date, '","payment_ids":', payment_list, ',"excluded":[', excluded, ']}'),
                      'UTF8') AS data
    FROM said WHERE is_merge
    UNION ALL
    SELECT 2, partner_id, NULL, invoice_id, CASE WHEN $10 THEN 'invoice.approved.v1' ELSE 'invoice.issued.v1' END, 2,
           convert_to(CASE WHEN $10
               THEN concat(head, '"document_key":"', key, '",', won, ',"due_on":"', $6, '","approved_at":"', $4::text,
                           '","payment_ids":', payment_list, '}')
               ELSE concat(head, '"document_key":"', key, '",', won, ',"issued_at":"', $4, '","late":', $7::text,
                           CASE WHEN $7 THEN format(',"estimated_penalty":%s', supply * $8::bigint / 100) END,
                           ',"payment_ids":', payment_list, ',"order_ids":', order_list, '}') END, 'UTF8')
    FROM said
), noted AS (
    UPDATE months SET unreported = true WHERE month = $1 AND NOT unreported AND EXISTS (SELECT FROM made) RETURNING month
), outbox_lock AS MATERIALIZED (
    -- It is the last lock, as everywhere, and held no sooner than the events are made: so it asks how many these are.
    SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.outbox', 0 * (e.count + n.count)))
    FROM (SELECT count(*) FROM events) AS e, (SELECT count(*) FROM noted) AS n
), told AS (
    INSERT INTO outbox (topic, partition, key, type, subject, sequence, time, correlation, causation, data, event_id)
    SELECT 'invoices.events', a.partition, e.partner_id, e.type, e.invoice_id::text, e.sequence, $4, e.partner_id, $13::text,
           e.data, uuidv7()
    FROM outbox_lock CROSS JOIN events e
    JOIN unnest($2::text[], $14::integer[]) AS a (partner_id, partition) USING (partner_id)
    ORDER BY e.turn, CASE e.turn WHEN 1 THEN e.partner_id END, e.business_number, e.invoice_id
)
SELECT ARRAY(SELECT partner_id FROM summed JOIN left_alone USING (partner_id) GROUP BY partner_id
             HAVING bool_or(drafts > 0)
                 OR partner_id IN (SELECT w.owner FROM written w WHERE w.state IN ('draft', 'approved', 'issue_failed'))
             ORDER BY partner_id);

-- name: issue_frozen
-- Issues by set what of these partners was approved, of businesses whose issue has begun: without a refund in progress, and
-- not what $7 has approved where four eyes are asked for ($6), nor what is with a tax agent. $4: the instant, $5: whether that is late. As issue_approved
-- of decisions/closing.py does.
WITH refunded AS (
    SELECT invoice_id FROM placed_payments
    WHERE month = $1 AND partner_id = ANY($2::text[]) AND open_refunds > 0 AND standing_supply + standing_vat > 0
), issued AS (
    UPDATE documents d SET state = 'issued', sequence = d.sequence + 1, late = $5, issued_at = $4
    FROM closed_businesses c, approvals a
    WHERE d.month = $1 AND d.partner_id = ANY($2::text[]) AND d.state = 'approved' AND d.payments <= 1000 AND d.also = '{}'
      AND ($3::text[] IS NULL OR d.business_number = ANY($3::text[]))
      AND c.month = d.month AND c.business_number = d.business_number
      AND a.invoice_id = d.invoice_id AND a.business_number = d.business_number AND NOT ($6 AND a.actor = $7)
      AND d.invoice_id NOT IN (SELECT invoice_id FROM refunded)
      AND NOT EXISTS (SELECT FROM submissions s
                      WHERE s.invoice_id = d.invoice_id AND s.state IN ('to_send', 'sending', 'sent'))
    RETURNING d.invoice_id
)
SELECT count(*) FROM issued;

-- name: tell_issued
-- Says what a set has issued in this transaction, in the order in which it is decided. $2: partners and $3: the partitions of
-- their keys, $4: the time, $5: the cause, $6: the penalty of what is late, in percent.
WITH asked AS (
    SELECT * FROM unnest($2::text[], $3::integer[]) AS asked (partner_id, partition)
), written AS (
    SELECT d.* FROM documents d
    WHERE d.month = $1 AND d.partner_id = ANY($2::text[]) AND d.state = 'issued' AND d.xmin = pg_current_xact_id()::xid
), listed AS (
    SELECT p.invoice_id, to_json(array_agg(p.payment_id ORDER BY p.paid_at, p.order_id)) AS payment_ids,
           to_json(array_agg(p.order_id ORDER BY p.paid_at, p.order_id)) AS order_ids
    FROM placed_payments p JOIN written w USING (invoice_id)
    WHERE p.month = $1 AND p.partner_id = ANY($2::text[]) AND p.standing_supply + p.standing_vat > 0
    GROUP BY p.invoice_id
)
INSERT INTO outbox (topic, partition, key, type, subject, sequence, time, correlation, causation, data, event_id)
SELECT 'invoices.events', a.partition, w.partner_id, 'invoice.issued.v1', w.invoice_id::text, w.sequence, $4, w.partner_id, $5,
       convert_to(format('{"invoice_id":"%s","partner_id":%s,"business_number":"%s","month":"%s","document_key":"%s",'
                         '"supply":%s,"vat":%s,"total":%s,"written_date":"%s","issued_at":"%s","late":%s,%s"payment_ids":%s,'
                         '"order_ids":%s}', w.invoice_id, to_json(w.partner_id), w.business_number, w.month, w.document_key,
                         w.supply, w.vat, w.total, w.written_date, $4::text, w.late::text,
                         CASE WHEN w.late THEN format('"estimated_penalty":%s,', w.supply * $6::bigint / 100) ELSE '' END,
                         l.payment_ids, l.order_ids), 'UTF8'), uuidv7()
FROM written w JOIN listed l USING (invoice_id) JOIN asked a USING (partner_id)
ORDER BY w.invoice_id;

-- name: note_unreported
-- Remembers that month.closed has something to report, in case the close is interrupted before it or leaves drafts.
UPDATE months SET unreported = true WHERE month = $1 AND NOT unreported;

-- name: lock_month
-- The close of a month, locked while it is reported.
SELECT closed_at, sequence, unreported FROM months WHERE month = $1 FOR UPDATE;

-- name: summarise_month
-- What is issued and what has failed of a month; of its drafts those that have a row, which are all once it is closed.
SELECT count(*) FILTER (WHERE state = 'issued')::bigint AS documents,
       coalesce(sum(payments) FILTER (WHERE state = 'issued'), 0)::bigint AS payments,
       coalesce(sum(supply) FILTER (WHERE state = 'issued'), 0)::bigint AS supply,
       coalesce(sum(vat) FILTER (WHERE state = 'issued'), 0)::bigint AS vat,
       coalesce(sum(total) FILTER (WHERE state = 'issued'), 0)::bigint AS total,
       count(*) FILTER (WHERE state = 'issued' AND kind = 'merged')::bigint AS merged,
       count(*) FILTER (WHERE state = 'issue_failed')::bigint AS issue_failed,
       count(*) FILTER (WHERE state IN ('draft', 'approved'))::bigint AS drafts
FROM documents WHERE month = $1 AND modification IS NULL;

-- name: state_of_month
-- Whether a month was closed, and whether that was told.
SELECT closed_at, sequence, unreported FROM months WHERE month = $1;

-- name: closes_of_month
-- Who closed a month, or issued of it, when and why, oldest first; refused ones are left out.
SELECT recorded_at, actor, reason, split_part(action, '.', 2) AS step FROM audit_log
WHERE target = $1 AND action IN ('month.close', 'month.issue') AND result = 'begun' ORDER BY id;

-- name: late_of_month
-- The documents of a month that were issued after its due day, by their day of issue in Seoul, with what 1 % and 2 %
-- of them are.
SELECT (issued_at AT TIME ZONE INTERVAL '+09:00')::date AS day, count(*) AS count,
       sum(supply / 100)::bigint AS one_percent, sum(supply * 2 / 100)::bigint AS two_percent
FROM documents WHERE month = $1 AND late AND state = 'issued' AND supply > 0 GROUP BY 1 ORDER BY 1;

-- name: parked_for_month
-- Events that wait here and may be about a month, by why; those about a payment of another month are not.
SELECT kind, count(*) AS count, (array_agg(id ORDER BY id))[1:20] AS members
FROM parked k WHERE NOT EXISTS (SELECT FROM payments p WHERE p.order_id = k.key AND p.month <> $1)
GROUP BY kind ORDER BY kind;

-- name: mark_reported
-- Notes that month.closed reported everything; returns its number.
UPDATE months SET sequence = sequence + 1, unreported = false WHERE month = $1 RETURNING sequence;

-- name: sum_evidence
-- Where all won stand, by kind of evidence: for the auditor. What was issued twice stands on the other document.
SELECT (SELECT coalesce(sum(total), 0)::bigint FROM documents WHERE state = 'issued')
       + (SELECT coalesce(sum(p.standing_supply + p.standing_vat), 0)::bigint
          FROM payments p JOIN documents d USING (invoice_id) WHERE d.modification = 'issued_twice') AS invoiced,
       (SELECT coalesce(sum(total), 0)::bigint FROM all_documents WHERE state IN ('draft', 'approved', 'issue_failed')) AS uninvoiced,
       coalesce(sum(standing_supply + standing_vat) FILTER (WHERE evidence = 'card_slip'), 0)::bigint AS card_slip,
       coalesce(sum(standing_supply + standing_vat) FILTER (WHERE evidence = 'cash_receipt'), 0)::bigint AS cash_receipt
FROM payments;

-- name: todo_unissuable
-- Documents that could not be issued because of their business number, by month, since the close of it.
SELECT d.month, count(*) AS count, sum(d.total)::bigint AS won, min(m.closed_at) AS since,
       (array_agg(d.partner_id ORDER BY d.partner_id))[1:20] AS members
FROM documents d LEFT JOIN months m USING (month)
WHERE d.state = 'issue_failed'
  AND NOT EXISTS (SELECT FROM submissions s WHERE s.invoice_id = d.invoice_id AND s.state = 'failed')
GROUP BY d.month;

-- name: todo_refused
-- Documents that the tax agent did not issue, by why, month and whether what was missing is told, since it said so.
SELECT s.detail AS why, d.month,
       s.detail = 'incomplete' AND EXISTS (SELECT FROM business_registrations r
                                           WHERE r.partner_id = d.partner_id AND r.business_number = d.business_number
                                             AND r.told_at > s.next_at) AS is_told, count(*) AS count, sum(d.total)::bigint AS won, min(s.next_at) AS since,
       (array_agg(d.partner_id ORDER BY s.next_at, d.partner_id))[1:20] AS members
FROM documents d JOIN submissions s USING (invoice_id)
WHERE d.state = 'issue_failed' AND s.state = 'failed' GROUP BY 1, 2, 3;

-- name: todo_issue_again
-- Documents of closed months that the tax agent refused and that are mended since, by month and whether they are approved.
SELECT d.month, d.state = 'approved' AS is_approved, count(*) AS count, sum(d.total)::bigint AS won, min(s.next_at) AS since,
       (array_agg(d.partner_id ORDER BY s.next_at, d.partner_id))[1:20] AS members
FROM documents d JOIN submissions s USING (invoice_id) JOIN months m ON m.month = d.month AND NOT m.unreported
WHERE d.state IN ('draft', 'approved') AND s.state = 'failed' GROUP BY 1, 2;

-- name: todo_not_transmitted
-- Issued documents that the tax authority did not take, by why, month, Seoul day of issue, and whether a tax agent was given
-- them. Those that it is given again are left out.
SELECT t.detail AS why, d.month, (d.issued_at AT TIME ZONE INTERVAL '+09:00')::date AS day, s.invoice_id IS NOT NULL AS by_agent,
       count(*) AS count, sum(d.total)::bigint AS won, min(t.at) AS since,
       (array_agg(d.document_key ORDER BY t.at, d.document_key))[1:20] AS members,
       (array_agg(d.partner_id ORDER BY t.at, d.document_key))[1] AS partner
FROM transmissions t JOIN documents d USING (invoice_id) LEFT JOIN submissions s USING (invoice_id)
WHERE t.state = 'transmission_failed' AND coalesce(s.state, 'failed') = 'failed' GROUP BY 1, 2, 3, 4;

-- name: todo_doubted
-- Documents about which the tax agent says what cannot be, by why and month, since it says so.
SELECT s.doubt AS why, s.month, count(*) AS count, sum(d.total)::bigint AS won, min(s.doubted_at) AS since,
       (array_agg(d.document_key ORDER BY s.doubted_at, d.document_key))[1:20] AS members
FROM submissions s JOIN documents d USING (invoice_id) WHERE s.doubt <> '' GROUP BY 1, 2;

-- name: todo_open_months
-- Months before this one that have drafts and were not closed, found month by month in the index.
WITH RECURSIVE known (month) AS (
    (SELECT month FROM payments ORDER BY month LIMIT 1)
    UNION ALL
    SELECT (SELECT p.month FROM payments p WHERE p.month > known.month ORDER BY p.month LIMIT 1)
    FROM known WHERE known.month < $1
)
SELECT d.month, count(*) AS count, sum(d.total)::bigint AS won
FROM known JOIN all_documents d USING (month)
WHERE known.month < $1 AND d.state IN ('draft', 'approved') AND NOT EXISTS (SELECT FROM months m WHERE m.month = known.month)
GROUP BY d.month;

-- name: todo_interrupted
-- Months whose close was interrupted before it was told, goes on, or left drafts because of a refund.
SELECT month, closed_at FROM months WHERE unreported;

-- name: todo_unanswered
-- Issued documents that a tax agent is given and of whose transmission it has said nothing, by month and Seoul day of issue.
SELECT d.month, (d.issued_at AT TIME ZONE INTERVAL '+09:00')::date AS day, count(*) AS count, sum(d.total)::bigint AS won,
       min(d.issued_at) AS since, (array_agg(d.document_key ORDER BY d.issued_at, d.document_key))[1:20] AS members
FROM submissions s JOIN documents d USING (invoice_id) LEFT JOIN transmissions t USING (invoice_id)
WHERE s.state IN ('to_send', 'sending', 'sent', 'issued') AND s.doubt = '' AND d.state = 'issued'
  AND t.state IS DISTINCT FROM 'transmitted'
GROUP BY 1, 2;

-- name: todo_late
-- Documents issued after their due day since an instant, by month and Seoul day of issue, with what 1 % and 2 % of them are.
SELECT month, (issued_at AT TIME ZONE INTERVAL '+09:00')::date AS day, count(*) AS count,
       sum(supply / 100)::bigint AS one_percent, sum(supply * 2 / 100)::bigint AS two_percent, min(issued_at) AS since,
       (array_agg(document_key ORDER BY issued_at, document_key))[1:20] AS members
FROM documents WHERE late AND state = 'issued' AND supply > 0 AND issued_at >= $1 GROUP BY 1, 2;

-- name: todo_corrections
-- Issued documents that name the wrong business, by month.
SELECT c.month, count(*) AS count, sum(d.total)::bigint AS won, min(c.proposed_at) AS since,
       (array_agg(d.document_key ORDER BY c.proposed_at, d.document_key))[1:20] AS members
FROM corrections c JOIN documents d USING (invoice_id)
WHERE c.state = 'proposed' GROUP BY c.month;

-- name: find_document_by_key
-- The document of this key.
SELECT invoice_id, document_key, kind, state, month, total, partner_id FROM documents WHERE document_key = $1;

-- name: find_document_by_id
-- The document of this id.
SELECT invoice_id, document_key, kind, state, month, total, partner_id FROM all_documents WHERE invoice_id = $1;

-- name: find_partner
-- The partner of this id, as its last change says.
SELECT partner_id, name, business_number FROM partners WHERE partner_id = $1;

-- name: find_partner_by_name
-- Partners whose last change told a name that begins like this.
SELECT partner_id, name, business_number FROM partners
WHERE lower(name) COLLATE "C" >= lower($1::text) AND lower(name) COLLATE "C" < lower($1::text) || U&'\+10FFFF'
ORDER BY lower(name) COLLATE "C", partner_id LIMIT 20;

-- name: find_partner_by_email
-- Partners whose last change told this address.
SELECT partner_id, name, business_number FROM partners
WHERE lower(invoice_email) COLLATE "C" = lower($1::text) ORDER BY partner_id LIMIT 20;

-- name: find_partner_by_number
-- Partners that paid under this business number.
SELECT DISTINCT ON (p.partner_id) p.partner_id, n.name, p.business_number
FROM payments p LEFT JOIN partners n USING (partner_id)
WHERE p.business_number = $1 ORDER BY p.partner_id LIMIT 20;

-- name: find_wish_to_merge
-- Wishes to merge, or not to, of this id.
SELECT request_id, partner_id, undo, month FROM merge_requests WHERE request_id = $1 ORDER BY partner_id LIMIT 20;

-- name: evidence_owner
-- Whose order it is.
SELECT partner_id FROM payments WHERE order_id = $1;

-- name: evidence_standing
-- Which evidence the won of the payment stand on.
SELECT payment_id, evidence, month, business_number, supply, vat, refunded_supply + refunded_vat AS refunded_total,
       standing_supply + standing_vat AS standing, invoice_id, paid_at
FROM placed_payments WHERE order_id = $1;

-- name: evidence_documents
-- The document that the payment stands on, those that were corrected before it, what took them back, and the modified
-- ones of its refunds.
WITH RECURSIVE stood (invoice_id) AS (
    SELECT invoice_id FROM placed_payments WHERE order_id = $1 AND invoice_id IS NOT NULL
    UNION
    SELECT d.original_id FROM documents d JOIN stood USING (invoice_id) WHERE d.original_id IS NOT NULL
), of_order AS (
    SELECT invoice_id FROM stood
    UNION
    SELECT d.invoice_id FROM documents d JOIN stood s ON d.original_id = s.invoice_id WHERE d.refund_id IS NULL
    UNION
    SELECT d.invoice_id FROM documents d JOIN stood s ON d.original_id = s.invoice_id
    WHERE d.kind = 'modified' AND d.refund_id IS NOT NULL AND d.order_id = $1
)
SELECT d.invoice_id, d.document_key, d.kind, d.state, d.month, d.business_number, d.supply, d.vat, d.total, d.payments,
       d.written_date, d.issued_at, d.late, d.modification, d.original_id, d.refund_id
FROM of_order o
CROSS JOIN LATERAL (SELECT * FROM all_documents a WHERE a.invoice_id = o.invoice_id OFFSET 0) AS d -- one by one
ORDER BY d.issued_at NULLS LAST, d.document_key, d.invoice_id;

-- name: evidence_corrections
-- What is proposed or decided about the documents that the payment stands on, or stood on.
WITH RECURSIVE stood (invoice_id) AS (
    SELECT invoice_id FROM placed_payments WHERE order_id = $1 AND invoice_id IS NOT NULL
    UNION
    SELECT d.original_id FROM documents d JOIN stood USING (invoice_id) WHERE d.original_id IS NOT NULL
)
SELECT c.invoice_id, d.document_key, c.business_number AS right_number, c.state, c.proposed_at, c.reason, c.actor, c.decided_at
FROM stood JOIN corrections c USING (invoice_id) JOIN documents d USING (invoice_id) ORDER BY c.proposed_at, c.invoice_id;

-- name: evidence_partner_events
-- Events with the partner's key that name the payment: merged, issued and modified documents.
SELECT o.event_id, o.topic, o.type, o.subject, o.time, o.causation, o.data, o.recorded_at
FROM payments p JOIN outbox o ON o.key = p.partner_id
WHERE p.order_id = $1 AND o.topic = 'invoices.events'
  AND position(convert_to(to_json(p.payment_id)::text, 'UTF8') IN o.data) > 0
ORDER BY o.id;

-- name: document_of_key
-- An issued document by its key, to be shown, with the key and the written date of the one that it modifies, and the
-- approval numbers of both.
SELECT d.*, t.approval_number, o.document_key AS original_key, o.written_date AS original_written,
       ot.approval_number AS original_approval
FROM documents d
LEFT JOIN transmissions t USING (invoice_id)
LEFT JOIN documents o ON o.invoice_id = d.original_id
LEFT JOIN transmissions ot ON ot.invoice_id = d.original_id
WHERE d.document_key = $1 AND d.state = 'issued';

-- name: documents_to_send
-- The issued documents of a month that the tax authority has not taken, as document_of_key has them, with why it did not
-- take them where it said so.
SELECT d.*, t.approval_number, t.detail, o.document_key AS original_key, o.written_date AS original_written,
       ot.approval_number AS original_approval
FROM documents d
LEFT JOIN transmissions t USING (invoice_id)
LEFT JOIN documents o ON o.invoice_id = d.original_id
LEFT JOIN transmissions ot ON ot.invoice_id = d.original_id
WHERE d.month = $1 AND d.state = 'issued' AND t.state IS DISTINCT FROM 'transmitted'
ORDER BY d.document_key;

-- name: documents_awaited
-- The issued documents of a month and these business numbers, with their approval numbers where they have one.
SELECT d.document_key, d.written_date, d.business_number AS buyer_number, d.total, t.approval_number
FROM documents d LEFT JOIN transmissions t USING (invoice_id)
WHERE d.month = $1 AND d.business_number = ANY($2::text[]) AND d.state = 'issued';

-- name: count_waiting
-- How many issued documents of a month have no approval number.
SELECT count(*) FROM documents d LEFT JOIN transmissions t USING (invoice_id)
WHERE d.month = $1 AND d.state = 'issued' AND t.approval_number IS NULL;

-- name: page_of_documents
-- Documents of a month after one of them, by partner and id; in a state, where it is given. Those that have a row come in the
-- order of their index; the payments whose drafts have none are read as far as these go.
WITH written AS MATERIALIZED (
    SELECT invoice_id, kind, state, partner_id, business_number, month, supply, vat, total, late, document_key, written_date,
           issued_at, modification, original_id
    FROM documents
    WHERE month = $1 AND (partner_id, invoice_id) > ($2, $3) AND ($4::text IS NULL OR state = $4)
    ORDER BY partner_id, invoice_id LIMIT $5
), unwritten AS (
    SELECT p.draft_id, 'payment', u.state, p.partner_id, p.business_number, p.month, p.standing_supply, p.standing_vat,
           p.standing_supply + p.standing_vat, false, NULL, NULL::date, NULL::timestamptz, NULL, NULL::uuid
    FROM placed_payments p
    CROSS JOIN LATERAL (SELECT CASE
        WHEN p.invoice_id <> p.draft_id THEN 'in_merge'
        WHEN p.standing_supply + p.standing_vat = 0 THEN 'void'
        ELSE 'draft' END AS state) AS u
    WHERE p.month = $1 AND p.draft_id IS NOT NULL AND (p.partner_id, p.draft_id) > ($2, $3)
      AND p.partner_id <= (SELECT CASE WHEN count(*) = $5 THEN max(partner_id) ELSE U&'\+10FFFF' END FROM written)
      AND NOT EXISTS (SELECT FROM documents d WHERE d.invoice_id = p.draft_id)
      AND ($4::text IS NULL OR u.state = $4)
    ORDER BY p.partner_id, p.draft_id LIMIT $5
)
SELECT d.*, o.document_key AS original_key
FROM (SELECT * FROM written UNION ALL SELECT * FROM unwritten ORDER BY partner_id, invoice_id LIMIT $5) AS d
LEFT JOIN documents o ON o.invoice_id = d.original_id
ORDER BY d.partner_id, d.invoice_id;

-- name: page_of_business
-- The same of one business number. A key begins with the month and the number; what has no key has an index of its own.
SELECT d.*, o.document_key AS original_key
FROM (
    SELECT * FROM all_documents WHERE document_key > $1 || '-' || $6 || '-' AND document_key < $1 || '-' || $6 || '.'
    UNION ALL
    SELECT * FROM all_documents WHERE month = $1 AND business_number = $6 AND document_key IS NULL
) AS d LEFT JOIN documents o ON o.invoice_id = d.original_id
WHERE (d.partner_id, d.invoice_id) > ($2, $3) AND ($4::text IS NULL OR d.state = $4)
  AND ($7::text IS NULL OR d.partner_id = $7 OR $7 = ANY(d.also))
ORDER BY d.partner_id, d.invoice_id LIMIT $5;

-- name: page_of_partner
-- The same of one partner, with those on which its payments are beside others of its business.
SELECT d.*, o.document_key AS original_key
FROM (
    SELECT * FROM all_documents WHERE month = $1 AND partner_id = $6
    UNION ALL
    SELECT * FROM all_documents WHERE month = $1 AND partner_id <> $6 AND also <> '{}' AND $6 = ANY(also)
) AS d LEFT JOIN documents o ON o.invoice_id = d.original_id
WHERE (d.partner_id, d.invoice_id) > ($2, $3) AND ($4::text IS NULL OR d.state = $4)
ORDER BY d.partner_id, d.invoice_id LIMIT $5;

-- name: rows_of_month
-- The issued and the open documents of a month as an accountant reads them, of one partner where it is given.
SELECT d.*, t.approval_number, o.document_key AS original_key
FROM all_documents d
LEFT JOIN transmissions t USING (invoice_id)
LEFT JOIN documents o ON o.invoice_id = d.original_id
WHERE d.month = $1 AND d.state IN ('draft', 'approved', 'issue_failed', 'issued')
  AND ($2::text IS NULL OR d.partner_id = $2 OR d.also <> '{}' AND $2 = ANY(d.also))
ORDER BY d.partner_id, d.document_key, d.invoice_id;

-- name: month_by_evidence
-- What a month comes to by evidence, of one partner where it is given: issued documents, and payments without one.
SELECT CASE WHEN modification IS NULL THEN 'tax_invoice' ELSE 'modified' END AS evidence, count(*) AS documents,
       sum(supply)::bigint AS supply, sum(vat)::bigint AS vat
FROM documents
WHERE month = $1 AND state = 'issued'
  AND ($2::text IS NULL OR partner_id = $2 OR also <> '{}' AND $2 = ANY(also)) GROUP BY 1
UNION ALL
SELECT evidence, count(*), sum(standing_supply)::bigint, sum(standing_vat)::bigint
FROM payments
WHERE month = $1 AND evidence IN ('card_slip', 'cash_receipt') AND ($2::text IS NULL OR partner_id = $2) GROUP BY 1
ORDER BY 1 DESC;

-- name: document_named
-- A document by its key, or by its id.
SELECT * FROM all_documents WHERE document_key = $1 OR invoice_id = $2;

-- name: payment_of_order
-- The payment of an order.
SELECT * FROM placed_payments WHERE order_id = $1;

-- name: related_documents
-- The document that one is about ($2), those that modify, replace or take it back, and the merged document that the
-- payment of a draft stands on, where it is in a merge ($3).
SELECT * FROM documents WHERE invoice_id = $2
UNION ALL
SELECT * FROM documents WHERE original_id = $1 AND kind = 'modified' AND refund_id IS NOT NULL
UNION ALL
SELECT * FROM documents WHERE original_id = $1 AND refund_id IS NULL
UNION ALL
SELECT m.* FROM placed_payments p JOIN documents m USING (invoice_id) WHERE p.draft_id = $1 AND $3
ORDER BY issued_at NULLS LAST, document_key, invoice_id;

-- name: documents_of_order
-- All documents that the payment of an order stands on or stood on, by corrections up and down, and the modified ones of
-- its refunds with what took those back.
WITH RECURSIVE above (invoice_id) AS (
    SELECT invoice_id FROM placed_payments WHERE order_id = $1 AND invoice_id IS NOT NULL
    UNION
    SELECT d.original_id FROM documents d JOIN above USING (invoice_id) WHERE d.original_id IS NOT NULL
), stood AS (
    SELECT invoice_id FROM above
    UNION
    SELECT d.invoice_id FROM documents d JOIN above a ON d.original_id = a.invoice_id WHERE d.refund_id IS NULL
), modified AS (
    SELECT d.invoice_id FROM documents d JOIN stood s ON d.original_id = s.invoice_id
    WHERE d.kind = 'modified' AND d.refund_id IS NOT NULL AND d.order_id = $1
)
SELECT d.* FROM (
    SELECT invoice_id FROM stood
    UNION
    SELECT invoice_id FROM modified
    UNION
    SELECT d.invoice_id FROM documents d JOIN modified m ON d.original_id = m.invoice_id
    WHERE d.kind = 'modified' AND d.refund_id IS NOT NULL
) AS found
CROSS JOIN LATERAL (SELECT * FROM all_documents a WHERE a.invoice_id = found.invoice_id OFFSET 0) AS d -- one by one
ORDER BY issued_at NULLS LAST, document_key, invoice_id;

-- name: is_any_issued_twice
-- Whether one of these documents takes another one back that was issued twice.
SELECT EXISTS (SELECT FROM documents WHERE invoice_id = ANY($1::uuid[]) AND modification = 'issued_twice');

-- name: events_of_documents
-- Events that have the key of a partner and are about these documents, and those with the keys of these orders.
SELECT event_id, type, key, subject, time, causation AS cause FROM outbox
WHERE topic = 'invoices.events' AND (key = $1 AND subject = ANY($2::text[]) OR key = ANY($3::text[]))
ORDER BY id;

-- name: horizon_of_events
-- Events from before may be forgotten; null while none is.
SELECT horizon FROM retention WHERE forgotten > 0;

-- name: has_left
-- Whether a partner has left, as orders says.
SELECT EXISTS (SELECT FROM withdrawn_partners WHERE partner_id = $1);

-- name: claim_keeping
-- Waits until nobody else keeps months.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || '.keeping', 0));

-- name: spread_changes
-- Marks each month of partners all of whose months have changed.
WITH gone AS (
    DELETE FROM changed_months WHERE month = '' RETURNING partner_id
)
INSERT INTO changed_months SELECT DISTINCT p.month, g.partner_id FROM gone g JOIN payments p USING (partner_id);

-- name: months_to_keep
-- Months of which something has changed since it was kept, each found in the index behind the one before.
WITH RECURSIVE found (month) AS (
    (SELECT month FROM changed_months ORDER BY month LIMIT 1)
    UNION ALL
    SELECT (SELECT c.month FROM changed_months c WHERE c.month > found.month ORDER BY c.month LIMIT 1)
    FROM found WHERE found.month IS NOT NULL
)
SELECT month FROM found WHERE month IS NOT NULL;

-- name: changed_partners
-- The first partners, in order, whose month has changed since it was kept, or was kept by another cut-off than $2.
SELECT partner_id FROM (
    SELECT partner_id FROM changed_months WHERE month IN ($1, '')
    UNION
    SELECT partner_id FROM kept_previews WHERE month = $1 AND cut_off <> $2
) AS found ORDER BY partner_id LIMIT $3;

-- name: take_changes
-- Takes the marks of these partners' month away.
DELETE FROM changed_months WHERE month = $1 AND partner_id = ANY($2::text[]);

-- name: drop_kept_stands
-- Keeps nothing of how the documents of these partners' month stand.
DELETE FROM kept_stands WHERE month = $1 AND partner_id = ANY($2::text[]);

-- name: drop_kept_previews
-- Keeps nothing of what a close would issue of these partners' month.
DELETE FROM kept_previews WHERE month = $1 AND partner_id = ANY($2::text[]);

-- name: drop_kept_left_out
-- Keeps nothing of what a close would leave out of these partners' month.
DELETE FROM kept_left_out WHERE month = $1 AND partner_id = ANY($2::text[]);

-- name: keep_stands
-- Keeps how the documents of these partners' month stand.
INSERT INTO kept_stands SELECT * FROM partner_stands WHERE month = $1 AND partner_id = ANY($2::text[]);

-- name: keep_plain
-- Keeps what a close would make of these partners' month, where that needs no second thought: every document is the own one of
-- its payment, under the number that they always told, without a wish for some payments only, an undo, or a wish after the
-- cut-off ($3). Documents of a number with a wrong check digit fail. It decides as decisions/preview.py does. Answers with the partners that it leaves
-- with something to do.
WITH written AS MATERIALIZED (
    SELECT invoice_id, partner_id AS owner, state FROM documents WHERE month = $1 AND partner_id = ANY($2::text[])
    UNION ALL
    SELECT unnest(members), partner_id, 'in_merge' FROM documents
    WHERE month = $1 AND partner_id = ANY($2::text[]) AND members IS NOT NULL AND state <> 'undone'
), own AS (
    -- A member of a set's merge may have a row beside.
    SELECT invoice_id, CASE WHEN bool_or(state = 'in_merge') THEN 'in_merge' ELSE min(state) END AS state
    FROM written GROUP BY invoice_id
), wishes AS MATERIALIZED (
    SELECT DISTINCT partner_id, business_number FROM merge_requests
    WHERE partner_id = ANY($2::text[]) AND month = $1 AND standing AND NOT undo
), preferring AS MATERIALIZED (
    SELECT partner_id FROM partners n
    WHERE partner_id = ANY($2::text[]) AND CASE
        WHEN json_array_length(preferences) = 0 THEN always_merge AND always_merge_since < $3
        ELSE (SELECT (each ->> 1)::boolean FROM json_array_elements(n.preferences) WITH ORDINALITY AS told (each, place)
              WHERE (each ->> 0)::timestamptz < $3 ORDER BY place DESC LIMIT 1) END
), judged AS (
    SELECT partner_id, business_number, standing_supply AS supply, standing, reason,
           reason NOT IN ('already_issued', 'nothing_left', 'not_a_tax_invoice') AS is_draft,
           reason <> 'already_issued' AND draft_id IS NOT NULL
           AND (state IN ('in_merge', 'undone', 'issue_failed') OR invoice_id <> draft_id) AS is_odd
    FROM (
        SELECT *, CASE
                   WHEN draft_id IS NULL THEN CASE evidence WHEN 'tax_invoice' THEN 'nothing_left' ELSE 'not_a_tax_invoice' END
                   WHEN state = 'issued' THEN 'already_issued'
                   WHEN standing = 0 THEN 'nothing_left'
                   WHEN open_refunds > 0 THEN 'open_refund'
                   WHEN issued_units + returned_units < serial_units THEN 'units_not_issued'
                   ELSE 'merged' END AS reason
        FROM (
            SELECT p.*, p.standing_supply + p.standing_vat AS standing, o.state
            FROM payments p LEFT JOIN own o ON o.invoice_id = p.draft_id
            WHERE p.month = $1 AND p.partner_id = ANY($2::text[])
        ) AS placed
    ) AS reasoned
), summed AS MATERIALIZED (
    SELECT partner_id, business_number, count(*) FILTER (WHERE is_draft) AS drafts,
           count(*) FILTER (WHERE reason = 'merged') AS fit, coalesce(bool_or(is_odd), false) AS is_odd,
           sum(supply) FILTER (WHERE is_draft) AS supply, sum(standing) FILTER (WHERE is_draft) AS total,
           sum(supply / 100) FILTER (WHERE is_draft) AS one_percent,
           sum(supply * 2 / 100) FILTER (WHERE is_draft) AS two_percent,
           sum(supply) FILTER (WHERE reason = 'merged') AS fit_supply,
           sum(standing) FILTER (WHERE reason = 'merged') AS fit_total,
           sum(supply / 100) FILTER (WHERE reason = 'merged') AS fit_one_percent,
           sum(supply * 2 / 100) FILTER (WHERE reason = 'merged') AS fit_two_percent,
           count(*) FILTER (WHERE reason = 'nothing_left') AS nothing_left,
           count(*) FILTER (WHERE reason = 'not_a_tax_invoice') AS slips,
           sum(standing) FILTER (WHERE reason = 'not_a_tax_invoice') AS slips_won,
           count(*) FILTER (WHERE reason = 'open_refund') AS refunding,
           sum(standing) FILTER (WHERE reason = 'open_refund') AS refunding_won,
           count(*) FILTER (WHERE reason = 'units_not_issued') AS unissued,
           sum(standing) FILTER (WHERE reason = 'units_not_issued') AS unissued_won
    FROM judged GROUP BY partner_id, business_number
), left_alone AS MATERIALIZED (
    SELECT partner_id FROM summed
    GROUP BY partner_id
    HAVING bool_or(is_odd)
    UNION
    SELECT s.partner_id FROM summed s JOIN partner_numbers n USING (partner_id) WHERE n.business_number <> s.business_number
    UNION
    SELECT partner_id FROM merge_requests
    WHERE partner_id = ANY($2::text[]) AND month = $1
      AND CASE WHEN standing THEN undo OR payment_ids IS NOT NULL ELSE NOT undo AND requested_at >= $3 END
    UNION
    SELECT w.owner FROM written w JOIN submissions s USING (invoice_id) WHERE s.state IN ('to_send', 'sending', 'sent')
), plain AS MATERIALIZED (
    SELECT s.*, is_wished, is_wished AND s.fit > 1 AS is_merge, CASE
        WHEN business_number ~ '^[0-9]{10}$' THEN
            (SELECT (sum(digit * weight) + substr(business_number, 9, 1)::integer * 5 / 10
                     + substr(business_number, 10, 1)::integer) % 10 = 0
             FROM unnest(string_to_array(left(business_number, 9), NULL)::integer[], '{1,3,7,1,3,7,1,3,5}'::integer[])
                  AS n (digit, weight))
        ELSE false END AS is_valid
    FROM summed s
    CROSS JOIN LATERAL (SELECT s.partner_id IN (SELECT partner_id FROM preferring)
                            OR (s.partner_id, s.business_number) IN (SELECT partner_id, business_number FROM wishes)) AS w (is_wished)
    WHERE s.drafts > 0 AND s.partner_id NOT IN (SELECT partner_id FROM left_alone)
), previewed AS (
    INSERT INTO kept_previews (month, partner_id, cut_off, single, merged, failed, failed_total, payments, supply, vat,
                               one_percent, two_percent)
    SELECT $1, partner_id, $3, coalesce(sum(single) FILTER (WHERE is_valid), 0), count(*) FILTER (WHERE is_merge AND is_valid),
           coalesce(sum(single + CASE WHEN is_merge THEN 1 ELSE 0 END) FILTER (WHERE NOT is_valid), 0),
           coalesce(sum(total) FILTER (WHERE NOT is_valid), 0), coalesce(sum(drafts) FILTER (WHERE is_valid), 0),
           coalesce(sum(supply) FILTER (WHERE is_valid), 0), coalesce(sum(total - supply) FILTER (WHERE is_valid), 0),
           coalesce(sum(CASE WHEN is_merge THEN one_percent - fit_one_percent + div(fit_supply, 100) ELSE one_percent END)
                    FILTER (WHERE is_valid), 0),
           coalesce(sum(CASE WHEN is_merge THEN two_percent - fit_two_percent + div(fit_supply * 2, 100) ELSE two_percent END)
                    FILTER (WHERE is_valid), 0)
    FROM plain CROSS JOIN LATERAL (SELECT CASE WHEN is_merge THEN drafts - fit ELSE drafts END) AS apart (single)
    GROUP BY partner_id
), left_out AS (
    INSERT INTO kept_left_out (month, reason, partner_id, count, won)
    SELECT $1, reason, partner_id, sum(n), coalesce(sum(won), 0)
    FROM plain CROSS JOIN LATERAL (VALUES
        ('nothing_left', nothing_left, 0), ('not_a_tax_invoice', slips, slips_won), ('open_refund', refunding, refunding_won),
        ('units_not_issued', unissued, unissued_won), ('only_one_payment', CASE fit WHEN 1 THEN 1 ELSE 0 END, fit_total)
    ) AS of_reason (reason, n, won)
    WHERE is_wished AND n > 0 GROUP BY partner_id, reason
)
SELECT ARRAY(
    SELECT partner_id FROM left_alone WHERE partner_id IN (SELECT partner_id FROM summed WHERE drafts > 0)
    UNION
    SELECT owner FROM written WHERE state IN ('draft', 'approved', 'issue_failed')
      AND owner NOT IN (SELECT partner_id FROM plain)
    ORDER BY partner_id);

-- name: kept_sums
-- What a close would issue of a month by what is kept, of partners whose month has not changed since.
SELECT coalesce(sum(single), 0)::bigint AS single, coalesce(sum(merged), 0)::bigint AS merged,
       coalesce(sum(failed), 0)::bigint AS failed, coalesce(sum(failed_total), 0)::bigint AS failed_total,
       coalesce(sum(payments), 0)::bigint AS payments, coalesce(sum(supply), 0)::bigint AS supply,
       coalesce(sum(vat), 0)::bigint AS vat, coalesce(sum(one_percent), 0)::bigint AS one_percent,
       coalesce(sum(two_percent), 0)::bigint AS two_percent,
       (array_agg(partner_id ORDER BY partner_id) FILTER (WHERE merged > 0))[1:$3] AS merging,
       (array_agg(partner_id ORDER BY partner_id) FILTER (WHERE failed > 0))[1:$3] AS failing
FROM kept_previews k
WHERE month = $1 AND cut_off = $2
  AND NOT EXISTS (SELECT FROM changed_months c WHERE c.month IN ($1, '') AND c.partner_id = k.partner_id);

-- name: kept_left_out
-- What a close would leave out of a month by what is kept, by why, of partners whose month has not changed since; with the first
-- of those, who have $3 such payments together.
SELECT reason, sum(count)::bigint AS count, sum(won)::bigint AS won,
       array_agg(partner_id ORDER BY partner_id) FILTER (WHERE before < $3) AS partners
FROM (
    SELECT l.*, sum(l.count) OVER (PARTITION BY reason ORDER BY partner_id) - l.count AS before
    FROM kept_left_out l JOIN kept_previews k USING (month, partner_id)
    WHERE l.month = $1 AND k.cut_off = $2
      AND NOT EXISTS (SELECT FROM changed_months c WHERE c.month IN ($1, '') AND c.partner_id = l.partner_id)
) AS counted
GROUP BY reason;

-- name: put_kept_preview
-- Keeps what a close would make of a partner's month.
INSERT INTO kept_previews (month, partner_id, cut_off, single, merged, failed, failed_total, payments, supply, vat, one_percent,
                           two_percent)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: put_kept_left_out
-- Keeps what a close would leave out of a partner's month for a reason.
INSERT INTO kept_left_out (month, reason, partner_id, count, won) VALUES ($1, $2, $3, $4, $5);
