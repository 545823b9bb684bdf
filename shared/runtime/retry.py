"""Backing off from trouble that passes: how long to wait, and which errors are of that kind."""

import secrets
from asyncio import sleep
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
from aiokafka.errors import KafkaError

T = TypeVar("T")

FIRST_DELAY = 0.05
LONGEST_DELAY = 5.0


class Conflict(Exception):
    """Somebody else moved a row that this batch had read; reading it again settles it."""


TRANSIENT: tuple[type[BaseException], ...] = (
    Conflict,
    OSError,
    TimeoutError,
    KafkaError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    # What a connection says that is cut at an unlucky moment: its states no longer fit together.
    asyncpg.InternalClientError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleSessionTimeoutError,
    asyncpg.InvalidCachedStatementError,
)


def delay_before(attempt: int) -> float:
    """Seconds to wait before the given attempt (1 is the first repeat): exponential, with full jitter."""
    ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(attempt, 16))
    return secrets.SystemRandom().uniform(ceiling / 2, ceiling)


async def until_done(
    operation: Callable[[], Awaitable[T]], on_trouble: Callable[[BaseException, int, float], None]
) -> T:
    """Repeats the operation while it fails with trouble that passes: no attempt limit, growing pauses.

    Each operation must be harmless when repeated, also after a commit whose answer was lost.
    """
    attempt = 0
    while True:
        try:
            return await operation()
        except TRANSIENT as trouble:
            attempt += 1
            pause = delay_before(attempt)
            on_trouble(trouble, attempt, pause)
            await sleep(pause)
