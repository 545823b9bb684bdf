"""Large grants: a million serials into an empty table (G6), and a million more among ten million (G7).

Ours is the issuing worker of the service with its own chunks: it makes, hashes, encrypts and inserts serials,
counts them in the grant and says how far it is. The other sides get rows that are ready, and insert them.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import Any

import asyncpg
import numpy as np
from msgspec.structs import replace

from benchmarks.stage import Stage, set_environment
from services.serials.issuing import Issuer
from services.serials.rows import COLUMNS
from services.serials.settings import SerialsSettings
from services.serials.state import Grant, Part, Policy, Product
from services.serials.store import GRANTS, SQL, Store
from services.serials.vault import KeptSerials
from services.serials.writer import SerialWriter
from shared.clock import monotonic, now
from shared.ids import RUN_LIMIT, uuid7, uuid7_run
from shared.postgres import open_pool
from shared.runtime.outbox import Outbox
from shared.runtime.surroundings import Surroundings
from shared.settings import read_settings

SERVICE = "serials"
LARGEST_GRANT = 1_000_000
INSERT_ROW = f"INSERT INTO serials ({', '.join(COLUMNS)}) VALUES ($1, $2, $3, $4, $5, $6)"
COUNT = "SELECT count(*) FROM serials.serials"
SORTED_ROWS = f"SELECT {', '.join(COLUMNS)} FROM serials ORDER BY lookup_tag"
SOME_TAGS = """
    SELECT lookup_tag FROM serials.serials_0 TABLESAMPLE SYSTEM (0.5) JOIN serials.grants USING (grant_id)
    LIMIT $1
"""
WHO = bytes(16)
TURNS = 4
"""So often each side of a comparison has its turn; the first warms up and does not count."""


@dataclass(slots=True, frozen=True)
class Bulk:
    """What inserting so many serials took: serials a second, and bytes of write-ahead log for each."""

    rate: float
    wal: float


@dataclass(slots=True, frozen=True)
class Desk:
    """The parts of the serials service that large grants go through.

    `without_homes` issues as `worker` does, and puts all serials among those of all other grants.
    """

    pool: asyncpg.Pool
    writer: SerialWriter
    worker: Issuer
    without_homes: Issuer
    policy: Policy

    async def fill(self, full: int) -> None:
        """Issues serials into one table until it has so many; what is there already counts."""
        there = await self.pool.fetchval("SELECT count(*) FROM serials_0")
        for first in range(there, full, LARGEST_GRANT):
            await self.grant(min(LARGEST_GRANT, full - first))
            await self.without_homes.drain()

    async def grant(self, units: int) -> None:
        """Records a grant, of which no unit exists yet."""
        async with self.pool.acquire() as connection:
            await GRANTS.save(connection, [(_new_grant(units), None)])


async def into_an_empty_table(stage: Stage, units: int, one_by_one: int) -> tuple[Bulk, Bulk, Bulk]:
    """Ours, one COPY of the same rows in the order of their tags, and some of them a row at a time.

    All rows of the third side share one transaction, so it pays for one commit only.
    """
    await stage.clear()
    async with open_desk(stage) as desk, desk.pool.acquire() as connection:
        await desk.grant(units)
        ours = await _measured(stage, units, desk.worker.drain)
        rows = await _stored_rows(connection)
        await stage.clear()
        copy = await _measured(stage, units, lambda: _copy(connection, rows))
        some = await connection.fetch(f"{SORTED_ROWS} LIMIT {one_by_one}")
        await stage.clear()
        single = await _measured(stage, one_by_one, lambda: _insert_each(connection, some))
    return ours, copy, single


async def into_a_full_table(stage: Stage, full: int, units: int) -> tuple[Bulk, Bulk]:
    """Ours, and COPY in the order of chance, a chunk a transaction, into a table of `full` rows or more.

    The rows stay, so that not every run has to fill the table anew: each finds what the earlier ones made.
    """
    async with open_desk(stage) as desk, desk.pool.acquire() as connection:
        await desk.fill(full)
        async with stage.connected() as admin:
            await admin.execute(
                "VACUUM serials.serials_0"
            )  # else it is done in the middle of what is measured
        await desk.grant(units)
        ours = await _measured(stage, units, desk.worker.drain)
        chunks = [await _unsorted_chunk(desk) for _ in range(0, units, desk.policy.chunk)]
        made = sum(len(kept) for _, kept in chunks)

        async def copy_chunks() -> None:
            for part, kept in chunks:
                await desk.writer.write(connection, [part], kept)

        return ours, await _measured(stage, made, copy_chunks)


async def looked_up(stage: Stage, full: int, probes: int) -> tuple[float, float]:
    """Seconds for so many look-ups of a typed serial: with as many homes as may be, and in the largest alone.

    Both find the same serials, in turns; all rows are in memory then.
    """
    async with open_desk(stage) as desk, stage.connected() as admin, desk.pool.acquire() as connection:
        await desk.fill(full)
        homes = await admin.fetchval(
            "SELECT count(*) FROM pg_inherits WHERE inhparent = 'serials.serials'::regclass"
        )
        for _ in range(homes, desk.policy.homes + 1):
            home = await connection.fetchval(SQL.make_home, desk.policy.homes)
            await connection.execute(SQL.index_home, home)
            await connection.execute(SQL.open_home, home)
        tags = await admin.fetch(SOME_TAGS, probes)
        one = SQL.typed_serials.replace("FROM serials s", "FROM serials_0 s")
        sides = [await connection.prepare(text) for text in (SQL.typed_serials, one)]
        seconds = [0.0, 0.0]
        for turn in range(TURNS):
            for side, statement in enumerate(sides):
                took = await _looked_up(statement, [row["lookup_tag"] for row in tags])
                seconds[side] += took if turn else 0
        return seconds[0], seconds[1]


async def _looked_up(statement: Any, tags: Sequence[bytes]) -> float:
    started = monotonic()
    for tag in tags:
        found = await statement.fetchrow([tag], [now()], [WHO], [WHO], [None], ["1"])
        assert found["serial_id"] is not None
    return monotonic() - started


async def _measured(stage: Stage, units: int, work: Callable[[], Awaitable[Any]]) -> Bulk:
    async with stage.connected() as admin:
        there = await admin.fetchval(COUNT)
        await admin.execute("CHECKPOINT")
        before = await admin.fetchval("SELECT pg_current_wal_insert_lsn()")
        started = monotonic()
        await work()
        seconds = monotonic() - started
        wal = await admin.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", before)
        made = await admin.fetchval(COUNT) - there
    if made != units:
        raise AssertionError(f"{made} serials instead of {units}")
    return Bulk(units / seconds, float(wal) / units)


async def _stored_rows(connection: Any) -> bytes:
    blocks: list[bytes] = []

    async def keep(block: bytes) -> None:
        blocks.append(block)

    await connection.copy_from_query(SORTED_ROWS, output=keep, format="binary", timeout=120)
    return b"".join(blocks)


async def _copy(connection: Any, rows: bytes) -> None:
    await connection.copy_to_table(
        SERVICE, source=BytesIO(rows), columns=COLUMNS, format="binary", timeout=120
    )


async def _insert_each(connection: Any, rows: Sequence[Sequence[Any]]) -> None:
    statement = await connection.prepare(INSERT_ROW)
    async with connection.transaction():
        for row in rows:
            await statement.fetch(*row)


async def _unsorted_chunk(desk: Desk) -> tuple[Part, KeptSerials]:
    kept = await desk.writer.make(desk.policy.chunk)
    order = np.random.default_rng().permutation(len(kept))
    unsorted = KeptSerials(kept.key_id, kept.tags[order], kept.texts[order], kept.last_four[order])
    return Part(uuid7(), uuid7_run(RUN_LIMIT), 1, len(kept)), unsorted


@asynccontextmanager
async def open_desk(stage: Stage, connections: int = 3) -> AsyncIterator[Desk]:
    """The desk on this stage, with the settings of the service and so many connections at most."""
    set_environment(stage.environment(SERVICE))
    settings = read_settings(SerialsSettings)
    policy, writer, sealer = settings.policy(), SerialWriter(settings.vault()), settings.sealer()
    store = Store(writer, policy, sealer)
    without_homes = Store(writer, replace(policy, homes=0), sealer)
    pool = await open_pool(str(settings.database_url), SERVICE, connections)
    try:
        surroundings = Surroundings(pool, Outbox(SERVICE, stage.partitions))
        worker, other = Issuer(surroundings, store), Issuer(surroundings, without_homes)
        yield Desk(pool, writer, worker, other, policy)
    finally:
        await pool.close()


def _new_grant(units: int) -> Grant:
    granted_at = now()  # so that its serials can be registered
    return Grant(
        grant_id=uuid7(),
        batch_id=uuid7_run(RUN_LIMIT),
        order_id="A-1",
        line_id="1",
        partner_id="P-1",
        product=Product("study-30", "스터디 이용권 30일", 16_000, 30),
        quantity=units,
        granted_at=granted_at,
        registration_deadline=granted_at + timedelta(days=91),
        correlation="A-1",
        causation="evt-1",
    )
