"""A serials desk on a real PostgreSQL: every test commits for real and finds the tables empty."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from ops.setup.provision import Database
from services.serials.codes import make_serials
from services.serials.handlers import ROUTES
from services.serials.issuing import Issuer
from services.serials.state import Policy, World
from services.serials.store import Store
from services.serials.vault import Vault
from services.serials.writer import SerialWriter
from shared.events.orders import IssuanceGrantedTogether
from shared.ids import random_bytes
from shared.postgres import connect, open_pool
from shared.runtime.decisions import Applied, Event
from shared.runtime.outbox import Outbox
from shared.runtime.outgoing import Cause
from shared.runtime.surroundings import Surroundings
from tests.support.granted import CONTEXT, new_vault

TABLES = "orders, grants, serials, custody, outbox, parked, dead_letters, cursors, inbox"
CHUNK = 500


class RememberedBytes:
    """A random source that remembers what it gave, so that a test knows the serials nobody else may read."""

    def __init__(self, source: Callable[[int], bytes]) -> None:
        self._source = source
        self.given: list[bytes] = []

    def __call__(self, count: int) -> bytes:
        self.given.append(self._source(count))
        return self.given[-1]

    def serials(self) -> list[str]:
        """Every serial that was ever made, also those of chunks that were rolled back."""
        return [bytes(row).decode() for given in self.given for row in make_serials(given)]


def grants_of(data: dict[str, Any]) -> list[str]:
    """The grants that an event of serials names."""
    return [each["grant_id"] for each in data.get("grants", [data])]


class Desk:
    """The serials service without Kafka: `take` is one committed batch of events."""

    def __init__(self, pool: asyncpg.Pool, random: Callable[[int], bytes]) -> None:
        self.pool = pool
        self.vault: Vault = new_vault()
        self.policy = Policy(small_grant=200, at_once=1_000, chunk=CHUNK)
        self.writer = SerialWriter(self.vault, random)
        self.store = Store(self.writer, self.policy)
        self.outbox = Outbox("serials", {"serials.events": 12})

    def worker(self, outbox: Outbox | None = None, writer: SerialWriter | None = None) -> Issuer:
        """An issuing worker, as each instance of the service has one."""
        store = Store(writer, self.policy) if writer else self.store
        return Issuer(Surroundings(self.pool, outbox or self.outbox), store, 0.05)

    async def take(self, *events: Event[IssuanceGrantedTogether]) -> None:
        async with self.pool.acquire() as connection, connection.transaction():
            world = await self.store.load(connection, events)
            await self.write(connection, world, *events)

    async def write(self, connection: Any, world: World, *events: Event[IssuanceGrantedTogether]) -> None:
        """Decides over a loaded world and saves what came out, up to the commit."""
        rows = self.outbox.rows()
        for event in events:
            outcome = ROUTES[event.type].handle(world, event, CONTEXT)
            assert isinstance(outcome, Applied)
            rows.add_all(outcome.events, Cause.of(event))
        await self.store.save(connection, world)
        await self.outbox.append(connection, rows)

    async def serials_of(self, grant_id: UUID) -> int:
        count: int = await self.pool.fetchval("SELECT count(*) FROM serials WHERE grant_id = $1", grant_id)
        return count

    async def events_of(self, grant_id: UUID) -> list[dict[str, Any]]:
        """Its progress, and the event that names it as whole."""
        rows = await self.pool.fetch("SELECT * FROM outbox ORDER BY id")
        events = [{**row, "data": orjson.loads(row["data"])} for row in rows]
        return [event for event in events if str(grant_id) in grants_of(event["data"])]

    async def check(self) -> None:
        """The auditor's view: one serial for each issued unit, numbered without a gap, and no other."""
        wrong = await self.pool.fetch(
            """SELECT grant_id
               FROM (SELECT grant_id, count(*) AS made,
                            max(('x' || right(serial_id::text, 6))::bit(24)::integer) AS last
                     FROM serials GROUP BY grant_id) s
               FULL JOIN grants g USING (grant_id)
               WHERE coalesce(made, 0) IS DISTINCT FROM g.issued
                  OR coalesce(last, 0) IS DISTINCT FROM g.issued"""
        )
        assert wrong == []
        gaps = await self.pool.fetch(
            """SELECT subject FROM outbox GROUP BY subject
               HAVING array_agg(sequence ORDER BY id) <> array_agg(sequence ORDER BY sequence)
                   OR max(sequence) <> count(*)"""
        )
        assert gaps == []


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A session of the tables' owner: the schema refuses what the service may not even try."""
    session = await connect(database.owner_url, "serials")
    yield session
    await session.close()


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[asyncpg.Pool]:
    """Sessions of the service's own role."""
    admin = await connect(database.admin_url, "serials")
    # As a replica: a trigger keeps the custody log from everybody else.
    await admin.execute(f"SET LOCAL session_replication_role = replica; TRUNCATE {TABLES}")
    await admin.close()
    pool = await open_pool(database.service_url("serials"), "serials", 6)
    yield pool
    await pool.close()


@pytest.fixture
def random() -> RememberedBytes:
    return RememberedBytes(random_bytes)


@pytest.fixture
async def desk(pool: asyncpg.Pool, random: RememberedBytes) -> AsyncIterator[Desk]:
    desk = Desk(pool, random)
    yield desk
    await desk.check()
