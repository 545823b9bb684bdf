-- migrate:up

-- Since when each change of a person has its row in the audit log, also where an event told of it. Services of the
-- version before run while this is applied, and for a while after it; a schema that is new has none.
ALTER TABLE retention ADD COLUMN audited_since timestamptz NOT NULL DEFAULT now();
UPDATE retention SET audited_since = now() + interval '1 day' WHERE EXISTS (SELECT FROM inbox);

-- The story of an order tells what people did about it: a target begins with its key.
CREATE INDEX audit_log_key ON audit_log (split_part(target, ' ', 1));

-- migrate:down
DROP INDEX audit_log_key;
ALTER TABLE retention DROP COLUMN audited_since;
