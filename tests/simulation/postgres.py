"""The histories of the simulation once more, on the real stores and a real Postgres.

A history is played in memory first, without faults, and every batch, sweep, chunk, look and close of it is
written down. Then each service does the same again on its own schema, fed with the same records. Its tables
must end as those in memory did: so neither the SQL nor its twin in `tables.py` says what the other does not.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, NamedTuple
from unittest.mock import patch
from uuid import UUID

import asyncpg

import services.orders.expiry as expiry
import services.serials.issuing as issuing
import services.serials.store as serials_store
import shared.runtime.fold as fold_module
from ops.setup.provision import Database
from services.invoices import commands
from services.invoices.commands import CorrectBody, MergeBody
from services.invoices.store import Store as InvoicesStore
from services.orders.store import Store as OrdersStore
from services.serials.store import Store as SerialsStore
from services.serials.vault import KeptSerials
from services.serials.writer import SerialWriter
from shared.events.catalogue import SERVICES
from shared.postgres import session_settings
from shared.runtime.decisions import Context
from shared.runtime.fold import Fold
from shared.runtime.records import StoredRecord
from shared.runtime.surroundings import Surroundings
from tests.simulation import engine, system
from tests.simulation.engine import Outcome, Simulation
from tests.simulation.memory import Row
from tests.simulation.system import (
    NEVER,
    Plain,
    Silence,
    Site,
    System,
    close_like_finance,
    to_correct,
    to_end,
    to_merge,
    to_register,
)
from tests.support.commands import Person
from tests.support.granted import new_vault

IDS_A_STEP = 4_096
ACTS = (
    *("handle", "sweep", "issue_chunk", "expire", "close", "merge_business", "correct"),
    *("register", "end_serial"),
)
"""The methods of a site that are played again."""
EVER = -NEVER
"""An age that everything has: what waits is tried again whenever it last was."""

WALL: ContextVar[datetime] = ContextVar("wall")
CLOCK = "simulated"
"""The schema whose `now()` stands before that of Postgres."""


class Step(NamedTuple):
    """What one service did: `act` is a method of `Site`."""

    number: int
    act: str
    arguments: tuple[Any, ...]
    wall: datetime


@dataclass(slots=True)
class Recording:
    """A history: what each service did, in order, and the tables that it ended with."""

    outcome: Outcome
    system: System
    steps: Mapping[str, list[Step]]


class Quiet(Simulation):
    """A history without faults of Postgres, and with one consumer of a service at a time.

    What these do is timing, which no two databases share. Topics are not read again at the end.
    """

    def _two_owners(self) -> None:
        self._poll()

    def _replay(self) -> None:
        """Nothing is asked here that the simulation itself does not ask."""


def record(seed: int, orders: int) -> Recording:
    """Plays a seed in memory and writes down what each service does."""
    simulation = Quiet(seed, orders)
    steps: dict[str, list[Step]] = {name: [] for name in SERVICES}
    with ExitStack() as stack:
        stack.enter_context(patch.object(engine, "Fault", lambda *_: None))
        for act in ACTS:
            stack.enter_context(patch.object(Site, act, _written_down(act, steps)))
        outcome = simulation.run()
    return Recording(outcome, simulation.system, steps)


def _written_down(act: str, steps: Mapping[str, list[Step]]) -> Callable[..., Any]:
    real = getattr(Site, act)

    def run(site: Site, *arguments: Any) -> Any:
        mine = steps[site.name]
        step = Step(len(mine) + 1, act, arguments, site.database.wall)
        mine.append(step)
        site.database.ids = step.number * IDS_A_STEP
        return real(site, *arguments)

    return run


# The same on Postgres


class MadeNow:
    """A stock that has nothing at hand."""

    def __init__(self, writer: SerialWriter) -> None:
        self._writer = writer

    async def take(self, units: int) -> KeptSerials:
        return await self._writer.make(units)

    def expect(self, units: int, chunk: int) -> None:
        """Nothing is made ahead."""


@dataclass(slots=True)
class Place:
    """One service on its schema: what a `Site` is in memory."""

    site: Site
    pool: asyncpg.Pool
    fold: Fold = field(init=False)

    def __post_init__(self) -> None:
        store = self.site.service.store
        if isinstance(store, SerialsStore):
            store.writer = SerialWriter(new_vault())
        site, sealer, metrics = self.site, Plain(), Silence()
        self.fold = Fold(site.service, self.pool, site.outbox, sealer, metrics, NEVER)  # type: ignore[arg-type]
        self.fold._context = Context(new_id=self.site.database.new_id)

    @property
    def surroundings(self) -> Surroundings:
        return Surroundings(self.pool, self.site.outbox)

    async def play(self, steps: Sequence[Step]) -> None:
        """Does all of it, in order."""
        for step in steps:
            self.site.database.ids = step.number * IDS_A_STEP
            WALL.set(step.wall)
            await self.pool.execute(f"SELECT set_config('{CLOCK}.now', $1, false)", step.wall.isoformat())
            await getattr(self, step.act)(*step.arguments)

    async def handle(self, records: Sequence[StoredRecord]) -> None:
        await self.fold.handle(records)

    async def sweep(self) -> None:
        rows = await self.pool.fetch(fold_module.SQL.keys_to_retry, EVER, 1_000)
        if rows:
            await self.fold.retry_keys(sorted(row["key"] for row in rows))

    async def issue_chunk(self) -> None:
        store = self.site.service.store
        assert isinstance(store, SerialsStore)
        issuer = issuing.Issuer(self.surroundings, store)
        issuer._stock = MadeNow(store.writer)  # type: ignore[assignment]
        await issuer.issue_chunk()

    async def expire(self) -> None:
        store = self.site.service.store
        assert isinstance(store, OrdersStore)
        await expiry.expire_some(self.surroundings, store, timedelta(seconds=10))

    async def close(self, month: str, at: datetime) -> None:
        store = self.site.service.store
        assert isinstance(store, InvoicesStore)
        await close_like_finance(self.surroundings, store, month, at, self.site.database.new_id)

    async def register(self, serial_id: UUID, account: str, key: str, at: datetime) -> None:
        await self.fold.decide([to_register(self.site, serial_id, account, key, at)])

    async def end_serial(self, how: str, serial: Row, who: Person, key: str, at: datetime) -> None:
        grant_id = serial["grant_id"]
        order_id = await self.pool.fetchval("SELECT order_id FROM grants WHERE grant_id = $1", grant_id)
        await self.fold.decide([to_end(self.site, how, serial["serial_id"], order_id, who, key, at)])

    async def merge_business(self, month: str, body: MergeBody, at: datetime) -> None:
        await self.fold.decide_alone(*to_merge(self.site, month, body, at))

    async def correct(self, month: str, body: CorrectBody, at: datetime) -> None:
        await self.fold.decide_alone(*to_correct(self.site, month, body, at))


async def _no_reset(connection: Any) -> None:
    """The session keeps its time."""


@asynccontextmanager
async def simulated_clock(database: Database) -> AsyncIterator[None]:
    """While this is open, sessions that ask for it have the time of the simulation."""
    admin = await asyncpg.connect(database.admin_url)
    recorded_at = "ALTER TABLE orders.orders ALTER COLUMN recorded_at SET DEFAULT"
    await admin.execute(
        f"""CREATE SCHEMA {CLOCK};
            GRANT USAGE ON SCHEMA {CLOCK} TO PUBLIC;
            CREATE FUNCTION {CLOCK}.now() RETURNS timestamptz STABLE LANGUAGE sql
                AS $$ SELECT coalesce(nullif(current_setting('{CLOCK}.now', true), '')::timestamptz,
                                      pg_catalog.now()) $$;
            GRANT EXECUTE ON FUNCTION {CLOCK}.now() TO PUBLIC;
            {recorded_at} {CLOCK}.now()"""
    )
    try:
        yield
    finally:
        await admin.execute(f"{recorded_at} pg_catalog.now(); DROP SCHEMA {CLOCK} CASCADE")
        await admin.close()


@asynccontextmanager
async def pools(database: Database) -> AsyncIterator[Mapping[str, asyncpg.Pool]]:
    """One session of each service's own role, on the clock of the simulation."""
    opened: dict[str, asyncpg.Pool] = {}
    try:
        for name in SERVICES:
            settings = {**session_settings(name), "search_path": f"{name}, {CLOCK}, pg_catalog"}
            opened[name] = await asyncpg.create_pool(
                database.service_url(name), min_size=1, max_size=1, server_settings=settings, reset=_no_reset
            )
        yield opened
    finally:
        for pool in opened.values():
            await pool.close()


@contextmanager
def _without_the_machine(places: Mapping[str, Place]) -> Iterator[None]:
    silent, serials = Silence(), places["serials"].site.database
    invoices = places["invoices"].site.database
    with ExitStack() as stack:
        for module, name, value in (
            (fold_module, "now", WALL.get),
            (fold_module, "log", silent),
            (commands, "uuid7", invoices.new_id),
            (expiry, "now", WALL.get),
            (expiry, "log", silent),
            (issuing, "log", silent),
            (serials_store, "uuid7_run", lambda count: serials.new_id()),
        ):
            stack.enter_context(patch.object(module, name, value))
        yield


async def play(recording: Recording, sessions: Mapping[str, asyncpg.Pool]) -> None:
    """Each service does on its empty schema what it did in memory; the services go on side by side."""
    broker = recording.system.broker
    places = {
        name: Place(system._site(name, number, broker, recording.system.watch), sessions[name])
        for number, name in enumerate(SERVICES, start=1)
    }
    with _without_the_machine(places):
        await asyncio.gather(*(place.play(recording.steps[name]) for name, place in places.items()))


# What has become of it

WITHOUT_ID = ("parked", "outbox", "dead_letters")
"""Tables whose rows are numbered by the database: their order counts."""
OWN = {"event_id"}
"""Ids of our own events are drawn on each side."""


async def differences(recording: Recording, sessions: Mapping[str, asyncpg.Pool]) -> list[str]:
    """Each table that has not the same rows in memory and in Postgres, with the first row that differs."""
    return [
        f"{name}.{table}: {found}"
        for name, site in recording.system.sites.items()
        for table in await tables_of(sessions[name])
        if (found := await _difference(sessions[name], table, rows_in_memory(site, table))) is not None
    ]


async def tables_of(pool: asyncpg.Pool) -> list[str]:
    """The tables of a schema that tell what happened, not those that are added up from them."""
    rows = await pool.fetch(
        r"""SELECT relname FROM pg_class
           WHERE relnamespace = current_schema()::regnamespace
             AND relkind IN ('r', 'p') AND NOT relispartition
             AND relname NOT IN ('schema_migrations', 'relay', 'unsent', 'retention', 'audit_log')
             AND relname <> 'changed_months' AND relname NOT LIKE 'kept\_%'
           ORDER BY relname"""
    )
    return [row["relname"] for row in rows]


def rows_in_memory(site: Site, table: str) -> list[dict[str, Any]]:
    """The rows of a site's table as rows of its schema."""
    return [_row_in_memory(table, key, row) for key, row in site.database.tables.get(table, {}).items()]


def _row_in_memory(table: str, key: Any, row: Any) -> dict[str, Any]:
    match table:
        case "inbox":
            return {"source": key[0], "event_id": key[1], "content": row}
        case "cursors":
            return {"source": key[0], "subject": key[1], "sequence": row}
        case "invoiced_payments":
            return {"payment_id": key[0], "order_id": key[1]}
        case _:
            return {name: value for name, value in row.items() if _counts(table, name)}


def _counts(table: str, column: str) -> bool:
    return not ((table in WITHOUT_ID and column == "id") or (table == "outbox" and column in OWN))


async def _difference(pool: asyncpg.Pool, table: str, rows: list[dict[str, Any]]) -> str | None:
    order = " ORDER BY id" if table in WITHOUT_ID else ""
    stored = await pool.fetch(f'SELECT * FROM "{table}"{order}')
    real = [_comparable({name: row[name] for name in (rows[0] if rows else {})}) for row in stored]
    played = [_comparable(row) for row in rows]
    if table not in WITHOUT_ID:
        real, played = sorted(real), sorted(played)
    if real == played:
        return None
    for one, other in zip(played, real, strict=False):
        if one != other:
            return f"in memory {one}\n  in Postgres {other}"
    return f"{len(played)} rows in memory, {len(real)} in Postgres"


def _comparable(row: Mapping[str, Any]) -> str:
    return repr(sorted((name, _plain(value)) for name, value in row.items()))


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, str) and value[:1] in ("[", "{"):
        return json.loads(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
