"""Ending tasks for certain, whatever they wait for."""

import asyncio
from collections.abc import Iterable
from typing import Any

# More than the relay takes to end in order: its producer gets five seconds.
AGAIN_SECONDS = 6.0


async def end_all(tasks: "Iterable[asyncio.Task[Any]]", again_seconds: float = AGAIN_SECONDS) -> None:
    """Cancels tasks, again if need be, and returns when each of them has ended, however it ended.

    Once may not be enough: before Python 3.12 an `asyncio.wait_for` that is cancelled in the moment in which
    its result arrives returns the result and swallows the cancellation, and the clients of Kafka and Postgres
    are full of them.
    """
    begun = list(tasks)
    pending = {task for task in begun if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_seconds)
    await asyncio.gather(*begun, return_exceptions=True)
