"""The simulation's seeds on the real stores and Postgres: both end with the same rows, table by table."""

from collections.abc import AsyncIterator, Mapping

import asyncpg
import pytest

from ops.setup.provision import Database
from tests.simulation.postgres import differences, play, pools, record, simulated_clock

SEEDS, ORDERS = 24, 5


@pytest.fixture(scope="module")
async def sessions(database: Database) -> AsyncIterator[Mapping[str, asyncpg.Pool]]:
    async with simulated_clock(database), pools(database) as sessions:
        yield sessions


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
async def test_a_history_ends_in_postgres_as_it_does_in_memory(
    seed: int, sessions: Mapping[str, asyncpg.Pool], clean_schemas: None
) -> None:
    recording = record(seed, ORDERS)
    assert recording.outcome.violation is None

    await play(recording, sessions)

    found = await differences(recording, sessions)
    assert not found, "\n".join(found)
