-- migrate:up
SET LOCAL lock_timeout = '10s';

-- A document is approved before it is issued: it has its key and its date then, and stays as it is.
ALTER TABLE documents DROP CONSTRAINT documents_state_check, DROP CONSTRAINT documents_check,
    DROP CONSTRAINT documents_check1, DROP CONSTRAINT documents_check9;
-- beside 0.2.0: documents_state, since it has every state that 0.2.0 writes, and one more
-- beside 0.2.0: documents_key, since it asks more than the check that it replaces of approved documents alone: 0.2.0 writes none
-- beside 0.2.0: documents_date, since the same is true of it
-- beside 0.2.0: documents_won, since the same is true of it
ALTER TABLE documents
    ADD CONSTRAINT documents_state CHECK (
        state IN ('draft', 'in_merge', 'undone', 'void', 'approved', 'issue_failed', 'issued')),
    ADD CONSTRAINT documents_key CHECK ((state IN ('approved', 'issued')) = (document_key IS NOT NULL)),
    ADD CONSTRAINT documents_date CHECK ((state IN ('approved', 'issued')) = (written_date IS NOT NULL)),
    ADD CONSTRAINT documents_won
        CHECK (state NOT IN ('draft', 'approved', 'issue_failed', 'issued') OR supply + vat <> 0);

-- An approved merge is still the only one of its business and month. documents_one_open_merge stays for 0.2.0, which uses it.
-- beside 0.2.0: documents_one_unissued_merge, since it refuses more than documents_one_open_merge beside an approved merge only
CREATE UNIQUE INDEX documents_one_unissued_merge ON documents (partner_id, business_number, month)
    WHERE kind = 'merged' AND state IN ('draft', 'approved', 'issue_failed');

-- What is approved stays as it is until it is issued, or is a draft again.
CREATE FUNCTION refuse_change_of_approved_document() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'document % is approved: a change makes it a draft again', OLD.document_key
        USING ERRCODE = 'check_violation';
END $$;
-- beside 0.2.0: approved_documents_stay, since it guards approved documents only, and 0.2.0 approves none
CREATE TRIGGER approved_documents_stay BEFORE UPDATE ON documents
    FOR EACH ROW WHEN (OLD.state = 'approved' AND NEW.state IN ('approved', 'issued')
        AND (OLD.supply, OLD.vat, OLD.business_number, OLD.document_key, OLD.written_date)
            IS DISTINCT FROM (NEW.supply, NEW.vat, NEW.business_number, NEW.document_key, NEW.written_date))
    EXECUTE FUNCTION refuse_change_of_approved_document();

-- What each document was when it was approved: by whom, when and why. A document keeps the key it was given here.
CREATE TABLE approvals (
    document_key    text COLLATE "C" PRIMARY KEY,
    invoice_id      uuid NOT NULL,
    business_number text COLLATE "C" NOT NULL,
    month           text COLLATE "C" NOT NULL CHECK (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    supply          bigint NOT NULL,
    vat             bigint NOT NULL,
    payments        integer NOT NULL CHECK (payments >= 1),
    actor           text NOT NULL,
    reason          text NOT NULL,
    approved_at     timestamptz NOT NULL,
    UNIQUE (invoice_id, business_number)
) WITH (fillfactor = 80);
CREATE INDEX approvals_month ON approvals (month, business_number);

-- Months of businesses whose issue has begun: what comes for them from then on is late.
CREATE TABLE closed_businesses (
    month           text COLLATE "C" NOT NULL CHECK (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    business_number text COLLATE "C" NOT NULL,
    closed_at       timestamptz NOT NULL,
    actor           text NOT NULL,
    reason          text NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (month, business_number)
);

-- What the tax authority made of issued documents, which never change themselves.
CREATE TABLE transmissions (
    invoice_id      uuid PRIMARY KEY,
    month           text COLLATE "C" NOT NULL CHECK (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    state           text NOT NULL CHECK (state IN ('transmitted', 'transmission_failed')),
    sequence        bigint NOT NULL CHECK (sequence >= 2),
    actor           text NOT NULL,
    at              timestamptz NOT NULL,
    approval_number text COLLATE "C" UNIQUE CHECK (approval_number ~ '^[0-9]{8}[0-9A-Za-z]{16}$'),
    detail          text NOT NULL,
    CHECK ((state = 'transmitted') = (approval_number IS NOT NULL)),
    CHECK ((state = 'transmission_failed') = (detail <> ''))
) WITH (fillfactor = 80);
CREATE INDEX transmissions_month ON transmissions (month);
CREATE INDEX transmissions_failed ON transmissions (month) WHERE state = 'transmission_failed';

-- migrate:down
DROP TABLE transmissions, closed_businesses, approvals;
DROP TRIGGER approved_documents_stay ON documents;
DROP FUNCTION refuse_change_of_approved_document();
UPDATE documents SET state = 'draft', document_key = NULL, written_date = NULL WHERE state = 'approved';
DROP INDEX documents_one_unissued_merge;
ALTER TABLE documents DROP CONSTRAINT documents_state, DROP CONSTRAINT documents_key, DROP CONSTRAINT documents_date,
    DROP CONSTRAINT documents_won;
ALTER TABLE documents
    ADD CONSTRAINT documents_state_check CHECK (state IN ('draft', 'in_merge', 'undone', 'void', 'issue_failed', 'issued')),
    ADD CONSTRAINT documents_check CHECK ((state = 'issued') = (document_key IS NOT NULL)),
    ADD CONSTRAINT documents_check1 CHECK ((state = 'issued') = (written_date IS NOT NULL)),
    ADD CONSTRAINT documents_check9 CHECK (state NOT IN ('draft', 'issue_failed', 'issued') OR supply + vat <> 0);
