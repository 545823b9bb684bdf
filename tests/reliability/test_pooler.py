"""PgBouncer before PostgreSQL gives each service its sessions, or the service says why it does not start.

It is one of the tests on containers, which install it (Debian's package pgbouncer).
"""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from ops.local.child import Child, last_lines
from ops.local.running import RunningSystem
from shared.events.catalogue import SERVICES
from shared.postgres import NoSession, require_session
from tests.support.alone import assert_all_is_well, services_on
from tests.support.driver import Checkout
from tests.support.instances import until, until_healthy
from tests.support.load import Load
from tests.support.pooler import by_way_of, pooler
from tests.support.servers import new_kafka, new_postgres, new_run_directory, remove

pytestmark = pytest.mark.containers

ORDERS = 30


@pytest.fixture(scope="module")
async def alone() -> AsyncIterator[tuple[RunningSystem, Checkout]]:
    """Four services on servers of their own."""
    with new_run_directory() as folder:
        kafka, postgres = new_kafka(folder), new_postgres(folder)
        try:
            await kafka.start()
            await postgres.start()
            async with services_on(folder, kafka.bootstrap_servers, postgres.url()) as running:
                yield running
        finally:
            await kafka.stop()
            await postgres.stop()
            remove(kafka)
            remove(postgres)


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_service_behind_another_pooler_says_why_it_does_not_start(
    alone: tuple[RunningSystem, Checkout], mode: str
) -> None:
    system, _ = alone
    database = system.database
    async with pooler(system.folder, database.admin_url, database.passwords, mode) as place:
        pooled = by_way_of(place, database.service_url("orders"))
        for _ in range(5):
            with pytest.raises(NoSession, match="pool_mode = session"):
                await require_session(pooled)

        launch = system.services.launch("orders")
        environment = {**os.environ, **launch.environment, "DATABASE_URL": pooled, "HTTP_PORT": "0"}
        child = Child(launch.command, system.folder.logs / f"orders-{mode}.log", environment)

        async def has_ended() -> bool:
            return not child.is_alive

        await until(has_ended, "the service ends")
        assert child.exit_code == 1
        assert "Set pool_mode = session for this database" in last_lines(child.log)


async def test_postgresql_itself_gives_sessions(alone: tuple[RunningSystem, Checkout]) -> None:
    system, _ = alone

    await require_session(system.database.service_url("orders"))


async def test_everything_works_behind_a_pooler_of_sessions(alone: tuple[RunningSystem, Checkout]) -> None:
    system, checkout = alone
    database = system.database
    async with pooler(system.folder, database.admin_url, database.passwords, "session") as place:
        await asyncio.gather(*map(system.services.stop, SERVICES))
        for service in SERVICES:
            pooled = by_way_of(place, database.service_url(service))
            system.services.start(service, {"DATABASE_URL": pooled})
        await asyncio.gather(*(until_healthy(system, service) for service in SERVICES))

        load = Load(checkout, ORDERS)
        await load.begin()
        await load.end()

        load.assert_complete()
        await assert_all_is_well(system, checkout)
        await asyncio.gather(*map(system.services.stop, SERVICES))
