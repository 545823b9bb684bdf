"""The four services: orders, serials, refunds, invoices. They know each other through events only."""
