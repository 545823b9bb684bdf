"""A month close (G8): merging, numbering and issuing a month, with links and events, against a bare GROUP BY.

Both read the same payments, in the same database, one after the other, and so does DuckDB, by COPY out of it
and back. Every business has as many payments, all of them fit to be merged, as its partner wants them to be.
"""

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from benchmarks.stage import Stage
from benchmarks.usual import closing
from services.invoices.closing import close_month
from services.invoices.state import Policy
from services.invoices.store import Store
from shared.business_number import from_seed
from shared.clock import monotonic
from shared.kst import KST
from shared.postgres import open_pool
from shared.runtime.outbox import Outbox
from shared.runtime.surroundings import Surroundings

MONTH: Final = "2026-10"
CLOSED_AT: Final = datetime(2026, 11, 5, 18, tzinfo=KST)
PER_BUSINESS: Final = 50
GROUPED: Final = """
    SELECT sum(payments + supply + vat) FROM (
        SELECT business_number, count(*) AS payments, sum(standing_supply) AS supply, sum(standing_vat) AS vat
        FROM payments WHERE month = $1 GROUP BY business_number
    ) AS grouped
"""
PARTNERS: Final = """
    INSERT INTO partners (partner_id, business_number, name, invoice_email, always_merge,
                          always_merge_since, changed_at, preferences)
    SELECT 'P-' || place, number, 'name', 'mail', true, '2026-01-01', '2026-01-01',
           '[["2026-01-01T00:00:00+09:00",true]]'
    FROM unnest($1::text[]) WITH ORDINALITY AS b (number, place)
"""
PAYMENTS: Final = """
    INSERT INTO payments (order_id, payment_id, partner_id, business_number, month, evidence, paid_at,
                          supply, vat, refunded_supply, refunded_vat, standing_supply, standing_vat,
                          serial_units, issued_units, returned_units, other_lines, open_refunds, draft_id,
                          invoice_id)
    SELECT 'order-' || id, 'payment-' || id, 'P-' || 1 + n / $2, ($1::text[])[1 + n / $2], $3,
           'tax_invoice', '2026-10-21 12:00:00+09', 160000, 16000, 0, 0, 160000, 16000, 100, 100, 0, '{}', 0,
           id, id
    FROM (
        SELECT n, (lpad(to_hex(n), 12, '0') || left(md5(n::text), 20))::uuid AS id
        FROM generate_series($4::integer, $5::integer - 1) AS n
    ) AS made
"""
AT_ONCE: Final = 500_000


@dataclass(slots=True, frozen=True)
class Closed:
    """Seconds for a bare GROUP BY of the month, for its close, for closing it again, and for DuckDB."""

    grouped: float
    first: float
    again: float
    usual: float


async def months(stage: Stage, payments: int) -> Closed:
    """Closes a month of so many payments of a fiftieth as many businesses, twice."""
    await stage.clear()
    async with stage.connected() as admin:
        await fill(admin, payments)
    async with open_desk(stage.database.service_url("invoices"), stage.partitions) as (surroundings, store):
        grouped = min([await _timed(surroundings.pool.fetchval(GROUPED, MONTH)) for _ in range(3)])
        first = await _timed(close_month(surroundings, store, MONTH, CLOSED_AT))
        again = await _timed(close_month(surroundings, store, MONTH, CLOSED_AT))
    async with stage.connected() as admin:
        await admin.execute("CHECKPOINT")
        usual = await _timed(closing.close(admin, MONTH))
    return Closed(grouped, first, again, usual)


async def fill(admin: asyncpg.Connection, payments: int) -> None:
    """Writes a month of so many payments, as order.paid and serials.issued would have."""
    numbers = [from_seed(place) for place in range(payments // PER_BUSINESS)]
    await admin.execute("SET search_path = invoices")
    await admin.execute(PARTNERS, numbers)
    # Ten million rows are in their indexes sooner when these are made behind them.
    indexes = await admin.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'invoices' AND tablename = 'payments'"
        " AND indexname <> 'payments_pkey'"
    )
    for index in indexes:
        await admin.execute(f"DROP INDEX {index['indexname']}")
    for first in range(0, payments, AT_ONCE):
        last = min(payments, first + AT_ONCE)
        await admin.execute(PAYMENTS, numbers, PER_BUSINESS, MONTH, first, last)
    for index in indexes:
        await admin.execute(index["indexdef"])
    for table in ("payments", "partners", "documents"):
        await admin.execute(f"VACUUM ANALYZE {table}")
    await admin.execute("CHECKPOINT")


@asynccontextmanager
async def open_desk(url: str, partitions: dict[str, int]) -> AsyncIterator[tuple[Surroundings, Store]]:
    """What a close works with."""
    pool = await open_pool(url, "invoices", 2)
    yield Surroundings(pool, Outbox("invoices", partitions)), Store(Policy())
    await pool.close()


async def _timed(work: Awaitable[Any]) -> float:
    started = monotonic()
    await work
    return monotonic() - started
