"""The four services on a table: real decisions and a real database, with the broker played by hand.

Each service's fold gets what the others' outboxes hold, in order, until nobody says anything new. A test may
leave a service out of a round to see work on its way.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from importlib.resources import files
from typing import Any
from unittest.mock import patch

import pytest

from ops.setup.provision import Database
from ops.shell.acls import topics_read
from services.invoices.closing import close_month
from services.invoices.commands import CorrectBody, correct
from services.invoices.state import MonthSummary
from services.invoices.store import Store
from shared.events.catalogue import FEEDBACK, SERVICES, source_of
from shared.events.envelope import write_headers
from shared.postgres import open_pool
from shared.runtime.fold import Fold
from shared.runtime.outbox import Outbox
from shared.runtime.records import StoredRecord
from shared.runtime.signals import Metrics
from shared.runtime.surroundings import Surroundings
from tests.support.commands import Person
from tests.support.keys import KEY_SETTINGS

EXAMPLES = files("shared.events.examples")
PARTITIONS = {f"{name}.events": 1 for name in ("checkout", *SERVICES)} | {FEEDBACK: 1}


@dataclass(slots=True)
class Tabletop:
    """`log` holds every topic's records in order; `read` how far each service has read each topic."""

    folds: dict[str, Fold]
    pools: dict[str, Any]
    outboxes: dict[str, Outbox]
    invoices: Store
    log: dict[str, list[StoredRecord]] = field(default_factory=lambda: {topic: [] for topic in PARTITIONS})
    read: dict[tuple[str, str], int] = field(default_factory=dict)

    def say(self, example: str, order_id: str, *, at: str | None = None, **data: Any) -> None:
        """Checkout says a golden example about this order, with other data and another time where given."""
        document = json.loads((EXAMPLES / "checkout.events" / f"{example}.json").read_text())
        headers = {**document["headers"], "ce_subject": order_id, "ce_correlationid": order_id}
        headers["ce_id"] = f"{example}-{order_id}-{len(self.log['checkout.events'])}"
        headers["ce_time"] = at or headers["ce_time"]
        body = {**document["data"], "order_id": order_id, **data}
        self._append(
            "checkout.events",
            order_id,
            json.dumps(body).encode(),
            [(name, value.encode()) for name, value in headers.items()],
        )

    async def drain(self, services: Sequence[str] = SERVICES) -> None:
        """These services read and answer until nothing is new to them."""
        moving = True
        while moving:
            moving = False
            for name in services:
                records = self._unread(name)
                if records:
                    await self.folds[name].handle(records)
                    moving = True
                await self._publish(name)

    async def close(self, month: str, at: str) -> MonthSummary:
        """Closes a month."""
        summary = await close_month(
            Surroundings(self.pools["invoices"], self.outboxes["invoices"]),
            self.invoices,
            month,
            datetime.fromisoformat(at),
            actor="operator:kim",
            reason="a test",
        )
        await self.drain()
        return summary

    async def correct(
        self, month: str, document: str, *, number: str | None = None, twice: bool = False
    ) -> None:
        """An operator corrects an issued document."""
        body = CorrectBody(
            document=document, reason="a test", business_number=number, twice=twice, apply=True
        )
        at = datetime.fromisoformat("2026-12-03T10:00:00+09:00")
        command = Person("operator:kim").commands("document.correct", f"{month} {document}", body, at=at)
        await self.folds["invoices"].decide_alone(command, partial(correct, self.invoices, month))
        await self.drain()

    def _unread(self, service: str) -> list[StoredRecord]:
        records: list[StoredRecord] = []
        for topic in topics_read()[service]:
            start = self.read.get((service, topic), 0)
            records += self.log[topic][start:]
            self.read[service, topic] = len(self.log[topic])
        return records

    async def _publish(self, service: str) -> None:
        pool = self.pools[service]
        rows = await pool.fetch("SELECT * FROM outbox WHERE id > (SELECT published FROM relay) ORDER BY id")
        for row in rows:
            headers = write_headers(
                id=str(row["event_id"]),
                source=source_of(row["type"], service),
                type=row["type"],
                subject=row["subject"],
                time=row["time"],
                sequence=None if row["topic"] == FEEDBACK else row["sequence"],
                correlation=row["correlation"],
                causation=row["causation"],
            )
            self._append(row["topic"], row["key"], row["data"], headers)
            await pool.execute("UPDATE relay SET published = $1", row["id"])

    def _append(self, topic: str, key: str, value: bytes, headers: Sequence[tuple[str, bytes]]) -> None:
        log = self.log[topic]
        log.append(StoredRecord(topic, 0, len(log), key.encode(), value, headers))


@asynccontextmanager
async def tabletop(database: Database) -> AsyncIterator[Tabletop]:
    """Four services on this database, which must be empty."""
    async with AsyncExitStack() as stack:
        folds, pools, outboxes = {}, {}, {}
        store: Store | None = None
        for name in SERVICES:
            environment = {
                **KEY_SETTINGS,
                "KAFKA_BOOTSTRAP_SERVERS": "none:1",
                "DATABASE_URL": database.service_url(name),
            }
            settings_type = getattr(
                import_module(f"services.{name}.settings"), f"{name.capitalize()}Settings"
            )
            with patch.dict(os.environ, environment):
                settings = settings_type()
            pools[name] = await open_pool(database.service_url(name), name, 2)
            stack.push_async_callback(pools[name].close)
            outboxes[name] = Outbox(name, PARTITIONS)
            service = import_module(f"services.{name}.app").build(settings)
            folds[name] = Fold(
                service, pools[name], outboxes[name], settings.sealer(), Metrics(), timedelta(hours=1)
            )
            if name == "invoices":
                store = Store(settings.policy())
            await pools[name].execute("INSERT INTO relay DEFAULT VALUES ON CONFLICT DO NOTHING")
        assert store is not None
        yield Tabletop(folds, pools, outboxes, store)
        await asyncio.sleep(0)


@pytest.fixture
async def table(database: Database, clean_schemas: None) -> AsyncIterator[Tabletop]:
    async with tabletop(database) as table:
        yield table


async def refund_id_of(table: Tabletop, order_id: str) -> str:
    """The id of the order's only refund."""
    row = await table.pools["refunds"].fetchrow("SELECT refund_id FROM refunds WHERE order_id = $1", order_id)
    return str(row["refund_id"])


async def buy(table: Tabletop, order_id: str, **data: Any) -> None:
    """An order of 100 units for 176,000 won is paid."""
    table.say("payment.completed.v1", order_id, payment_id=f"pay-{order_id}", **data)
    await table.drain()


async def refund_and_issue(table: Tabletop, order_id: str) -> None:
    """40 units are paid back, the other 60 issued."""
    table.say("refund.requested.v1", order_id)
    await table.drain()
    refund_id = await refund_id_of(table, order_id)
    table.say("refund.paid_out.v1", order_id, refund_id=refund_id)
    table.say("issuance.requested.v1", order_id, lines=[{"line_id": "1", "quantity": 60}])
    await table.drain()


@pytest.fixture
async def history(table: Tabletop) -> Tabletop:
    """A-1: 60 issued, 40 paid back. A-2: all issued, cancelled afterwards. A-3: by card. A-4: pending.

    A-5: paid twice. A-6: 40 paid back after its invoice was issued. Months are closed up to 2026-10.
    """
    await buy(table, "A-1")
    await refund_and_issue(table, "A-1")
    await buy(table, "A-2", issue_policy="automatic")
    table.say("payment.cancelled.v1", "A-2", payment_id="pay-A-2")
    await buy(table, "A-3", payment_method="card")
    table.say("payment.pending.v1", "A-4")
    await buy(table, "A-5")
    table.say("payment.completed.v1", "A-5", payment_id="pay-again")
    await buy(table, "A-6")
    await table.close("2026-10", "2026-11-05T18:00:00+09:00")
    await refund_and_issue(table, "A-6")
    return table
