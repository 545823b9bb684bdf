"""Desks of the orders service on the session's Postgres; every test commits for real on empty tables."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from ops.setup.provision import Database
from tests.support.desk import Desk, open_desk_pool


@pytest.fixture
async def pool(database: Database, clean_schemas: None) -> AsyncIterator[asyncpg.Pool]:
    pool = await open_desk_pool(database)
    await pool.execute("UPDATE relay SET published = coalesce((SELECT max(id) FROM outbox), 0)")
    yield pool
    await pool.close()


@pytest.fixture
def desk(pool: asyncpg.Pool) -> Desk:
    return Desk(pool)
