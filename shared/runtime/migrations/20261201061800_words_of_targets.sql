-- migrate:up
SET LOCAL lock_timeout = '10s';

-- What people did about a thing is found by each word of a target.
CREATE INDEX audit_log_words ON audit_log USING gin (string_to_array(target, ' '));

-- migrate:down
DROP INDEX audit_log_words;
