-- The rows of benchmarks/finding.py, made by the server: `pawl.orders` orders of `pawl.partners` partners. Ids follow from
-- the number of the order, so that the benchmark can ask for them. Every tenth order was issued and refunded in part.

INSERT INTO orders.orders (order_id, partner_id, state, payment_method, evidence, issue_policy, vat_mode, partner, expected,
    registered_by, registered_at, deposit_deadline, payment_id, paid_at, amount, supply, vat, remaining_supply, remaining_vat,
    sequence)
SELECT 'A-' || n, 'P-' || p, CASE WHEN pending THEN 'pending_deposit' ELSE 'paid' END, 'virtual_account', 'tax_invoice',
       'on_request', 'exclusive',
       json_build_object('partner_id', 'P-' || p, 'name', 'Partner ' || p, 'business_number', (1000000000 + p)::text,
                         'invoice_email', 'tax' || p || '@example.com'),
       3520, 'evt', at, at + interval '7 days', CASE WHEN NOT pending THEN 'pay-' || n END, CASE WHEN NOT pending THEN at END,
       CASE WHEN pending THEN 0 ELSE 3520 END, CASE WHEN pending THEN 0 ELSE 3200 END, CASE WHEN pending THEN 0 ELSE 320 END,
       CASE WHEN pending THEN 0 ELSE 3200 END, CASE WHEN pending THEN 0 ELSE 320 END, 1
FROM generate_series(0, current_setting('pawl.orders')::bigint - 1) AS n
CROSS JOIN LATERAL (SELECT n % current_setting('pawl.partners')::bigint AS p, n % 1000 = 1 AS pending,
                           timestamptz '2025-11-15 12:00+09' + (n % 12) * interval '1 month' AS at) AS of_n;

INSERT INTO orders.order_lines (order_id, line_id, position, kind, product_id, product_name, unit_price, usage_days, quantity,
    paid, issuing, issued, refunding, refunded)
SELECT 'A-' || n, '1', 0, 'serials', 'study-30', 'Study', 1600, 30, 2, CASE WHEN n % 1000 = 1 THEN 0 ELSE 2 END, 0, 0, 0, 0
FROM generate_series(0, current_setting('pawl.orders')::bigint - 1) AS n;

INSERT INTO orders.payments (payment_id, order_id, amount)
SELECT 'pay-' || n, 'A-' || n, 3520 FROM generate_series(0, current_setting('pawl.orders')::bigint - 1) AS n;

INSERT INTO orders.claims (claim_id, line_id, order_id, position, purpose, quantity, state, request_id, supply, vat, claimed_at,
    settled_at)
SELECT ('0000001' || lpad(to_hex(n), 25, '0'))::uuid, '1', 'A-' || n, 0, 'issue', 2, 'confirmed', 'iss-' || n, 0, 0, now(), now()
FROM generate_series(0, current_setting('pawl.orders')::bigint - 1) AS n;

INSERT INTO orders.issue_requests (order_id, request_id, content)
SELECT 'A-' || n, 'iss-' || n, decode(md5(n::text), 'hex')
FROM generate_series(0, current_setting('pawl.orders')::bigint - 1) AS n;

INSERT INTO orders.quarantine (order_id, number, payment_id, reason, amount, opened_at, partner_id, decision, settled_at)
SELECT 'A-' || n, 0, 'pay-again-' || n, 'second_payment', 3520, now(), 'P-' || n % current_setting('pawl.partners')::bigint,
       CASE WHEN n % 10000 > 0 THEN 'returned' END, CASE WHEN n % 10000 > 0 THEN now() END
FROM generate_series(0, current_setting('pawl.orders')::bigint - 1, 100) AS n;

INSERT INTO orders.partners (partner_id, withdrawn_at, sequence)
SELECT 'P-' || p, CASE WHEN p % 100 > 0 THEN now() END, 1
FROM generate_series(0, current_setting('pawl.partners')::bigint - 1) AS p;

INSERT INTO orders.withdrawal_requests (partner_id, request_id, content)
SELECT 'P-' || p, 'leave-' || p, decode(md5(p::text), 'hex')
FROM generate_series(0, current_setting('pawl.partners')::bigint - 1) AS p;

INSERT INTO orders.outbox (event_id, topic, partition, key, type, subject, sequence, time, correlation, causation, data)
SELECT gen_random_uuid(), 'orders.events', 0, 'A-' || n, 'order.paid.v1', 'A-' || n, 1, '2026-10-21T14:03:07+09:00', 'c', 'c', 'x'
FROM generate_series(0, current_setting('pawl.orders')::bigint - 1) AS n;

INSERT INTO orders.dead_letters (topic, partition, "offset", key, source, event_id, type, code, pointer, detail, record)
SELECT 'checkout.events', 0, n, 'A-' || n, 'https://shop-' || n % 7, 'e', 't', 'out_of_range', '/x', 'x', 'x'
FROM generate_series(1, 1000) AS n;

INSERT INTO orders.parked (key, kind, reason, topic, partition, "offset", source, event_id, type, subject, event_time, record,
    parked_at, overdue_at)
SELECT 'B-' || n, 'waiting', 'x', 'checkout.events', 0, n, 's', 'e', 'issuance.requested.v1', 'x', now(), 'x',
       now() - interval '1 day', now()
FROM generate_series(1, 1000) AS n;

INSERT INTO serials.grants (grant_id, batch_id, order_id, line_id, partner_id, product_id, product_name, unit_price, usage_days,
    quantity, issued, state, sequence, granted_at, issued_at, registration_deadline, correlation, causation)
SELECT ('0000001' || lpad(to_hex(n), 25, '0'))::uuid, lpad(to_hex(n << 24), 32, '0')::uuid, 'A-' || n, '1',
       'P-' || n % current_setting('pawl.partners')::bigint, 'study-30', 'Study', 1600, 30, 10, 10, 'issued', 0, now(), now(),
       now() + interval '91 days', 'c', 'c'
FROM generate_series(0, current_setting('pawl.orders')::bigint - 1, 10) AS n;

INSERT INTO serials.serials (serial_id, grant_id, lookup_tag, text, last_four, key_id)
SELECT lpad(to_hex((n << 24) + unit), 32, '0')::uuid, ('0000001' || lpad(to_hex(n), 25, '0'))::uuid,
       decode(md5(n || ' ' || unit), 'hex'), decode(md5(n::text), 'hex'),
       lpad(((n + unit - 1) % 10000)::text, 4, '0'), '1'
FROM generate_series(0, current_setting('pawl.orders')::bigint - 1, 10) AS n CROSS JOIN generate_series(1, 10) AS unit;

INSERT INTO serials.grants (grant_id, batch_id, order_id, line_id, partner_id, product_id, product_name, unit_price, usage_days,
    quantity, issued, state, sequence, granted_at, issued_at, registration_deadline, correlation, causation)
SELECT ('0000009' || lpad('1', 25, '0'))::uuid, lpad('9000000', 32, '0')::uuid, 'A-large', '1', 'P-1', 'study-30', 'Study', 1600,
       30, 100000, 100000, 'issued', 0, now(), now(), now() + interval '91 days', 'c', 'c';

INSERT INTO serials.serials (serial_id, grant_id, lookup_tag, text, last_four, key_id)
SELECT lpad(to_hex(x'9000000'::bigint + unit), 32, '0')::uuid, ('0000009' || lpad('1', 25, '0'))::uuid,
       decode(md5('large ' || unit), 'hex'), decode(md5('x'), 'hex'), lpad((unit % 10000)::text, 4, '0'), '1'
FROM generate_series(1, 100000) AS unit;

INSERT INTO refunds.orders (order_id, state, payment_method, vat_mode, partner_id, partner_name, payment_id, paid_supply,
    paid_vat, remaining_supply, remaining_vat, paid_at)
SELECT 'A-' || n, 'paid', 'virtual_account', 'exclusive', 'P-' || p, 'Partner ' || p, 'pay-' || n, 3200, 320, 1600, 160, now()
FROM generate_series(0, current_setting('pawl.orders')::bigint - 1, 10) AS n
CROSS JOIN LATERAL (SELECT n % current_setting('pawl.partners')::bigint AS p) AS of_n;

INSERT INTO refunds.refunds (refund_id, order_id, refund_request_id, content, state, requested_by, role, reason, everything,
    requested_at, destination_kind, destination_reference, destination_masked, why, supply, vat, fee, expected_on, completed_at,
    sequence, steps)
SELECT ('0000002' || lpad(to_hex(n), 25, '0'))::uuid, 'A-' || n, 'rr-' || n, decode(md5(n::text), 'hex'),
       CASE WHEN n % 1000 = 0 THEN 'failed' ELSE 'completed' END, 'P', 'partner', 'financial_burden', false,
       now() - (n % 300) * interval '1 day', 'bank_account', gen_random_uuid(), '088-*****6789',
       CASE WHEN n % 1000 = 0 THEN 'account_closed' END, 1600, 160, 0, current_date,
       CASE WHEN n % 1000 > 0 THEN now() END, 2, 2
FROM generate_series(0, current_setting('pawl.orders')::bigint - 1, 10) AS n;

INSERT INTO refunds.refund_history (refund_id, position, state, at, actor, reason)
SELECT refund_id, position, 'requested', requested_at, 'P', 'x' FROM refunds.refunds CROSS JOIN generate_series(1, 2) AS position;

INSERT INTO refunds.refund_payouts (refund_id, payout_id, position, state, amount)
SELECT refund_id, 'po-' || substr(order_id, 3), 0, 'paid', 1760 FROM refunds.refunds;

INSERT INTO invoices.documents (invoice_id, kind, state, partner_id, business_number, month, supply, vat, sequence, late,
    payments, document_key, written_date, issued_at)
SELECT ('0000003' || lpad(to_hex(n), 25, '0'))::uuid, 'payment', CASE WHEN draft THEN 'draft' ELSE 'issued' END, 'P-' || p,
       (1000000000 + p)::text, to_char(at, 'YYYY-MM'), 3200, 320, 2, n % 1000 = 0, 1,
       CASE WHEN NOT draft THEN to_char(at, 'YYYY-MM-') || (1000000000 + p) || '-'
                                || lpad((n + 1)::text, greatest(6, length((n + 1)::text)), '0') END,
       CASE WHEN NOT draft THEN at::date END, CASE WHEN NOT draft THEN at + interval '20 days' END
FROM generate_series(0, current_setting('pawl.orders')::bigint - 1) AS n
CROSS JOIN LATERAL (SELECT n % current_setting('pawl.partners')::bigint AS p, n % 12 = 11 AS draft,
                           timestamptz '2025-11-15 12:00+09' + (n % 12) * interval '1 month' AS at) AS of_n;

INSERT INTO invoices.payments (order_id, payment_id, partner_id, business_number, month, evidence, paid_at, supply, vat,
    refunded_supply, refunded_vat, standing_supply, standing_vat, serial_units, issued_units, returned_units, other_lines,
    open_refunds, draft_id, invoice_id)
SELECT 'A-' || n, 'pay-' || n, 'P-' || p, (1000000000 + p)::text, to_char(at, 'YYYY-MM'), 'tax_invoice', at, 3200, 320, 0, 0,
       3200, 320, 2, 0, 0, '{}', 0, id, id
FROM generate_series(0, current_setting('pawl.orders')::bigint - 1) AS n
CROSS JOIN LATERAL (SELECT n % current_setting('pawl.partners')::bigint AS p,
                           ('0000003' || lpad(to_hex(n), 25, '0'))::uuid AS id,
                           timestamptz '2025-11-15 12:00+09' + (n % 12) * interval '1 month' AS at) AS of_n;

INSERT INTO invoices.months (month, closed_at)
SELECT DISTINCT month, now() FROM invoices.documents WHERE state = 'issued';

INSERT INTO invoices.partners (partner_id, business_number, name, invoice_email, always_merge, always_merge_since, changed_at)
SELECT 'P-' || p, (1000000000 + p)::text, 'Partner ' || p, 'tax' || p || '@example.com', false, now(), now()
FROM generate_series(0, current_setting('pawl.partners')::bigint - 1) AS p;

INSERT INTO invoices.merge_requests (partner_id, request_id, undo, business_number, month, requested_at, standing, content)
SELECT 'P-' || p, 'merge-' || p, false, (1000000000 + p)::text, '2026-10', now(), true, decode(md5(p::text), 'hex')
FROM generate_series(0, current_setting('pawl.partners')::bigint - 1) AS p;

VACUUM ANALYZE
