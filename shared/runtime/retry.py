"""Backing off from trouble that passes: how long to wait, and which errors are of that kind.

What an error of PostgreSQL means stands in sqlstates.py; all of them pass but those that concern one row.
"""

import secrets
from asyncio import sleep
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import asyncpg
from aiokafka.errors import KafkaError

from shared.clock import monotonic
from shared.runtime.suspicion import WholeTable
from shared.runtime.troubles import Troubles
from shared.sqlstates import NO_TIME, WHOLE_TABLE, Concern, Meaning, meaning_of

T = TypeVar("T")

FIRST_DELAY = 0.05
LONGEST_DELAY = 5.0


class Conflict(Exception):
    """Somebody else moved a row that this batch had read; reading it again settles it."""


def _errors_of_postgres() -> Iterator[type[BaseException]]:
    """The errors of asyncpg whose SQLSTATE concerns more than one row, and those that it does not know."""
    for error in vars(asyncpg.exceptions).values():
        if not isinstance(error, type) or not issubclass(error, asyncpg.PostgresError):
            continue
        state: str | None = getattr(error, "sqlstate", None)
        if state and meaning_of(state).concern is not Concern.ROW:
            yield error
    yield asyncpg.UnknownPostgresError


TRANSIENT: tuple[type[BaseException], ...] = (
    Conflict,
    WholeTable,
    OSError,
    TimeoutError,
    KafkaError,
    asyncpg.InterfaceError,
    # What a connection says that is cut at an unlucky moment: its states no longer fit together.
    asyncpg.InternalClientError,
    *_errors_of_postgres(),
)


def meaning_of_trouble(trouble: BaseException) -> Meaning | None:
    """What trouble with PostgreSQL is about; None where it is none of its kind."""
    if isinstance(trouble, asyncpg.PostgresError):
        return meaning_of(trouble.sqlstate)
    if isinstance(trouble, TimeoutError):
        return NO_TIME
    if isinstance(trouble, WholeTable):
        return WHOLE_TABLE
    if isinstance(trouble, asyncpg.TargetServerAttributeNotMatched):
        return meaning_of("25006")
    if isinstance(trouble, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError):
        return meaning_of("08006")
    return None


def fault_of_database(trouble: BaseException) -> Meaning | None:
    """What is wrong with the database as a whole, where it says so itself; None for all other trouble."""
    if not isinstance(trouble, asyncpg.PostgresError):
        return None
    meaning = meaning_of(trouble.sqlstate)
    return meaning if meaning.concern in (Concern.SYSTEM, Concern.TIME) else None


def note_fault(troubles: Troubles, part: str, trouble: BaseException) -> dict[str, str]:
    """Notes what a part of the process met, where the database says itself what is wrong with it.

    Returns what is wrong and what to do, for the log; nothing where the trouble passes by itself.
    """
    fault = fault_of_database(trouble)
    if fault is None:
        return {}
    said = f"{type(trouble).__name__}: {trouble}".splitlines()[0][:200]
    troubles.note(part, part, fault.wrong, fault.todo, said, monotonic())
    return {"wrong": fault.wrong, "todo": fault.todo}


def delay_before(attempt: int) -> float:
    """Seconds to wait before the given attempt (1 is the first repeat): exponential, with full jitter."""
    ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(attempt, 16))
    return secrets.SystemRandom().uniform(ceiling / 2, ceiling)


async def until_done(
    operation: Callable[[], Awaitable[T]], on_trouble: Callable[[BaseException, int, float], None]
) -> T:
    """Repeats the operation while it fails with trouble that passes: no attempt limit, growing pauses.

    Each operation must be harmless when repeated, also after a commit whose answer was lost. What
    `on_trouble` raises ends the repeating.
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
