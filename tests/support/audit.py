"""What must be true when all is quiet, asked in plain SQL and of the topics: a second pair of eyes.

The operator's own auditor (`pawl check`) reads the books of each order; this one shares no line with it.
"""

import asyncpg

from tests.support.driver import Checkout, answers_given, broken_sequences

RULES = {
    "claims exceed what was paid": """
        SELECT order_id FROM orders.order_lines WHERE issuing + issued + refunding + refunded > paid
    """,
    "the counters of a line are not the sum of its claims": """
        SELECT l.order_id FROM orders.order_lines l LEFT JOIN (
            SELECT order_id, line_id,
                   sum(quantity) FILTER (WHERE purpose = 'issue' AND state = 'claimed') AS issuing,
                   sum(quantity) FILTER (WHERE purpose = 'issue' AND state = 'confirmed') AS issued,
                   sum(quantity) FILTER (WHERE purpose = 'refund' AND state = 'claimed') AS refunding,
                   sum(quantity) FILTER (WHERE purpose = 'refund' AND state = 'confirmed') AS refunded
            FROM orders.claims GROUP BY order_id, line_id
        ) c USING (order_id, line_id) JOIN orders.orders o USING (order_id)
        WHERE l.issuing <> coalesce(c.issuing, 0) OR l.issued <> coalesce(c.issued, 0)
           OR l.refunding <> coalesce(c.refunding, 0) OR l.refunded < coalesce(c.refunded, 0)
           OR (o.state <> 'cancelled' AND l.refunded <> coalesce(c.refunded, 0))
    """,
    "a grant is not issued exactly once": """
        SELECT c.order_id FROM orders.claims c LEFT JOIN serials.grants g ON g.grant_id = c.claim_id
        WHERE c.purpose = 'issue'
          AND (c.state <> 'confirmed' OR g.state IS DISTINCT FROM 'issued' OR g.quantity <> c.quantity)
    """,
    "serials that nobody granted, or too few": """
        SELECT coalesce(g.order_id, s.grant_id::text) FROM serials.grants g
        FULL JOIN (
            SELECT grant_id, count(*) AS units FROM serials.serials WHERE replaces IS NULL GROUP BY 1
        ) s USING (grant_id)
        WHERE g.issued IS DISTINCT FROM s.units
    """,
    "refunds counts other units than orders": """
        SELECT r.order_id FROM refunds.order_lines r JOIN orders.order_lines l USING (order_id, line_id)
        JOIN refunds.orders ro USING (order_id)
        WHERE ro.state IN ('paid', 'cancelled') AND l.paid > 0
          AND (r.granted <> l.issuing + l.issued OR r.refunding <> l.refunding
               OR r.refunded + r.taken_back <> l.refunded)
    """,
    "refunds knows other won than orders": """
        SELECT o.order_id FROM orders.orders o JOIN refunds.orders r USING (order_id)
        WHERE o.state IN ('paid', 'refunded') AND r.state = 'paid'
          AND (o.remaining_supply, o.remaining_vat) <> (r.remaining_supply, r.remaining_vat)
    """,
    "a paid order is not known to refunds or invoices": """
        SELECT o.order_id FROM orders.orders o
        LEFT JOIN refunds.orders r USING (order_id) LEFT JOIN invoices.payments p USING (order_id)
        WHERE o.payment_id IS NOT NULL
          AND (r.payment_id IS DISTINCT FROM o.payment_id OR p.payment_id IS DISTINCT FROM o.payment_id
               OR p.supply + p.vat <> o.amount)
    """,
    "won paid minus won returned are not the won on documents": """
        SELECT p.order_id FROM invoices.payments p
        LEFT JOIN (SELECT order_id, sum(total) AS total FROM invoices.documents WHERE kind = 'modified'
                   GROUP BY 1) m USING (order_id)
        WHERE p.supply + p.vat - p.refunded_supply - p.refunded_vat
           <> p.standing_supply + p.standing_vat + coalesce(m.total, 0)
    """,
    "a document is not the sum of its payments": """
        SELECT d.invoice_id::text FROM invoices.all_documents d
        LEFT JOIN (SELECT invoice_id, sum(standing_supply) AS supply, sum(standing_vat) AS vat
                   FROM invoices.placed_payments GROUP BY 1) p USING (invoice_id)
        WHERE d.kind <> 'modified' AND d.state IN ('draft', 'approved', 'issue_failed', 'issued')
          AND (d.supply, d.vat) IS DISTINCT FROM (p.supply::bigint, p.vat::bigint)
    """,
    "a completed refund is not taken off its payment": """
        SELECT r.order_id FROM refunds.refunds r
        LEFT JOIN invoices.refunds i ON i.refund_id = r.refund_id::text
        WHERE r.state = 'completed'
          AND (i.state IS DISTINCT FROM 'completed' OR i.supply <> r.supply OR i.vat <> r.vat)
    """,
    "an event is blocked, or waits for one that never comes": """
        SELECT key || ' ' || kind || ': ' || reason FROM (
            SELECT key, kind, reason FROM orders.parked UNION ALL SELECT key, kind, reason FROM serials.parked
            UNION ALL SELECT key, kind, reason FROM refunds.parked
            UNION ALL SELECT key, kind, reason FROM invoices.parked) p
        WHERE kind <> 'waiting'
    """,
}


async def violations(checkout: Checkout) -> list[str]:
    """Every broken promise, in a line each: over the tables, the sequences and the answers."""
    connection = await asyncpg.connect(checkout.database.admin_url)
    try:
        found = [
            f"{rule}: {', '.join(str(row[0]) for row in rows[:5])}"
            for rule, query in RULES.items()
            if (rows := await connection.fetch(query))
        ]
    finally:
        await connection.close()
    return found + broken_sequences(checkout.records) + _wrong_answers(checkout)


def _wrong_answers(checkout: Checkout) -> list[str]:
    answers = answers_given(checkout.records)
    return [
        f"{event_id} got {answers[event_id]} answers"
        for event_id in checkout.said
        if answers[event_id] != 1 and event_id not in checkout.answered_twice
    ]
