"""The simulation's seeds on the real stores and Postgres: both end with the same rows, table by table."""

from collections.abc import AsyncIterator, Mapping

import asyncpg
import pytest

from ops.setup.provision import Database
from tests.simulation.postgres import differences, play, pools, record, simulated_clock

FEW, MANY, ORDERS = 8, 200, 5


@pytest.fixture(scope="module")
async def sessions(database: Database) -> AsyncIterator[Mapping[str, asyncpg.Pool]]:
    async with simulated_clock(database), pools(database) as sessions:
        yield sessions


@pytest.mark.parametrize("seed", range(1, FEW + 1))
async def test_a_history_ends_in_postgres_as_it_does_in_memory(
    seed: int, sessions: Mapping[str, asyncpg.Pool], clean_schemas: None
) -> None:
    await assert_both_end_alike(seed, sessions)


@pytest.mark.faults  # minutes for all of them
@pytest.mark.parametrize("seed", range(FEW + 1, MANY + 1))
async def test_many_histories_end_in_postgres_as_they_do_in_memory(
    seed: int, sessions: Mapping[str, asyncpg.Pool], clean_schemas: None
) -> None:
    await assert_both_end_alike(seed, sessions)


async def assert_both_end_alike(seed: int, sessions: Mapping[str, asyncpg.Pool]) -> None:
    """The simulated history and the same one over the real stores leave the same rows in every table."""
    recording = record(seed, ORDERS)
    assert recording.outcome.violation is None

    await play(recording, sessions)

    found = await differences(recording, sessions)
    assert not found, "\n".join(found)
