"""Samples of lag for the last hour: the one thing that the console does while nobody asks.

Every 30 s one console, whichever comes first, reads how far each service is behind. While databases are away
it asks ever more seldom, and begins again by itself.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog

from console.keeping import Keeping, Sample
from console.reading import Reader, Unreadable
from ops.watch.lag import ServiceLag
from shared.clock import now
from shared.events.catalogue import SERVICES

EVERY: Final = timedelta(seconds=30)
LONGEST_REST: Final = timedelta(minutes=5)

log = structlog.get_logger("pawl.console")


async def sample_for_ever(reader: Reader, keeping: Keeping) -> None:
    """Takes samples until it is cancelled."""
    failures = 0
    while True:
        failures = 0 if await sample(reader, keeping) else failures + 1
        await asyncio.sleep(rest_after(failures, now()).total_seconds())


async def sample(reader: Reader, keeping: Keeping) -> bool:
    """Takes the sample of the present turn, unless another console does. False: nothing could be read."""
    at = turn_of(now())
    try:
        if await keeping.begin_sample(at):
            behind, has_topics = await reader.behind()
            await keeping.end_sample(samples_of(at, behind, has_topics))
    except (Unreadable, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        log.warning("no sample of lag", why=str(error) or type(error).__name__)
        return False
    return True


def turn_of(at: datetime) -> datetime:
    """The instant of the turn that `at` is in, the same for every console."""
    return datetime.fromtimestamp(at.timestamp() // EVERY.total_seconds() * EVERY.total_seconds(), at.tzinfo)


def rest_after(failures: int, at: datetime) -> timedelta:
    """Up to the next turn; twice as long after each failure, five minutes at most."""
    if failures:
        return min(EVERY * (1 << min(failures, 8)), LONGEST_REST)
    return turn_of(at) + EVERY - at


def samples_of(at: datetime, behind: Mapping[str, ServiceLag], has_topics: bool) -> list[Sample]:
    """A sample for each service. Without a broker nobody knows what is unread."""
    return [
        Sample(at, service, lag.reading.seconds if has_topics else None, lag.outbox.seconds)
        if (lag := behind.get(service)) is not None
        else Sample(at, service, None, None)
        for service in SERVICES
    ]
