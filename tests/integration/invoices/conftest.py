"""The invoices schema of a real PostgreSQL; every test commits for real and finds the tables empty."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from ops.setup.provision import Database
from services.invoices.closes import Sizes
from services.invoices.closing import close_month
from services.invoices.handlers import ROUTES, refuse_late
from services.invoices.state import MonthSummary, Policy, World
from services.invoices.store import SQL, Store
from shared.ids import uuid7
from shared.postgres import connect, open_pool
from shared.runtime.command_queue import CommandQueue
from shared.runtime.decisions import Applied, Context, Event, Outcome
from shared.runtime.fold import Fold
from shared.runtime.outbox import Connection, Outbox
from shared.runtime.outgoing import Cause
from shared.runtime.service import Service
from shared.runtime.signals import Metrics
from shared.runtime.surroundings import Surroundings
from shared.sealing import Sealer
from tests.unit.invoices.books import CLOSED_AT, Events, line

TABLES = (
    "payments, payment_lines, documents, refunds, partners, merge_requests, merge_explanations, "
    "withdrawn_partners, partner_numbers, corrections, document_counters, months, outbox, inbox, approvals, "
    "closed_businesses, transmissions, submissions, business_registrations, changed_months, kept_stands, "
    "kept_previews, kept_left_out"
)


class PausingStore(Store):
    """Stops between reading a month, to close it or only to look at it, and what is made of it."""

    def __init__(self, store: Store) -> None:
        super().__init__(store._policy)
        self.loaded, self.go_on = asyncio.Event(), asyncio.Event()

    async def load_month(self, connection: Any, month: str, partner_ids: Any) -> World:
        return await self._pause(await super().load_month(connection, month, partner_ids))

    async def look_at_month(self, connection: Any, month: str, partner_ids: Any) -> World:
        return await self._pause(await super().look_at_month(connection, month, partner_ids))

    async def _pause(self, world: World) -> World:
        self.loaded.set()
        await self.go_on.wait()
        return world


@pytest.fixture
async def owner(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A session of the tables' owner: the schema refuses what the service may not even try."""
    session = await connect(database.owner_url, "invoices")
    yield session
    await session.close()


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[asyncpg.Pool]:
    """Sessions of the service's own role."""
    owner = await connect(database.owner_url, "invoices")
    await owner.execute(f"TRUNCATE {TABLES}")
    await owner.close()
    pool = await open_pool(database.service_url("invoices"), "invoices", 8)
    yield pool
    await pool.close()


class StoredBooks:
    """The invoices service on Postgres: each call of `take` is one committed batch."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self.events = Events()
        self.store = Store(Policy())
        self.outbox = Outbox("invoices", {"invoices.events": 12, "checkout.feedback": 12})
        service = Service("invoices", ROUTES, self.store, refuse_late)
        sealer = Sealer(b"k" * 32, "test")
        self.fold = Fold(service, pool, self.outbox, sealer, Metrics(), timedelta(hours=1))

    @property
    def surroundings(self) -> Surroundings:
        """What the routes of one process of the service work with."""
        commands = CommandQueue(self.fold.decide, self.fold.decide_alone, self.fold.try_out)
        return Surroundings(self.pool, self.outbox, send=commands.send, send_alone=commands.send_alone)

    async def take(self, *events: Event) -> list[Outcome]:
        async with self.pool.acquire() as connection, connection.transaction():
            world = await self.store.load(connection, events)
            return await self.write(connection, world, events)

    async def write(self, connection: Connection, world: World, events: Sequence[Event]) -> list[Outcome]:
        """Decides over a loaded world and saves what came out, up to the commit."""
        outcomes, rows = [], self.outbox.rows()
        for event in events:
            outcome = ROUTES[event.type].handle(world, event, Context(uuid7))
            outcomes.append(outcome)
            if isinstance(outcome, Applied):
                rows.add_all(outcome.events, Cause.of(event))
        await self.store.save(connection, world)
        await self.outbox.append(connection, rows)
        return outcomes

    async def paid_and_issued(self, *order_ids: str, **details: Any) -> None:
        """Payments of 176,000 won each, with nothing left to issue."""
        for order_id in order_ids:
            await self.take(self.events.paid(order_id, **({"lines": [line(kind="goods")]} | details)))

    async def close(
        self,
        month: str = "2026-10",
        at: str = CLOSED_AT,
        chunk: int = 200,
        in_a_set: int = 1_000,
        **said: Any,
    ) -> MonthSummary:
        instant = datetime.fromisoformat(at)
        return await close_month(
            Surroundings(self.pool, self.outbox),
            self.store,
            month,
            instant,
            sizes=Sizes(chunk, in_a_set),
            **said,
        )

    async def published(self, type_name: str) -> list[dict[str, Any]]:
        rows = await self.pool.fetch("SELECT * FROM outbox WHERE type = $1 ORDER BY id", f"{type_name}.v1")
        return [{**row, "data": orjson.loads(row["data"])} for row in rows]

    async def row(self, table: str, key: str = "true") -> dict[str, Any]:
        """The one row of a table for which `key` is true, with all its columns."""
        (row,) = await self.pool.fetch(f"SELECT * FROM {table} WHERE {key}")
        return dict(row)

    async def noted(self) -> dict[str, Any]:
        """The newest row of the audit log, which nobody empties."""
        return dict(await self.pool.fetchrow("SELECT * FROM audit_log ORDER BY id DESC LIMIT 1"))

    async def won(self) -> dict[str, int]:
        return dict(await self.pool.fetchrow(SQL.sum_evidence))

    async def check(self) -> None:
        """The auditor's view: won add up, documents equal their lines, sequences have no gap.

        A document that was issued twice has no lines, nor have those that it was a correction of.
        """
        won = await self.won()
        kept = await self.pool.fetchval(
            "SELECT coalesce(sum(supply + vat - refunded_supply - refunded_vat), 0)::bigint FROM payments"
        )
        assert sum(won.values()) == kept
        wrong = await self.pool.fetch(
            """WITH RECURSIVE twice (invoice_id) AS (
                   SELECT invoice_id FROM documents WHERE modification = 'issued_twice'
                   UNION
                   SELECT d.original_id FROM documents d JOIN twice USING (invoice_id)
                   WHERE d.original_id IS NOT NULL
               )
               SELECT d.invoice_id FROM all_documents d LEFT JOIN document_lines l USING (invoice_id)
               WHERE d.state <> 'in_merge' AND d.invoice_id NOT IN (SELECT invoice_id FROM twice)
                 AND NOT (d.refund_id IS NULL AND d.original_id IS NOT NULL
                          AND d.original_id IN (SELECT invoice_id FROM twice))
               GROUP BY d.invoice_id, d.supply, d.vat
               HAVING d.supply <> coalesce(sum(l.supply), 0) OR d.vat <> coalesce(sum(l.vat), 0)"""
        )
        assert wrong == []
        gaps = await self.pool.fetch(
            """SELECT subject FROM outbox GROUP BY subject
               HAVING array_agg(sequence ORDER BY id) <> array_agg(sequence ORDER BY sequence)
                   OR max(sequence) <> count(*)"""
        )
        assert gaps == []


@pytest.fixture
async def books(pool: asyncpg.Pool) -> AsyncIterator[StoredBooks]:
    books = StoredBooks(pool)
    yield books
    await books.check()
