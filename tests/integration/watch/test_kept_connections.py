"""Connections that stay open: the next look takes them, and one over which something went wrong is gone."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

from ops.setup.provision import Database
from ops.shell.databases import Kept, connected, one_moment, urls_of

PID = "SELECT pg_backend_pid()"


@pytest.fixture
def kept() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.close()


async def pid_of_orders(database: Database) -> int:
    async with connected({"orders": database.ops_url}) as connections:
        pid: int = await connections["orders"].fetchval(PID)
        return pid


async def test_the_next_look_takes_the_connection_of_the_last_one(database: Database, kept: Kept) -> None:
    with kept.at_hand():
        first = await pid_of_orders(database)
        assert await pid_of_orders(database) == first

    assert await pid_of_orders(database) != first, "outside of it each look has its own"


async def test_two_at_once_have_one_each(database: Database, kept: Kept) -> None:
    with kept.at_hand():
        async with connected({"orders": database.ops_url}) as connections:
            held = await connections["orders"].fetchval(PID)
            beside = await asyncio.create_task(pid_of_orders(database))

    assert held != beside


async def test_a_service_never_gets_the_connection_of_another(database: Database, kept: Kept) -> None:
    with kept.at_hand():
        for _ in range(2):
            async with connected(urls_of(database.ops_url)) as connections:
                schemas = {
                    name: await connection.fetchval("SELECT current_schema()")
                    for name, connection in connections.items()
                }
            assert schemas == {name: name for name in schemas}


async def test_one_whose_server_has_ended_it_is_replaced(database: Database, kept: Kept) -> None:
    administrator = await asyncpg.connect(database.admin_url)
    with kept.at_hand():
        async with connected({"orders": database.ops_url}) as connections:
            lost, first = connections["orders"], await connections["orders"].fetchval(PID)
        gone = asyncio.Event()
        lost.add_termination_listener(lambda _: gone.set())
        await administrator.execute(f"SELECT pg_terminate_backend({first})")
        await gone.wait()

        assert await pid_of_orders(database) != first
    await administrator.close()


async def test_one_over_which_a_statement_failed_is_not_used_again(database: Database, kept: Kept) -> None:
    with kept.at_hand():
        first = await pid_of_orders(database)
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with connected({"orders": database.ops_url}) as connections:
                await connections["orders"].fetchval("SELECT 1 / 0")

        assert await pid_of_orders(database) != first


async def test_one_that_has_seen_a_moment_is_not_left_in_it(database: Database, kept: Kept) -> None:
    with kept.at_hand():
        async with one_moment(urls_of(database.ops_url)) as (connections, shared):
            assert shared
            old = await connections["orders"].fetchval(PID)

        assert await pid_of_orders(database) != old
