"""A load of many small orders, for tests that disturb the system while it works."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from ops.local.running import RunningSystem
from tests.support.alone import services_on
from tests.support.driver import Checkout
from tests.support.load import Load
from tests.support.servers import new_kafka, new_postgres, new_run_directory, remove

Begin = Callable[..., Awaitable[Load]]


@pytest.fixture
def begin(checkout: Checkout) -> Begin:
    """Begins a load of so many orders: `load = await begin(1000)`."""

    async def begin_load(orders: int) -> Load:
        load = Load(checkout, orders)
        await load.begin()
        return load

    return begin_load


@dataclass
class Alone:
    """A system of one test's own, with its servers."""

    system: RunningSystem
    checkout: Checkout
    kafka: Any
    postgres: Any


@pytest.fixture
async def alone() -> AsyncIterator[Alone]:
    """A system for a test that leaves so much behind that it would slow down every test after it."""
    with new_run_directory() as folder:
        kafka, postgres = new_kafka(folder), new_postgres(folder)
        try:
            await kafka.start()
            await postgres.start()
            async with services_on(folder, kafka.bootstrap_servers, postgres.url()) as (system, checkout):
                yield Alone(system, checkout, kafka, postgres)
        finally:
            for server in (kafka, postgres):
                await server.stop()
                remove(server)
