"""The fold of the orders service on a real Postgres, without Kafka: batches in, committed effects out.

A desk is one process of the service: several at once are its instances, and a desk that crashed is followed
by another one. Records come from builders with defaults; offsets count up by themselves.
"""

from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from ops.setup.provision import Database
from services.orders.app import build
from services.orders.settings import OrdersSettings
from shared.events.catalogue import FEEDBACK
from shared.events.envelope import write_headers
from shared.ids import uuid7
from shared.money import payment_money
from shared.postgres import open_pool
from shared.runtime.dead_letters import DeadLetters
from shared.runtime.fold import Fold
from shared.runtime.outbox import Outbox
from shared.runtime.records import Record, StoredRecord
from shared.runtime.service import Service, Store
from shared.runtime.signals import Metrics
from shared.sealing import Sealer

NOW = datetime(2031, 10, 21, 5, 3, 7, tzinfo=UTC)
PARTITIONS = {"orders.events": 12, FEEDBACK: 12}
WALL_CLOCK = ("recorded_at", "repeated_at", "parked_at", "tried_at", "overdue_at", "dead_at", "closed_at")
ACCOUNT_NUMBER = "110123456789"

_offsets = count()


class Crash(BaseException):
    """The process is gone, at once and without a word."""


class Desk:
    """One process of the orders service. `crashing_at` names the point where it dies."""

    def __init__(self, pool: asyncpg.Pool, service: Service | None = None, crashing_at: str = "") -> None:
        self.pool = pool
        self.service = service or orders_service()
        self.outbox = Outbox("orders", PARTITIONS, self._crash)
        self.sealer = Sealer(b"k" * 32, "test")
        self.crashing_at = crashing_at
        self.fold = self._fold(Fold)

    @property
    def letters(self) -> DeadLetters:
        """What ends the dead letters of this process."""
        return DeadLetters(self.service, self.fold, self.pool, self.outbox, self.sealer)

    def _fold(self, kind: type[Fold]) -> Fold:
        return kind(self.service, self.pool, self.outbox, self.sealer, Metrics(), timedelta(hours=1))

    def use(self, kind: type[Fold]) -> "Desk":
        """The same process with another fold."""
        self.fold = self._fold(kind)
        return self

    def _crash(self, point: str) -> None:
        if point == self.crashing_at:
            raise Crash(point)

    async def take(self, *records: Record) -> None:
        """One polled batch."""
        await self.fold.handle(records)

    async def take_and_crash(self, *records: Record) -> None:
        """One polled batch that ends at the crash point, if it gets there."""
        with suppress(Crash):
            await self.take(*records)

    async def said(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Type, key and data of every event in the outbox, in the order of their ids."""
        rows = await self.pool.fetch("SELECT type, key, data FROM outbox ORDER BY id")
        return [(row["type"], row["key"], orjson.loads(row["data"])) for row in rows]

    async def types(self, key: str = "") -> list[str]:
        """The types of the events in the outbox, answers left out."""
        return [
            name
            for name, about, _ in await self.said()
            if key in ("", about) and not name.startswith("event.")
        ]

    async def answers(self) -> Counter[str]:
        """How many answers each upstream event got."""
        return Counter(
            data["event"]["id"] for name, _, data in await self.said() if name.startswith("event.")
        )

    async def line(self, order: str) -> tuple[int, int, int, int, int]:
        """paid, issuing, issued, refunding, refunded."""
        row = await self.pool.fetchrow(
            "SELECT paid, issuing, issued, refunding, refunded FROM order_lines WHERE order_id = $1", order
        )
        return tuple(row)

    async def claimed(self, order: str) -> int:
        """Units of the order in claims that are not given back."""
        query = "SELECT coalesce(sum(quantity), 0) FROM claims WHERE order_id = $1 AND state <> 'void'"
        return int(await self.pool.fetchval(query, order))

    async def waiting(self) -> list[tuple[str, str]]:
        """Key and kind of everything that waits."""
        rows = await self.pool.fetch("SELECT key, kind FROM parked ORDER BY id")
        return [(row["key"], row["kind"]) for row in rows]

    async def snapshot(self) -> list[str]:
        """Everything there is, row by row, but for what the wall clock says."""
        tables = (
            "orders order_lines claims issue_requests quarantine inbox cursors parked dead_letters outbox"
        )
        found: list[str] = []
        for table in tables.split():
            rows = await self.pool.fetch(
                f"SELECT to_jsonb(t) - $1::text[] AS row FROM {table} t ORDER BY 1", list(WALL_CLOCK)
            )
            found += [f"{table} {row['row']}" for row in rows]
        return found


def orders_service(**changes: Any) -> Service:
    """The real orders service; `changes` plant something else into it."""
    real = build(OrdersSettings.model_construct())
    parts = {name: getattr(real, name) for name in Service.__dataclass_fields__}
    return Service(**{**parts, **changes})


class RefusedStore:
    """A store that makes the database refuse whatever is saved of one order."""

    def __init__(self, store: Store, order: str) -> None:
        self._store = store
        self._order = order

    async def load(self, connection: Any, events: Any) -> Any:
        return await self._store.load(connection, events)

    async def save(self, connection: Any, world: Any) -> None:
        await self._store.save(connection, world)
        if self._order in world.orders:
            await connection.execute("UPDATE order_lines SET issuing = -1 WHERE order_id = $1", self._order)


async def open_desk_pool(database: Database) -> asyncpg.Pool:
    return await open_pool(database.service_url("orders"), "orders", 12)


def refusing(service: Service, order: str) -> Service:
    """The service with a world that makes the database refuse one order: its line counts below zero."""
    return orders_service(store=RefusedStore(service.store, order))


class Patched:
    """Named queries with some of them replaced."""

    def __init__(self, queries: Any, **changes: str) -> None:
        self._queries = queries
        self._changes = changes

    def __getattr__(self, name: str) -> Any:
        return self._changes.get(name) or getattr(self._queries, name)


# -- records ------------------------------------------------------------------------------------------


def upstream(
    type_name: str, order: str, data: dict[str, Any], event_id: str | None = None, offset: int | None = None
) -> StoredRecord:
    """An event of checkout."""
    headers = write_headers(
        id=event_id or f"evt-{uuid7()}",
        source="https://checkout.example/desk",
        type=type_name,
        subject=order,
        time=NOW,
    )
    where = next(_offsets) if offset is None else offset
    body = orjson.dumps({"order_id": order, **data})
    return StoredRecord("checkout.events", 0, where, order.encode(), body, headers)


def payment(order: str, quantity: int = 100, policy: str = "on_request", **changes: Any) -> StoredRecord:
    data = {
        "payment_id": f"pay-{order}",
        "amount": payment_money("exclusive", 1600 * quantity).total,
        "paid_at": "2031-10-21T14:03:05+09:00",
        "partner": {
            "partner_id": "P-17",
            "business_number": "1168200276",
            "name": "가나다 주식회사",
            "invoice_email": "tax@ganada.example",
        },
        "payment_method": "bank_transfer",
        "evidence": "tax_invoice",
        "issue_policy": policy,
        "vat_mode": "exclusive",
        "lines": [
            {
                "line_id": "1",
                "kind": "serials",
                "product_id": "study-30",
                "product_name": "스터디 이용권 30일",
                "unit_price": 1600,
                "quantity": quantity,
                "usage_days": 30,
            }
        ],
        **changes,
    }
    return upstream("payment.completed.v1", order, data)


def issuance(order: str, units: int, request: str = "iss-1") -> StoredRecord:
    lines = [{"line_id": "1", "quantity": units}]
    return upstream("issuance.requested.v1", order, {"request_id": request, "lines": lines})


def refund_accepted(
    order: str, units: int, refund_id: UUID | None = None, sequence: int = 1, offset: int | None = None
) -> StoredRecord:
    """What refunds says when it asks for units."""
    refund = str(refund_id or uuid7())
    data = {
        "order_id": order,
        "refund_id": refund,
        "refund_request_id": f"rr-{refund}",
        "lines": [{"line_id": "1", "quantity": units}],
    }
    return of_refunds("refund.accepted.v1", order, refund, sequence, data, offset)


def refund_released(order: str, units: int, refund_id: UUID, sequence: int = 2) -> StoredRecord:
    """What refunds says when an operator gives the units back."""
    data = {
        "order_id": order,
        "refund_id": str(refund_id),
        "refund_request_id": f"rr-{refund_id}",
        "lines": [{"line_id": "1", "quantity": units}],
        "actor": "operator:kim",
        "reason": "released_by_operator",
    }
    return of_refunds("refund.released.v1", order, str(refund_id), sequence, data, None)


def of_refunds(
    type_name: str, order: str, refund: str, sequence: int, data: dict[str, Any], offset: int | None
) -> StoredRecord:
    headers = write_headers(
        id=str(uuid7()), source="/pawl/refunds", type=type_name, subject=refund, time=NOW, sequence=sequence
    )
    where = next(_offsets) if offset is None else offset
    return StoredRecord("refunds.events", 0, where, order.encode(), orjson.dumps(data), headers)


def again(record: StoredRecord, offset: int | None = None) -> StoredRecord:
    """The same event, published once more: another record with the same bytes."""
    where = next(_offsets) if offset is None else offset
    return StoredRecord(record.topic, record.partition, where, record.key, record.value, record.headers)
