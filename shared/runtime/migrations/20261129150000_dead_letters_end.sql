-- migrate:up

-- How a dead letter ends, beside a replay. `resolved`: nothing is left to do, as somebody says, or as a later event
-- says that makes it good. `edited`: somebody sent it right, as the event `edited_as`, whose record is kept sealed.
-- `request` and `request_key` name what it asks for where its document says so, `event_time` is the time of its event.
ALTER TABLE dead_letters
    ADD COLUMN closed_at timestamptz,
    ADD COLUMN closed_by text,
    ADD COLUMN close_reason text,
    ADD COLUMN edited_as uuid,
    ADD COLUMN edited_record bytea,
    ADD COLUMN request_key text COLLATE "C",
    ADD COLUMN request bytea CHECK (octet_length(request) = 16),
    ADD COLUMN event_time timestamptz,
    DROP CONSTRAINT dead_letters_state_check,
    ADD CONSTRAINT dead_letters_state_check CHECK (state IN ('open', 'replayed', 'resolved', 'edited')),
    ADD CHECK ((state IN ('resolved', 'edited')) = (closed_at IS NOT NULL)),
    ADD CHECK ((state IN ('resolved', 'edited')) = (closed_by IS NOT NULL)),
    ADD CHECK ((state IN ('resolved', 'edited')) = (close_reason IS NOT NULL)),
    ADD CHECK ((state = 'edited') = (edited_as IS NOT NULL)),
    ADD CHECK ((state = 'edited') = (edited_record IS NOT NULL)),
    ADD CHECK ((request IS NULL) = (request_key IS NULL));

-- Every batch asks what is open with its keys; few letters are.
CREATE INDEX dead_letters_request ON dead_letters (request_key, id) WHERE state = 'open';

-- migrate:down
DROP INDEX dead_letters_request;
ALTER TABLE dead_letters
    DROP COLUMN request,
    DROP COLUMN request_key,
    DROP COLUMN event_time,
    DROP COLUMN edited_as,
    DROP COLUMN edited_record;
UPDATE dead_letters
SET state = 'replayed', replayed_at = closed_at, replayed_by = closed_by, replay_reason = close_reason,
    closed_at = NULL, closed_by = NULL, close_reason = NULL
WHERE state IN ('resolved', 'edited');
ALTER TABLE dead_letters
    DROP COLUMN closed_at,
    DROP COLUMN closed_by,
    DROP COLUMN close_reason,
    DROP CONSTRAINT dead_letters_state_check,
    ADD CONSTRAINT dead_letters_state_check CHECK (state IN ('open', 'replayed'));
