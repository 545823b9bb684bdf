-- migrate:up
SET LOCAL lock_timeout = '10s';

-- What a month comes to is kept by partner, so that it is added up by its partners and not by its payments
-- (docs/decisions/0043-a-month-is-kept-by-partner.md). A partner's month that `changed_months` names has changed since it was
-- kept, and what is kept of it does not count; an empty month stands for all of the partner's.
CREATE TABLE changed_months (
    month      text COLLATE "C" NOT NULL,
    partner_id text COLLATE "C" NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX changed_months_of ON changed_months (month, partner_id);

-- How the documents of a partner stand under a business number. `payments`, `supply`, `vat` and `merged` are of issued documents
-- that modify nothing, `declared_supply` and `declared_vat` of all issued ones.
CREATE TABLE kept_stands (
    month           text COLLATE "C" NOT NULL,
    business_number text COLLATE "C" NOT NULL,
    partner_id      text COLLATE "C" NOT NULL,
    drafts          bigint NOT NULL,
    approved        bigint NOT NULL,
    failed          bigint NOT NULL,
    issued          bigint NOT NULL,
    to_transmit     bigint NOT NULL,
    transmitted     bigint NOT NULL,
    not_transmitted bigint NOT NULL,
    changed         bigint NOT NULL,
    never_approved  bigint NOT NULL,
    gone            bigint NOT NULL,
    to_issue        bigint NOT NULL,
    total           bigint NOT NULL,
    approved_total  bigint,
    approved_by     text,
    approved_why    text,
    approved_at     timestamptz,
    payments        bigint NOT NULL,
    supply          bigint NOT NULL,
    vat             bigint NOT NULL,
    merged          bigint NOT NULL,
    declared_supply bigint NOT NULL,
    declared_vat    bigint NOT NULL,
    PRIMARY KEY (month, business_number, partner_id)
);
CREATE INDEX kept_stands_partner ON kept_stands (month, partner_id);

-- What a close would issue of a partner's month, by the wishes as of the cut-off. Penalties are of all its documents, should they be late.
CREATE TABLE kept_previews (
    month           text COLLATE "C" NOT NULL,
    partner_id      text COLLATE "C" NOT NULL,
    cut_off         timestamptz NOT NULL,
    single          bigint NOT NULL,
    merged          bigint NOT NULL,
    failed          bigint NOT NULL,
    failed_total    bigint NOT NULL,
    payments        bigint NOT NULL,
    supply          bigint NOT NULL,
    vat             bigint NOT NULL,
    one_percent     bigint NOT NULL,
    two_percent     bigint NOT NULL,
    PRIMARY KEY (month, partner_id)
);
-- Its payments that the partner wants merged and that would not be, by why.
CREATE TABLE kept_left_out (
    month           text COLLATE "C" NOT NULL,
    reason          text NOT NULL,
    partner_id      text COLLATE "C" NOT NULL,
    count           bigint NOT NULL,
    won             bigint NOT NULL,
    PRIMARY KEY (month, partner_id, reason)
);
CREATE INDEX kept_left_out_reason ON kept_left_out (month, reason, partner_id);

-- Whoever writes marks what has changed: services of the last release too. A mark is a row that is added, so nobody waits.
CREATE FUNCTION mark_partners() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO changed_months SELECT DISTINCT month, partner_id FROM written;
    RETURN NULL;
END $$;
CREATE FUNCTION mark_partners_of_documents() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO changed_months
    SELECT DISTINCT month, partner FROM written CROSS JOIN LATERAL unnest(partner_id || also) AS partner;
    RETURN NULL;
END $$;
CREATE FUNCTION mark_by_documents() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO changed_months
    SELECT DISTINCT d.month, d.partner_id FROM written JOIN documents d USING (invoice_id);
    RETURN NULL;
END $$;
CREATE FUNCTION mark_all_months() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO changed_months SELECT DISTINCT '', partner_id FROM written;
    RETURN NULL;
END $$;
-- beside 0.2.0: payments_added_are_marked, since it only adds a mark
CREATE TRIGGER payments_added_are_marked AFTER INSERT ON payments REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_partners();
-- beside 0.2.0: payments_changed_are_marked, since it only adds a mark
CREATE TRIGGER payments_changed_are_marked AFTER UPDATE ON payments REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_partners();
-- beside 0.2.0: documents_added_are_marked, since it only adds a mark
CREATE TRIGGER documents_added_are_marked AFTER INSERT ON documents REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_partners_of_documents();
-- beside 0.2.0: documents_changed_are_marked, since it only adds a mark
CREATE TRIGGER documents_changed_are_marked AFTER UPDATE ON documents REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_partners_of_documents();
-- beside 0.2.0: merge_requests_added_are_marked, since it only adds a mark
CREATE TRIGGER merge_requests_added_are_marked AFTER INSERT ON merge_requests REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_partners();
-- beside 0.2.0: merge_requests_changed_are_marked, since it only adds a mark
CREATE TRIGGER merge_requests_changed_are_marked AFTER UPDATE ON merge_requests REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_partners();
-- beside 0.2.0: partners_added_are_marked, since it only adds a mark
CREATE TRIGGER partners_added_are_marked AFTER INSERT ON partners REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_all_months();
-- beside 0.2.0: partners_changed_are_marked, since it only adds a mark
CREATE TRIGGER partners_changed_are_marked AFTER UPDATE ON partners REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_all_months();
-- beside 0.2.0: partner_numbers_added_are_marked, since it only adds a mark
CREATE TRIGGER partner_numbers_added_are_marked AFTER INSERT ON partner_numbers REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_all_months();
-- beside 0.2.0: partner_numbers_changed_are_marked, since it only adds a mark
CREATE TRIGGER partner_numbers_changed_are_marked AFTER UPDATE ON partner_numbers REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_all_months();
-- beside 0.2.0: approvals_added_are_marked, since it only adds a mark
CREATE TRIGGER approvals_added_are_marked AFTER INSERT ON approvals REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_by_documents();
-- beside 0.2.0: approvals_changed_are_marked, since it only adds a mark
CREATE TRIGGER approvals_changed_are_marked AFTER UPDATE ON approvals REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_by_documents();
-- beside 0.2.0: transmissions_added_are_marked, since it only adds a mark
CREATE TRIGGER transmissions_added_are_marked AFTER INSERT ON transmissions REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_by_documents();
-- beside 0.2.0: transmissions_changed_are_marked, since it only adds a mark
CREATE TRIGGER transmissions_changed_are_marked AFTER UPDATE ON transmissions REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_by_documents();
-- beside 0.2.0: submissions_added_are_marked, since it only adds a mark
CREATE TRIGGER submissions_added_are_marked AFTER INSERT ON submissions REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_by_documents();
-- beside 0.2.0: submissions_changed_are_marked, since it only adds a mark
CREATE TRIGGER submissions_changed_are_marked AFTER UPDATE ON submissions REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION mark_by_documents();

-- How the documents of each partner stand in a month under a business number, as they are.
CREATE VIEW partner_stands AS
SELECT d.month, d.business_number, d.partner_id,
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
       max(a.approved_at) AS approved_at,
       coalesce(sum(d.payments) FILTER (WHERE d.state = 'issued' AND d.modification IS NULL), 0)::bigint AS payments,
       coalesce(sum(d.supply) FILTER (WHERE d.state = 'issued' AND d.modification IS NULL), 0)::bigint AS supply,
       coalesce(sum(d.vat) FILTER (WHERE d.state = 'issued' AND d.modification IS NULL), 0)::bigint AS vat,
       count(*) FILTER (WHERE d.state = 'issued' AND d.modification IS NULL AND d.kind = 'merged') AS merged,
       coalesce(sum(d.supply) FILTER (WHERE d.state = 'issued'), 0)::bigint AS declared_supply,
       coalesce(sum(d.vat) FILTER (WHERE d.state = 'issued'), 0)::bigint AS declared_vat
FROM all_documents d
LEFT JOIN approvals a USING (invoice_id, business_number)
LEFT JOIN transmissions t USING (invoice_id)
WHERE d.state IN ('draft', 'approved', 'issue_failed', 'issued') OR a.invoice_id IS NOT NULL
GROUP BY d.month, d.business_number, d.partner_id;

-- The same of one partner. A function, so that whoever asks for what is kept does not plan all of it.
CREATE FUNCTION stands_of_partner(in_month text, of_partner text) RETURNS SETOF partner_stands
LANGUAGE plpgsql STABLE SET search_path FROM CURRENT AS $$
BEGIN
    RETURN QUERY SELECT * FROM partner_stands WHERE month = in_month AND partner_id = of_partner;
END $$;

-- The same of every partner: as it is kept, and of what has changed since as it is.
CREATE VIEW standing_months AS
SELECT k.* FROM kept_stands k
WHERE NOT EXISTS (SELECT FROM changed_months c WHERE c.month = k.month AND c.partner_id = k.partner_id)
UNION ALL
SELECT c.month, s.business_number, s.partner_id, s.drafts, s.approved, s.failed, s.issued, s.to_transmit, s.transmitted,
       s.not_transmitted, s.changed, s.never_approved, s.gone, s.to_issue, s.total, s.approved_total, s.approved_by,
       s.approved_why, s.approved_at, s.payments, s.supply, s.vat, s.merged, s.declared_supply, s.declared_vat
FROM (SELECT DISTINCT month, partner_id FROM changed_months WHERE month <> '') AS c
CROSS JOIN LATERAL stands_of_partner(c.month, c.partner_id) AS s;

-- How each business stands in a month, as business_months says it, of what is kept.
CREATE VIEW standing_businesses AS
WITH counted AS (
    SELECT month, business_number, array_agg(partner_id ORDER BY partner_id) AS partners,
           sum(drafts)::bigint AS drafts, sum(approved)::bigint AS approved, sum(failed)::bigint AS failed,
           sum(issued)::bigint AS issued, sum(to_transmit)::bigint AS to_transmit, sum(transmitted)::bigint AS transmitted,
           sum(not_transmitted)::bigint AS not_transmitted, sum(changed)::bigint AS changed,
           sum(never_approved)::bigint AS never_approved, sum(gone)::bigint AS gone, sum(to_issue)::bigint AS to_issue,
           sum(total)::bigint AS total, sum(approved_total)::bigint AS approved_total,
           (array_agg(approved_by ORDER BY approved_at DESC) FILTER (WHERE approved_by IS NOT NULL))[1] AS approved_by,
           (array_agg(approved_why ORDER BY approved_at DESC) FILTER (WHERE approved_by IS NOT NULL))[1] AS approved_why,
           max(approved_at) AS approved_at
    FROM standing_months GROUP BY month, business_number
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
DROP VIEW standing_businesses, standing_months;
DROP FUNCTION stands_of_partner(text, text);
DROP VIEW partner_stands;
DROP TRIGGER payments_added_are_marked ON payments;
DROP TRIGGER payments_changed_are_marked ON payments;
DROP TRIGGER documents_added_are_marked ON documents;
DROP TRIGGER documents_changed_are_marked ON documents;
DROP TRIGGER merge_requests_added_are_marked ON merge_requests;
DROP TRIGGER merge_requests_changed_are_marked ON merge_requests;
DROP TRIGGER partners_added_are_marked ON partners;
DROP TRIGGER partners_changed_are_marked ON partners;
DROP TRIGGER partner_numbers_added_are_marked ON partner_numbers;
DROP TRIGGER partner_numbers_changed_are_marked ON partner_numbers;
DROP TRIGGER approvals_added_are_marked ON approvals;
DROP TRIGGER approvals_changed_are_marked ON approvals;
DROP TRIGGER transmissions_added_are_marked ON transmissions;
DROP TRIGGER transmissions_changed_are_marked ON transmissions;
DROP TRIGGER submissions_added_are_marked ON submissions;
DROP TRIGGER submissions_changed_are_marked ON submissions;
DROP FUNCTION mark_partners(), mark_partners_of_documents(), mark_by_documents(), mark_all_months();
DROP TABLE kept_left_out, kept_previews, kept_stands, changed_months;
