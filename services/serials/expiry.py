"""The sweep of every day: how many serials of each grant expired, and counted failures that nobody needs.

A serial whose window ended says so by itself. Here it is only written down with its grant, once, so that a
report of the past counts no rows.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from services.serials.store import SQL
from shared.clock import now
from shared.runtime.batch_size import WorkSize
from shared.runtime.retry import TRANSIENT, note_fault, until_done
from shared.runtime.surroundings import Surroundings

AFTERWARDS: Final = timedelta(hours=1)
"""A registration of the last second is committed by then, on whatever clock it came."""
GRANTS_AT_ONCE: Final = 20
PART: Final = "the count of expired serials"
FAILURES_ARE_KEPT: Final = timedelta(days=1)

log = structlog.get_logger("pawl.serials.expiry")


async def sweep_daily(surroundings: Surroundings, seconds: float) -> None:
    """Sweeps at once, and then again and again."""
    while True:
        try:
            await sweep(surroundings, now())
        except TRANSIENT as trouble:
            log.info("sweep repeated", trouble=f"{type(trouble).__name__}: {trouble}"[:200])
        await asyncio.sleep(seconds)


async def sweep(surroundings: Surroundings, at: datetime) -> int:
    """Counts what expired and forgets failures of long ago; returns how many serials expired."""
    expired = grants = 0
    size = WorkSize(GRANTS_AT_ONCE)

    async def count_some() -> list[Any]:
        size.begin()
        rows: list[Any] = await surroundings.pool.fetch(SQL.count_expired, at - AFTERWARDS, size.most)
        return rows

    def note(trouble: BaseException, attempt: int, pause: float) -> None:
        more = note_fault(surroundings.troubles, PART, trouble)
        size.note(trouble)
        said = f"{type(trouble).__name__}: {trouble}"[:200]
        log.info("sweep repeated", grants=size.most, trouble=said, **more)

    while rows := await until_done(count_some, note):
        surroundings.troubles.over(PART)
        size.grow(len(rows))
        grants += len(rows)
        expired += sum(row["expired"] for row in rows)
    surroundings.troubles.over(PART)
    if grants:
        log.info("serials expired", grants=grants, serials=expired)
    await surroundings.pool.execute(SQL.forget_failures, at - FAILURES_ARE_KEPT)
    return expired
