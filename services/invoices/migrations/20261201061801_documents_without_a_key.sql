-- migrate:up
SET LOCAL lock_timeout = '10s';

-- The documents of a business in a month: those with a key are found by it, since it begins with the month and the number. The
-- few rows without one are here. A close writes rows that have their keys, so this costs it nothing.
CREATE INDEX documents_keyless ON documents (month, business_number) WHERE document_key IS NULL;

-- migrate:down
DROP INDEX documents_keyless;
