-- migrate:up

-- An order that costs nothing has no evidence and no document, whatever evidence it asked for. The rule that each
-- payment on a tax invoice has its document had no name of its own.
ALTER TABLE payments DROP CONSTRAINT payments_check6, DROP CONSTRAINT payments_check7;
ALTER TABLE payments
    ADD CONSTRAINT a_tax_invoice_has_a_draft
        CHECK ((evidence = 'tax_invoice' AND supply + vat > 0) = (draft_id IS NOT NULL)),
    ADD CONSTRAINT a_tax_invoice_has_a_document
        CHECK ((evidence = 'tax_invoice' AND supply + vat > 0) = (invoice_id IS NOT NULL));

-- migrate:down
ALTER TABLE payments DROP CONSTRAINT a_tax_invoice_has_a_draft, DROP CONSTRAINT a_tax_invoice_has_a_document;
ALTER TABLE payments ADD CONSTRAINT payments_check6 CHECK ((evidence = 'tax_invoice') = (draft_id IS NOT NULL));
ALTER TABLE payments ADD CONSTRAINT payments_check7 CHECK ((evidence = 'tax_invoice') = (invoice_id IS NOT NULL));
