-- migrate:up
SET LOCAL lock_timeout = '10s';

-- The evidence that a payment was asked for: card slip, cash receipt or tax invoice. Orders of before have none.
ALTER TABLE orders ADD COLUMN evidence text CHECK (evidence IN ('tax_invoice', 'card_slip', 'cash_receipt'));

-- Which payments stand on an issued tax invoice, as invoices tells: a refund of them makes a modified one. The won are
-- those of the whole document. Its payment may not be known here yet, so no order is referred to.
CREATE TABLE tax_invoices (
    payment_id   text COLLATE "C" PRIMARY KEY,
    document_key text COLLATE "C" NOT NULL,
    supply       bigint NOT NULL CHECK (supply >= 0),
    vat          bigint NOT NULL CHECK (vat >= 0),
    written_date date NOT NULL,
    is_duplicate boolean NOT NULL DEFAULT false
);
CREATE INDEX tax_invoices_document ON tax_invoices (document_key);

-- migrate:down
DROP TABLE tax_invoices;
ALTER TABLE orders DROP COLUMN evidence;
