-- migrate:up

-- Finds what was refused of an order or a partner by its key: nothing is ever deleted there, and people look for it.
CREATE INDEX dead_letters_key ON dead_letters (key, id);
CREATE INDEX dead_letters_again_key ON dead_letters_again (key, id);

-- migrate:down
DROP INDEX dead_letters_again_key;
DROP INDEX dead_letters_key;
