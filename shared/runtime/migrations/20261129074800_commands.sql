-- migrate:up

-- What a command was answered, sealed: who repeats it with its Idempotency-Key gets the same again. Empty for events
-- of upstream, whose answers are events.
ALTER TABLE inbox ADD COLUMN answer bytea;

-- What people changed: who, when, what, why, what it was before and after. Nothing here is ever changed or removed.
-- `id` is the cause of the events that followed.
CREATE TABLE audit_log (
    id          uuid PRIMARY KEY,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    actor       text NOT NULL CHECK (actor <> ''),
    action      text NOT NULL CHECK (action <> ''),
    target      text NOT NULL,
    reason      text NOT NULL DEFAULT '',
    before      jsonb,
    after       jsonb,
    result      text NOT NULL CHECK (result <> ''),
    request     text NOT NULL DEFAULT ''
);
CREATE INDEX audit_log_target ON audit_log (target, id);
CREATE INDEX audit_log_actor ON audit_log (actor, id);

CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is only added to' USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER audit_log_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Finds what was refused of an event, for a sender that has lost the answer.
CREATE INDEX dead_letters_event ON dead_letters (source, event_id);

-- migrate:down
DROP INDEX dead_letters_event;
DROP TABLE audit_log;
DROP FUNCTION refuse_change();
ALTER TABLE inbox DROP COLUMN answer;
