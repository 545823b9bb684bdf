-- What benchmarks/pages.py adds to the rows of finding.sql: what people have changed, and events that are published.

INSERT INTO refunds.audit_log (id, recorded_at, actor, action, target, reason, before, after, result)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid, at,
       'person-' || n % 50, 'refund.approve', ('0000002' || lpad(to_hex(n), 25, '0'))::uuid, 'as asked', NULL, NULL, 'done'
FROM generate_series(0, (SELECT count(*) FROM orders.orders) - 1, 10) AS n
CROSS JOIN LATERAL (SELECT now() - (n % 300) * interval '1 day' - n * interval '1 ms' AS at) AS of_n;

INSERT INTO invoices.audit_log (id, recorded_at, actor, action, target, reason, before, after, result)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid, at,
       'person-' || n % 50, 'document.issue', '2026-10-' || n, '', NULL, NULL, 'done'
FROM generate_series(0, (SELECT count(*) FROM orders.orders) - 1, 10) AS n
CROSS JOIN LATERAL (SELECT now() - (n % 300) * interval '1 day' - n * interval '1 ms' AS at) AS of_n;

-- Documents are shown line by line.
INSERT INTO invoices.payment_lines (order_id, vat_mode, lines)
SELECT order_id, 'exclusive', '[["1","serials","study-30","Study",1600,2]]' FROM invoices.payments;

-- A relay would send all of it out before anything else.
UPDATE orders.relay SET published = (SELECT max(id) FROM orders.outbox);

-- A draft that is what its payment says has no row of its own.
DELETE FROM invoices.documents WHERE state = 'draft';

-- Nobody could read the record of one that waits, when its time has come; and no deposit expires meanwhile.
DELETE FROM orders.parked;

UPDATE orders.orders SET deposit_deadline = now() + interval '30 days' WHERE state = 'pending_deposit';

VACUUM ANALYZE
