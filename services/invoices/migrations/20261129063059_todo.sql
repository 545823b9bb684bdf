-- migrate:up

-- Late documents are few, and are listed until their penalty is paid.
SET LOCAL lock_timeout = '10s';
CREATE INDEX documents_late ON documents (issued_at) WHERE late AND state = 'issued';

-- migrate:down
DROP INDEX documents_late;
