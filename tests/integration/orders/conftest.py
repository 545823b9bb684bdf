"""An orders service whose state lives in Postgres; every test commits for real and finds the tables empty."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from ops.setup.provision import Database
from services.orders.app import build
from services.orders.expiry import expire_some
from services.orders.handlers import ROUTES
from services.orders.ranking import rebuild
from services.orders.settings import OrdersSettings
from services.orders.state import World
from services.orders.store import SQL, Store
from shared.events.canonical import content_hash
from shared.events.catalogue import TYPES
from shared.events.fields import Data
from shared.postgres import connect, open_pool
from shared.runtime.decisions import Applied, Context, Event, NewEvent, Position
from shared.runtime.outbox import Outbox
from shared.runtime.surroundings import Surroundings
from tests.unit.orders.builders import AT

KEYS: Mapping[str, tuple[str, ...]] = {
    "orders": ("order_id",),
    "order_lines": ("order_id", "line_id"),
    "claims": ("claim_id", "line_id"),
    "issue_requests": ("order_id", "request_id"),
    "quarantine": ("order_id", "number"),
    "partners": ("partner_id",),
    "withdrawal_requests": ("partner_id", "request_id"),
    "invoiced_payments": ("payment_id", "order_id"),
    "payments": ("payment_id",),
    "sales": ("order_id", "product_id"),
}
UNREAD: Mapping[str, tuple[str, ...]] = {
    "orders": ("recorded_at", "cancelled_payments"),
    "quarantine": ("taken_back",),
}
"""Columns that the service does not read: what the clock says, and what only older versions write."""
TYPE_OF = {kind.model: name for name, kind in TYPES.items()}

Rows = dict[str, dict[str, Any]]


class StoredDesk:
    """The service at work: `take` is one committed batch, and says which columns of which rows it changed.

    A row is named by its table and key, `order_lines A-1 2`. A new row shows all of its columns, a row that
    is gone none. `events` are those that followed from the last batch.
    """

    def __init__(self, pool: asyncpg.Pool, connection: Any) -> None:
        self.events: list[NewEvent] = []
        self.connection = connection
        self.store = Store()
        self._surroundings = Surroundings(pool, Outbox("orders", {"orders.events": 12}))
        self._ids = count(1)

    @property
    def last(self) -> dict[str, Any]:
        """The data of the last event."""
        return self.events[-1].data

    @property
    def types(self) -> list[str]:
        """The types of the events of the last batch, without their version."""
        return [event.type.removesuffix(".v1") for event in self.events]

    async def take(self, *documents: Data, at: datetime = AT) -> Rows:
        before = await self.rows()
        batch = [event(document, at) for document in documents]
        async with self.connection.transaction():
            world = await self.store.load(self.connection, batch)
            outcomes = [ROUTES[e.type].handle(world, e, Context(self._new_id)) for e in batch]
            await self.store.save(self.connection, world)
        assert all(isinstance(outcome, Applied) for outcome in outcomes), outcomes
        self.events = [new for outcome in outcomes for new in outcome.events]
        await self._assert_read_again(world, batch)
        return changes(before, await self.rows())

    async def expire(self, grace: timedelta) -> Rows:
        """The next look of the deposit expirer."""
        before = await self.rows()
        await expire_some(self._surroundings, self.store, grace)
        return changes(before, await self.rows())

    async def rank(self, since: datetime = AT, limit: int = 10) -> list[tuple[str, int]]:
        """Products and their orders, the best first."""
        rows = await self.connection.fetch(SQL.ranking, since, limit)
        return [(row["product_id"], row["orders"]) for row in rows]

    async def rebuild_ranking(self) -> int:
        """What the rebuilder does every night."""
        return await rebuild(self._surroundings, self.store)

    async def run_agent(self, settings: OrdersSettings) -> None:
        """The deposit expirer, told this, until it is cancelled."""
        expirer, _rebuilder = build(settings).agents
        await expirer(self._surroundings)

    async def rows(self) -> Rows:
        """Everything that the service keeps, but for what the clock of the database says."""
        found: Rows = {}
        for table, key in KEYS.items():
            for row in await self.connection.fetch(f"SELECT * FROM {table}"):
                name = " ".join([table, *(str(row[column]) for column in key)])
                unread = UNREAD.get(table, ())
                found[name] = {column: value for column, value in row.items() if column not in unread}
                if table == "orders":
                    found[name]["partner"] = orjson.loads(row["partner"])
                    found[name]["reversals"] = orjson.loads(row["reversals"])
                    found[name]["repeats"] = orjson.loads(row["repeats"])
        return found

    async def outbox(self) -> list[tuple[str, str]]:
        """Type and key of what the agents said, in order."""
        rows = await self.connection.fetch("SELECT type, key FROM outbox ORDER BY id")
        return [(row["type"], row["key"]) for row in rows]

    async def _assert_read_again(self, world: World, batch: list[Event[Any]]) -> None:
        transaction = self.connection.transaction()
        await transaction.start()
        read = await self.store.load(self.connection, batch)
        await transaction.rollback()
        assert (read.orders, read.partners) == (world.orders, world.partners)

    def _new_id(self) -> UUID:
        return UUID(int=next(self._ids))


def event(document: Data, at: datetime) -> Event[Any]:
    """The event of a document that happened at this moment; its id names its type."""
    name = TYPE_OF[type(document)]
    key = getattr(document, TYPES[name].key_field)
    return Event(
        source="test",
        id=f"evt-{name}",
        type=name,
        subject=key,
        key=key,
        time=at,
        correlation=key,
        sequence=None,
        content=content_of(document),
        data=document,
        position=Position("test", 0, 0),
    )


def content_of(document: Data) -> bytes:
    """The hash by which a repeated request is told from another one under its id."""
    return content_hash(TYPE_OF[type(document)], document.model_dump_json().encode())


def changes(before: Rows, after: Rows) -> Rows:
    """What differs: of a row that was there the columns with their new values."""
    return {
        name: {
            column: value
            for column, value in after.get(name, {}).items()
            if name not in before or before[name][column] != value
        }
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    }


@pytest.fixture
async def pool(database: Database, clean_schemas: None) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_pool(database.service_url("orders"), "orders", 2)
    yield pool
    await pool.close()


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A session of the tables' owner: the schema refuses what the service may not even try."""
    session = await connect(database.owner_url, "orders")
    yield session
    await session.close()


@pytest.fixture
async def desk(pool: asyncpg.Pool) -> AsyncIterator[StoredDesk]:
    async with pool.acquire() as connection:
        yield StoredDesk(pool, connection)
