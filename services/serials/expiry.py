"""The sweep of every day: how many serials of each grant expired, and counted failures that nobody needs.

A serial whose window ended says so by itself. Here it is only written down with its grant, once, so that a
report of the past counts no rows.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final

import structlog

from services.serials.store import SQL
from shared.clock import now
from shared.runtime.retry import TRANSIENT
from shared.runtime.surroundings import Surroundings

AFTERWARDS: Final = timedelta(hours=1)
"""A registration of the last second is committed by then, on whatever clock it came."""
GRANTS_AT_ONCE: Final = 20
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
    while rows := await surroundings.pool.fetch(SQL.count_expired, at - AFTERWARDS, GRANTS_AT_ONCE):
        grants += len(rows)
        expired += sum(row["expired"] for row in rows)
    if grants:
        log.info("serials expired", grants=grants, serials=expired)
    await surroundings.pool.execute(SQL.forget_failures, at - FAILURES_ARE_KEPT)
    return expired
