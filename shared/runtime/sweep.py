"""What each process does from time to time for all of them: two tasks, until they are cancelled.

They are two because trying what waits may itself wait for locks that only the end of a silent session frees.
"""

import asyncio
from contextlib import suppress
from datetime import timedelta

import asyncpg
import structlog

from shared.queries import load
from shared.runtime.fold import Fold
from shared.runtime.retry import TRANSIENT

SQL = load("shared.runtime")
SWEEP_SECONDS = 5.0
SWEEP_KEYS = 500
# Far longer than any COPY of ours takes, shorter than others have the patience to wait for its locks.
SILENT_SESSION = timedelta(seconds=20)

log = structlog.get_logger("pawl.sweep")


async def end_silent_sessions(pool: asyncpg.Pool) -> None:
    """Ends the sessions of halted instances, which hold locks that everybody else waits for."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        with suppress(*TRANSIENT):
            if ended := await pool.fetch(SQL.end_silent_sessions, SILENT_SESSION):
                log.warning("silent sessions were ended", sessions=len(ended))


async def retry_waiting(pool: asyncpg.Pool, fold: Fold) -> None:
    """Gives what waits another chance: the event that it waits for may have come while nobody looked."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        with suppress(*TRANSIENT):
            rows = await pool.fetch(SQL.keys_to_retry, timedelta(seconds=SWEEP_SECONDS), SWEEP_KEYS)
            if rows:
                await fold.retry_keys([row["key"] for row in rows])
