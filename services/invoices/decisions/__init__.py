"""What the invoices service decides, by step of the business (domain.md section 5): new state and events.

Payments minus refunds always equal what stands on issued, modified and un-issued documents, card slips and
cash receipts, to the won: every decision moves the same won on the payment and on its document.
"""
