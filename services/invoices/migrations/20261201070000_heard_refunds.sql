-- migrate:up
SET LOCAL lock_timeout = '10s';

-- When what went back was heard of, to be told of a business that has drifted since its approval. Null before release 0.3.0.
ALTER TABLE refunds ADD COLUMN heard_at timestamptz;

-- migrate:down
SET LOCAL lock_timeout = '10s';

ALTER TABLE refunds DROP COLUMN heard_at;
