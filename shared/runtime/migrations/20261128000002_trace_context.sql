-- migrate:up

-- The W3C trace context that an event hands on from the record that caused it; most come without one.
ALTER TABLE outbox ADD COLUMN traceparent text;

-- migrate:down
ALTER TABLE outbox DROP COLUMN traceparent;
