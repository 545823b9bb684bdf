"""A COPY whose session ends in the middle fails, and is repeated like all that a database cuts."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest

from ops.setup.provision import Database
from shared.postgres import connect, copy_rows, open_pool
from shared.runtime.retry import TRANSIENT

BLOCKS, BLOCK = 64, 1 << 20
"""Far more than the sockets of both sides take in."""

SLEEPS = "FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
END_WHO_SLEEPS = f"SELECT count(pg_terminate_backend(pid, 10000)) {SLEEPS}"


async def all_of_it() -> AsyncIterator[bytes]:
    for _ in range(BLOCKS):
        yield b"x" * (BLOCK - 1) + b"\n"


def rows() -> Iterator[tuple[str]]:
    for _ in range(BLOCKS):
        yield ("x" * (BLOCK - 1),)


async def copy_blocks(connection: Any) -> None:
    await connection.copy_to_table("slow", source=all_of_it(), columns=["said"])


async def copy_records(connection: Any) -> None:
    await copy_rows(connection, "slow", ["said"], rows())


@pytest.fixture
async def slow(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A table that takes a row a minute; the session of who made it."""
    admin = await connect(database.admin_url, "serials")
    await admin.execute(
        """
        CREATE TABLE slow (said text);
        CREATE FUNCTION sleep_first() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
        CREATE TRIGGER sleep_first BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION sleep_first();
        GRANT INSERT, SELECT ON slow TO pawl_serials;
        """
    )
    yield admin
    await admin.execute(END_WHO_SLEEPS)
    await admin.execute("DROP TABLE slow; DROP FUNCTION sleep_first")
    await admin.close()


async def end_who_sleeps(admin: asyncpg.Connection) -> None:
    """Ends the session that fills the table, once the server reads no more of what it sends."""
    while not await admin.fetchval(END_WHO_SLEEPS):
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("copy", [copy_records, copy_blocks])
async def test_a_copy_fails_when_its_session_is_ended(
    database: Database, slow: asyncpg.Connection, copy: Any
) -> None:
    pool = await open_pool(database.service_url("serials"), "serials", 1)
    async with pool, pool.acquire() as connection:
        copying = asyncio.create_task(copy(connection))
        await end_who_sleeps(slow)

        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)) as cut:
            await asyncio.wait_for(copying, 30)
        assert isinstance(cut.value, TRANSIENT), "this is repeated"
    assert not await slow.fetchval("SELECT count(*) FROM slow")


async def test_a_copy_that_somebody_gives_up_is_given_up(
    database: Database, slow: asyncpg.Connection
) -> None:
    connection = await connect(database.service_url("serials"), "serials")
    copying = asyncio.create_task(copy_records(connection))
    while not await slow.fetchval(f"SELECT count(*) {SLEEPS}"):
        await asyncio.sleep(0.05)

    copying.cancel()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(copying, 30)
    connection.terminate()
