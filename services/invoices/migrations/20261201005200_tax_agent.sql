-- migrate:up
SET LOCAL lock_timeout = '10s';

-- What the tax agent was given, and how far it is. `sending`: a call was begun, and nobody knows what became of it until
-- the agent was asked. `sent`: the agent has it. `issued`: it has an approval number, and its transmission is to come.
-- `next_at`: when it is looked at again, `tries` times so far, or when it ended. `is_of_all`: its month is closed with its last answer.
CREATE TABLE submissions (
    invoice_id      uuid PRIMARY KEY,
    document_key    text COLLATE "C" NOT NULL,
    month           text COLLATE "C" NOT NULL CHECK (month ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    state           text NOT NULL CHECK (state IN ('to_send', 'sending', 'sent', 'issued', 'transmitted', 'failed')),
    actor           text NOT NULL,
    reason          text NOT NULL,
    is_of_all       boolean NOT NULL,
    next_at         timestamptz NOT NULL,
    tries           integer NOT NULL CHECK (tries >= 0),
    approval_number text COLLATE "C" CHECK (approval_number ~ '^[0-9]{8}[0-9A-Za-z]{16}$'),
    detail          text NOT NULL,
    CHECK (state NOT IN ('issued', 'transmitted') OR approval_number IS NOT NULL),
    CHECK ((state = 'failed') = (detail <> ''))
) WITH (fillfactor = 70);
CREATE INDEX submissions_open ON submissions (next_at) WHERE state IN ('to_send', 'sending', 'sent', 'issued');
CREATE INDEX submissions_month ON submissions (month);
CREATE INDEX submissions_failed ON submissions (month) WHERE state = 'failed';

-- An approved document that is with the agent stays as it is until the agent has answered.
CREATE FUNCTION refuse_change_of_submitted_document() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM submissions
               WHERE invoice_id = OLD.invoice_id AND state IN ('to_send', 'sending', 'sent')) THEN
        RAISE EXCEPTION 'document % is with the tax agent: what changes it waits for the answer', OLD.document_key
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
-- beside 0.2.0: submitted_documents_stay, since 0.2.0 has no approved document
CREATE TRIGGER submitted_documents_stay BEFORE UPDATE ON documents
    FOR EACH ROW WHEN (OLD.state = 'approved' AND NEW.state NOT IN ('approved', 'issued', 'issue_failed'))
    EXECUTE FUNCTION refuse_change_of_submitted_document();

-- migrate:down
DROP TRIGGER submitted_documents_stay ON documents;
DROP FUNCTION refuse_change_of_submitted_document();
DROP TABLE submissions;
