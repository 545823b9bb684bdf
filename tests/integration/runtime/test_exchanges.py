"""How often a service asks Postgres something while it handles a batch: a ceiling for each, at two sizes.

An exchange costs a service and its session about a tenth of a millisecond of processor, and a batch at a
steady rate is small: so these are most of what an order costs then. A ceiling is lowered by whoever gets
below it, and is raised only with a reason.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import asyncpg
import pytest

from ops.setup.provision import Database
from services.invoices.app import build as build_invoices
from services.invoices.settings import InvoicesSettings
from services.orders.app import build as build_orders
from services.orders.settings import OrdersSettings
from services.refunds.handlers import ROUTES as OF_REFUNDS
from services.refunds.handlers import refuse_late as refuse_late_of_refunds
from services.refunds.store import Store as RefundsStore
from services.serials.handlers import ROUTES as OF_SERIALS
from services.serials.handlers import refuse_late as refuse_late_of_serials
from services.serials.state import Policy
from services.serials.store import Store as SerialsStore
from services.serials.writer import SerialWriter
from shared.events.catalogue import FEEDBACK, SERVICES, source_of
from shared.events.envelope import write_headers
from shared.postgres import open_pool
from shared.runtime.fold import Fold
from shared.runtime.outbox import Outbox
from shared.runtime.records import Record, StoredRecord
from shared.runtime.service import Service
from shared.runtime.signals import Metrics
from shared.sealing import Sealer
from tests.support.desk import payment
from tests.support.exchanges import Meter, metered
from tests.support.granted import new_vault

SEALER = Sealer(b"k" * 32, "test")
PARTITIONS = {f"{name}.events": 12 for name in SERVICES} | {FEEDBACK: 12}
UNITS = 2

CEILINGS = {
    ("orders", "payment.completed.v1"): 10,
    ("orders", "serials.issued.v2"): 8,
    ("serials", "issuance.granted.v2"): 9,
    ("refunds", "payment.completed.v1"): 3,
    ("refunds", "order.paid.v1"): 7,
    ("refunds", "issuance.granted.v2"): 9,
    ("invoices", "payment.completed.v1"): 3,
    ("invoices", "order.paid.v1"): 11,
}
"""Exchanges of a batch with the records of this type, BEGIN and COMMIT counted, for one order and for 500."""


def services() -> dict[str, Service]:
    """The four services with their own stores."""
    serials = SerialsStore(SerialWriter(new_vault()), Policy(), SEALER)
    return {
        "orders": build_orders(OrdersSettings.model_construct()),
        "serials": Service("serials", OF_SERIALS, serials, refuse_late_of_serials),
        "refunds": Service("refunds", OF_REFUNDS, RefundsStore(SEALER), refuse_late_of_refunds),
        "invoices": build_invoices(InvoicesSettings.model_construct()),
    }


@dataclass
class Clerk:
    """One service behind a meter, with one connection."""

    name: str
    fold: Fold
    pool: asyncpg.Pool
    meter: Meter
    read: int = 0

    async def handle(self, records: list[Record]) -> int:
        """Handles a batch; the exchanges that it took."""
        before = self.meter.exchanges
        await self.fold.handle(records)
        return self.meter.exchanges - before

    async def said(self) -> list[StoredRecord]:
        """What it has said since it was last asked, as others read it."""
        rows = await self.pool.fetch("SELECT * FROM outbox WHERE id > $1 ORDER BY id", self.read)
        self.read = rows[-1]["id"] if rows else self.read
        return [self._record(row) for row in rows if row["topic"] != FEEDBACK]

    def _record(self, row: asyncpg.Record) -> StoredRecord:
        headers = write_headers(
            id=str(row["event_id"]),
            source=source_of(row["type"], self.name),
            type=row["type"],
            subject=row["subject"],
            time=row["time"],
            sequence=row["sequence"],
            correlation=row["correlation"],
            causation=row["causation"],
        )
        return StoredRecord(
            row["topic"], row["partition"], row["id"], row["key"].encode(), row["data"], headers
        )


@pytest.fixture
async def clerks(database: Database, clean_schemas: None) -> AsyncIterator[dict[str, Clerk]]:
    async with AsyncExitStack() as stack:
        staff = {}
        for name, service in services().items():
            meter = await stack.enter_async_context(metered(database.service_url(name)))
            pool = await stack.enter_async_context(await open_pool(meter.url, name, 1))
            outbox = Outbox(name, PARTITIONS)
            fold = Fold(service, pool, outbox, SEALER, Metrics(), timedelta(hours=1))
            staff[name] = Clerk(name, fold, pool, meter)
        yield staff


_orders = count(1)


async def tell(clerks: dict[str, Clerk], orders: int) -> dict[tuple[str, str], int]:
    """So many orders are paid and issued. The exchanges of each batch, by service and type of its records."""
    counted: dict[tuple[str, str], int] = {}

    async def handle(name: str, records: list[Any], type_name: str) -> list[StoredRecord]:
        clerk = clerks[name]
        counted[name, type_name] = await clerk.handle([r for r in records if type_of(r) == type_name])
        return await clerk.said()

    paid = [payment(f"E-{next(_orders)}", UNITS, "automatic") for _ in range(orders)]
    said = await handle("orders", paid, "payment.completed.v1")
    for other in ("refunds", "invoices"):
        await handle(other, paid, "payment.completed.v1")
        await handle(other, said, "order.paid.v1")
    await handle("refunds", said, "issuance.granted.v2")
    issued = await handle("serials", said, "issuance.granted.v2")
    await handle("orders", issued, "serials.issued.v2")
    return counted


def type_of(record: Record) -> str:
    return dict(record.headers)["ce_type"].decode()


@pytest.mark.parametrize("orders", [1, 500])
async def test_a_batch_takes_no_more_exchanges_than_its_ceiling(
    clerks: dict[str, Clerk], orders: int
) -> None:
    """The first batch prepares statements; the second one counts. It asks nothing an order."""
    await tell(clerks, orders)

    counted = await tell(clerks, orders)

    assert counted == CEILINGS
