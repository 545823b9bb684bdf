"""A refund desk whose order lives in Postgres; every test commits for real and finds the tables empty."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from msgspec.structs import replace

from ops.setup.provision import Database
from services.refunds.state import Order
from services.refunds.store import Store
from shared.postgres import connect
from shared.sealing import Sealer
from tests.support.tabletop import table
from tests.unit.refunds.desk import ORDER, Desk

__all__ = ["table"]

TABLES = (
    "orders, order_lines, usage_readings, bonuses, refunds, refund_lines, refund_payouts, payout_failures,"
    " refund_history, refund_details, withdrawn_partners, tax_invoices, data_keys, outbox"
)


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A session of the tables' owner: the schema refuses what the service may not even try."""
    session = await connect(database.owner_url, "refunds")
    yield session
    await session.close()


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A session of the service's own role."""
    owner = await connect(database.owner_url, "refunds")
    await owner.execute(f"TRUNCATE {TABLES}")
    await owner.close()
    session = await connect(database.service_url("refunds"), "refunds")
    yield session
    await session.close()


@pytest.fixture
async def other_connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    session = await connect(database.service_url("refunds"), "refunds")
    yield session
    await session.close()


@pytest.fixture
def store() -> Store:
    return Store(Sealer(b"k" * 32, "test"))


class StoredDesk(Desk):
    """A refund desk whose order lives in Postgres: what happens inside `at_work` is one committed batch.

    After each batch the order is read again, and has to be what was saved, in every column.
    """

    def __init__(self, store: Store, connection: asyncpg.Connection) -> None:
        super().__init__()
        self._store = store
        self._connection = connection

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator["StoredDesk"]:
        about_the_order = [self.event("order.expired.v1", {"expired_at": self.now.isoformat()})]
        async with self._connection.transaction():
            self.world = await self._store.load(self._connection, about_the_order)
            yield self
            await self._store.save(self._connection, self.world)
        assert (await self._store.load_orders(self._connection, [ORDER])).orders == self._saved()

    def _saved(self) -> dict[str, Order]:
        """The orders as they are read again: without what was new in this batch."""
        return {
            order_id: replace(
                order,
                refunds={
                    refund_id: replace(refund, changes=(), details=None)
                    for refund_id, refund in order.refunds.items()
                },
            )
            for order_id, order in self.world.orders.items()
        }


@pytest.fixture
def desk(store: Store, connection: asyncpg.Connection) -> StoredDesk:
    return StoredDesk(store, connection)
