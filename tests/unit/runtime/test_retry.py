"""Trouble that passes is repeated for as long as it lasts, ever more slowly; any other trouble is not."""

import asyncio

import asyncpg
import pytest

from shared.runtime import retry
from shared.runtime.retry import FIRST_DELAY, LONGEST_DELAY, Conflict, delay_before, until_done


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, without making them."""
    made: list[float] = []

    async def pause(seconds: float) -> None:
        made.append(seconds)

    monkeypatch.setattr(retry, "sleep", pause)
    return made


def test_pauses_grow_to_a_limit_and_scatter() -> None:
    for attempt in range(1, 200):
        ceiling = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(attempt, 16))
        assert ceiling / 2 <= delay_before(attempt) <= ceiling
    assert len({delay_before(9) for _ in range(20)}) > 1


@pytest.mark.parametrize(
    "trouble",
    [
        OSError("no route"),
        TimeoutError(),
        Conflict("moved"),
        asyncpg.PostgresConnectionError("gone"),
        asyncpg.DeadlockDetectedError("deadlock"),
        asyncpg.AdminShutdownError("stopping"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
    ],
)
async def test_trouble_that_passes_is_repeated_without_a_limit(
    trouble: Exception, pauses: list[float]
) -> None:
    attempts = iter(range(500))

    async def operation() -> str:
        if next(attempts) < 499:
            raise trouble
        return "done"

    noted: list[int] = []
    assert await until_done(operation, lambda _, attempt, __: noted.append(attempt)) == "done"
    assert noted == list(range(1, 500))
    assert len(pauses) == 499
    assert max(pauses) <= LONGEST_DELAY


@pytest.mark.parametrize(
    "failure",
    [ValueError("a bug"), asyncpg.CheckViolationError("refused"), asyncpg.UniqueViolationError("twice")],
)
async def test_any_other_failure_is_not_repeated(failure: Exception, pauses: list[float]) -> None:
    async def operation() -> None:
        raise failure

    with pytest.raises(type(failure)):
        await until_done(operation, lambda *_: None)
    assert pauses == []


async def test_a_cancelled_operation_is_not_repeated(pauses: list[float]) -> None:
    async def operation() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await until_done(operation, lambda *_: None)
    assert pauses == []
