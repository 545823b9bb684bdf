"""A halted instance keeps its connections; its locks are freed by the others, whatever they wait for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from ops.setup.provision import Database
from shared.ids import uuid7
from shared.postgres import connect
from shared.runtime import sweep
from shared.runtime.tasks import end_all
from tests.support.desk import Desk, issuance, payment, refund_accepted, refund_released, refusing
from tests.support.patience import PATIENCE


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "SWEEP_SECONDS", 0.2)
    monkeypatch.setattr(sweep, "SILENT_SESSION", timedelta(seconds=1))


@asynccontextmanager
async def halted_inside_a_copy(database: Database) -> AsyncIterator[None]:
    """A session that holds all that waits, and for whose next bytes Postgres waits without a time limit."""
    connection = await connect(database.service_url("orders"), "orders")
    begun = asyncio.Event()

    async def nothing_more() -> AsyncIterator[bytes]:
        begun.set()
        await asyncio.Event().wait()
        yield b""

    async def copy() -> None:
        async with connection.transaction():
            await connection.execute("SELECT id FROM parked FOR UPDATE")
            await connection.copy_to_table("invoiced_payments", source=nothing_more())

    task = asyncio.create_task(copy())
    await begun.wait()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        connection.terminate()


async def both(desk: Desk, holds: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Both tasks of a live process, until something holds."""
    tasks = [
        asyncio.create_task(sweep.retry_waiting(desk.pool, desk.fold)),
        asyncio.create_task(sweep.end_silent_sessions(desk.pool)),
    ]
    try:
        async with asyncio.timeout(PATIENCE):
            while not await holds():
                await asyncio.sleep(0.05)
    finally:
        await end_all(tasks)


async def test_a_sweep_that_waits_for_a_halted_session_does_not_keep_it_alive(
    database: Database, pool: asyncpg.Pool
) -> None:
    desk = Desk(pool)
    await desk.take(issuance("A-1", 1))
    await pool.execute("UPDATE parked SET tried_at = tried_at - interval '1 hour'")

    async def was_tried() -> bool:
        return bool(await pool.fetchval("SELECT tried_at > now() - interval '1 minute' FROM parked"))

    async with halted_inside_a_copy(database):
        await both(desk, was_tried)

    await desk.take(payment("A-1"))
    assert await desk.waiting() == []


@pytest.mark.parametrize("kind", ["waiting", "gap"])
async def test_what_waits_goes_through_once_nothing_is_missing_though_nobody_says_so(
    pool: asyncpg.Pool, kind: str
) -> None:
    """What it waited for came while another consumer looked the other way: only the sweep finds out."""
    desk, refund = Desk(pool), uuid7()
    asked, released = refund_accepted("A-1", 40, refund, 1), refund_released("A-1", 40, refund, 2)
    waiting = released if kind == "gap" else issuance("A-1", 60)
    before = (payment("A-1"),) if kind == "gap" else ()
    await desk.take(*before, waiting)
    assert await desk.waiting() == [("A-1", kind)]
    rows = await pool.fetch("DELETE FROM parked RETURNING *")
    await desk.take(asked if kind == "gap" else payment("A-1"))
    await put_back(pool, rows)

    async def nothing_waits() -> bool:
        return await desk.waiting() == []

    await both(desk, nothing_waits)

    assert await desk.line("A-1") == ((100, 0, 0, 0, 0) if kind == "gap" else (100, 60, 0, 0, 0))


async def put_back(pool: asyncpg.Pool, rows: Sequence[asyncpg.Record]) -> None:
    """Rows of `parked` as they were, tried an hour ago."""
    for row in rows:
        values = {name: value for name, value in row.items() if name != "id"}
        values["tried_at"] -= timedelta(hours=1)
        columns = ", ".join(f'"{name}"' for name in values)
        places = ", ".join(f"${number}" for number in range(1, len(values) + 1))
        await pool.execute(f"INSERT INTO parked ({columns}) VALUES ({places})", *values.values())


async def test_what_is_blocked_waits_for_an_operator_and_not_for_the_sweep(pool: asyncpg.Pool) -> None:
    broken = Desk(pool, refusing(Desk(pool).service, "A-1"))
    await broken.take(payment("A-1"), issuance("A-1", 60), issuance("A-2", 1))
    await pool.execute("UPDATE parked SET tried_at = tried_at - interval '1 hour'")

    async def the_other_was_tried() -> bool:
        query = "SELECT tried_at > now() - interval '1 minute' FROM parked WHERE key = 'A-2'"
        return bool(await pool.fetchval(query))

    await both(Desk(pool), the_other_was_tried)

    assert await broken.waiting() == [("A-1", "blocked"), ("A-1", "behind"), ("A-2", "waiting")]
