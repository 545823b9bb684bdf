"""A halted instance keeps its connections; its locks are freed by the others, whatever they wait for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from ops.setup.provision import Database
from shared.postgres import connect
from shared.runtime import sweep
from shared.runtime.tasks import end_all
from tests.support.desk import Desk, issuance, payment
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
