"""A serials desk on a real PostgreSQL: every test commits for real and finds the tables empty."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import orjson
import pytest

from ops.setup.provision import Database
from services.serials.api import http_routes
from services.serials.attempts import Limits
from services.serials.codes import make_serials
from services.serials.commands import COMMANDS
from services.serials.handlers import ROUTES, refuse_late
from services.serials.issuing import Issuer
from services.serials.state import Policy, World
from services.serials.store import Store
from services.serials.vault import Vault
from services.serials.writer import SerialWriter
from shared.events.orders import IssuanceGrantedTogether
from shared.ids import random_bytes
from shared.postgres import connect, open_pool
from shared.runtime.command_queue import CommandQueue
from shared.runtime.decisions import Applied, Event
from shared.runtime.fold import Fold
from shared.runtime.outbox import Outbox
from shared.runtime.outgoing import Cause
from shared.runtime.service import Service
from shared.runtime.signals import Metrics
from shared.runtime.surroundings import Surroundings
from shared.sealing import Sealer
from tests.support.desk import Crash
from tests.support.granted import CONTEXT, new_vault
from tests.support.tokens import Provider
from tests.support.web import ALL, app_of, client_of

TABLES = (
    "orders, grants, serials, custody, failed_attempts, serial_keys, audit_log,"
    " outbox, parked, dead_letters, cursors, inbox"
)
CHUNK = 500
SEALER = Sealer(bytes(32), "test")
PROVIDER = Provider()


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
        self.store = Store(self.writer, self.policy, SEALER)
        self.outbox = Outbox("serials", {"serials.events": 12})

    def worker(self, outbox: Outbox | None = None, writer: SerialWriter | None = None) -> Issuer:
        """An issuing worker, as each instance of the service has one."""
        store = Store(writer, self.policy, SEALER) if writer else self.store
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
        """The auditor's view: one serial for each issued unit and one for each that was reissued, numbered
        without a gap, and no other; and so many dead ones as their grant counts.
        """
        wrong = await self.pool.fetch(
            """SELECT grant_id
               FROM (SELECT grant_id, count(*) AS made, count(*) FILTER (WHERE state = 'revoked') AS revoked,
                            count(replaces) AS reissued,
                            max(('x' || right(serial_id::text, 6))::bit(24)::integer) AS last
                     FROM serials GROUP BY grant_id) s
               FULL JOIN grants g USING (grant_id)
               WHERE coalesce(made, 0) IS DISTINCT FROM g.issued + g.reissued
                  OR coalesce(last, 0) IS DISTINCT FROM g.issued + g.reissued
                  OR coalesce(s.revoked, 0) <> g.revoked OR coalesce(s.reissued, 0) <> g.reissued"""
        )
        assert wrong == []
        gaps = await self.pool.fetch(
            """SELECT subject FROM outbox GROUP BY subject
               HAVING array_agg(sequence ORDER BY id) <> array_agg(sequence ORDER BY sequence)
                   OR max(sequence) <> count(*)"""
        )
        assert gaps == []


class Process:
    """One process of serials, asked over HTTP. `crashing_at` names the point where it dies."""

    def __init__(
        self, desk: Desk, crashing_at: str = "", limits: Limits | None = None, vault: Vault | None = None
    ) -> None:
        self.died = asyncio.Event()
        self._crashing_at = crashing_at
        store = Store(SerialWriter(vault, random_bytes), desk.policy, SEALER) if vault else desk.store
        outbox = Outbox("serials", desk.outbox.partitions, self._reach)
        service = Service("serials", ROUTES, store, refuse_late, commands=COMMANDS)
        fold = Fold(service, desk.pool, outbox, SEALER, Metrics(), timedelta(hours=1))
        queue = CommandQueue(fold.decide, fold.decide_alone, fold.try_out)
        self.surroundings = Surroundings(desk.pool, outbox, send=queue.send, send_alone=queue.send_alone)
        routes = http_routes(self.surroundings, store, limits or Limits(), "https://register.example")
        self._app = app_of(routes, PROVIDER.tokens(), "serials", at_once=1_000)

    def _reach(self, point: str) -> None:
        if point == self._crashing_at:
            self.died.set()
            raise Crash(point)

    def client(
        self, *, address: str = "127.0.0.1", scope: str = ALL, language: str = "en", **claims: Any
    ) -> httpx.AsyncClient:
        """Somebody who asks it; with everything that a token can allow, unless something else is said."""
        headers = {**PROVIDER.allowing(scope, **claims), "Accept-Language": language}
        return client_of(self._app, headers, address)

    async def ask(self, path: str, body: Any, key: str | None = None, **who: Any) -> httpx.Response:
        """The answer to one POST."""
        async with self.client(**who) as client:
            return await client.post(
                f"/v1/{path}", json=body, headers={} if key is None else {"Idempotency-Key": key}
            )

    async def see(self, path: str, **who: Any) -> httpx.Response:
        """The answer to one GET."""
        async with self.client(**who) as client:
            return await client.get(f"/v1/{path}")

    async def register(
        self, serial: str, account: str = "acct-1", key: str | None = None, **who: Any
    ) -> httpx.Response:
        """An account registers a serial."""
        return await self.ask("registrations", {"serial": serial, "account": account}, key, **who)


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
