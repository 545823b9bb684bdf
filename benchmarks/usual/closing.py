"""The usual way to close a large month: take it out of the database, merge it in DuckDB, and put it back.

DuckDB reads and writes PostgreSQL by COPY and files, since its extension for that is no part of the wheel. It
keeps one rule only (all payments of a business are merged); nothing is locked, numbered on, or killed and
gone on with. Its tables have a primary key each, and no other index or check.
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Any, Final

TABLES: Final = """
    DROP TABLE IF EXISTS usual.closed_documents, usual.closed_events;
    CREATE TABLE usual.closed_documents (
        invoice_id      uuid PRIMARY KEY,
        partner_id      text NOT NULL,
        business_number text NOT NULL,
        month           text NOT NULL,
        supply          bigint NOT NULL,
        vat             bigint NOT NULL,
        payments        integer NOT NULL,
        document_key    text NOT NULL
    );
    CREATE TABLE usual.closed_events (
        id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        key  text NOT NULL,
        type text NOT NULL,
        data text NOT NULL
    );
"""
PAYMENTS: Final = """
    SELECT partner_id, business_number, order_id, payment_id, paid_at, standing_supply, standing_vat
    FROM invoices.payments WHERE month = $1
"""
MERGE: Final = """
    CREATE TABLE merged AS
    SELECT uuid() AS invoice_id, partner_id, business_number, sum(standing_supply)::bigint AS supply,
           sum(standing_vat)::bigint AS vat, count(*) AS payments,
           $month || '-' || business_number || '-000001' AS document_key,
           to_json(list(payment_id ORDER BY paid_at, order_id))::varchar AS payment_ids,
           to_json(list(order_id ORDER BY paid_at, order_id))::varchar AS order_ids
    FROM read_csv($payments, header = false, columns = {
        'partner_id': 'VARCHAR', 'business_number': 'VARCHAR', 'order_id': 'VARCHAR', 'payment_id': 'VARCHAR',
        'paid_at': 'VARCHAR', 'standing_supply': 'BIGINT', 'standing_vat': 'BIGINT'})
    GROUP BY partner_id, business_number
"""
DOCUMENTS: Final = """
    COPY (
        SELECT invoice_id, partner_id, business_number, '{month}', supply, vat, payments, document_key
        FROM merged
    ) TO '{documents}' (HEADER false)
"""
EVENTS: Final = """
    COPY (
        SELECT partner_id, 'invoice.merged.v1',
               concat('{{"invoice_id":"', invoice_id, '","partner_id":"', partner_id, '","supply":', supply,
                      ',"vat":', vat, ',"payment_ids":', payment_ids, '}}')
        FROM merged
        UNION ALL
        SELECT partner_id, 'invoice.issued.v1',
               concat('{{"invoice_id":"', invoice_id, '","partner_id":"', partner_id, '","document_key":"',
                      document_key, '","payment_ids":', payment_ids, ',"order_ids":', order_ids, '}}')
        FROM merged
    ) TO '{events}' (HEADER false)
"""


async def close(admin: Any, month: str) -> int:
    """Merges a month into tables of its own; answers with how many documents it has."""
    await admin.execute(TABLES)
    with tempfile.TemporaryDirectory(prefix="pawl-bench-duckdb-") as name:
        files = {each: Path(name) / f"{each}.csv" for each in ("payments", "documents", "events")}
        await admin.copy_from_query(PAYMENTS, month, output=files["payments"], format="csv")
        await asyncio.to_thread(_merge, month, {each: str(path) for each, path in files.items()})
        async with admin.transaction():
            for table, source, columns in (
                ("closed_documents", files["documents"], None),
                ("closed_events", files["events"], ["key", "type", "data"]),
            ):
                await admin.copy_to_table(
                    table, schema_name="usual", source=source, columns=columns, format="csv"
                )
    count: int = await admin.fetchval("SELECT count(*) FROM usual.closed_documents")
    return count


def _merge(month: str, files: dict[str, str]) -> None:
    import duckdb  # here, since only this goal needs it

    with duckdb.connect(config={"threads": 2, "memory_limit": "4GB"}) as database:
        database.execute(MERGE, {"month": month, "payments": files["payments"]})
        database.execute(DOCUMENTS.format(month=month, **files))
        database.execute(EVENTS.format(month=month, **files))
