"""The request is done and its answer is lost: a commit that Postgres made, a batch that the broker wrote.

Whoever asked cannot know which of the two happened, and repeats what it did: nothing is lost and nothing
doubled. A system of its own stands behind two proxies, one before Postgres and one before the broker.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from ops.local.running import RunningSystem
from shared.events.catalogue import SERVICES
from tests.support.alone import assert_all_is_well, services_on
from tests.support.driver import Checkout
from tests.support.instances import until
from tests.support.load import Load
from tests.support.proxy import (
    OFFSET_COMMIT,
    PRODUCE,
    Proxy,
    commits_in_postgres,
    request_of_kafka,
)
from tests.support.servers import new_kafka, new_postgres, new_run_directory, remove

ORDERS = 400


@dataclass
class Behind:
    """A running system, and the proxies that everybody goes through."""

    system: RunningSystem
    checkout: Checkout
    postgres: Proxy
    kafka: Proxy

    async def load(self, orders: int = ORDERS) -> Load:
        load = Load(self.checkout, orders)
        await load.begin()
        return load

    async def is_well(self, load: Load) -> None:
        """The load comes to its end, every promise is kept, and no service had to end for it."""
        await load.end()
        load.assert_complete()
        await assert_all_is_well(self.system, self.checkout)


@pytest.fixture(scope="module")
async def behind() -> AsyncIterator[Behind]:
    kafka_proxy, postgres_proxy = await Proxy().start(), await Proxy().start()
    with new_run_directory() as folder:
        kafka, postgres = new_kafka(folder, kafka_proxy.port), new_postgres(folder)
        kafka_proxy.stand_before(lambda: kafka.port)
        postgres_proxy.stand_before(lambda: postgres.port)
        try:
            await kafka.start()
            await postgres.start()
            url = postgres.url().replace(f":{postgres.port}/", f":{postgres_proxy.port}/")
            services = services_on(folder, kafka.bootstrap_servers, url, ORDERS_EXPIRY_POLL_SECONDS="0.2")
            async with services as (system, checkout):
                yield Behind(system, checkout, postgres_proxy, kafka_proxy)
            await kafka.stop()
            await postgres.stop()
        finally:
            remove(kafka)
            remove(postgres)
            await kafka_proxy.stop()
            await postgres_proxy.stop()


async def test_commits_whose_answer_is_lost_are_repeated_without_effect(behind: Behind) -> None:
    pids = behind.system.services.pids()
    cuts = behind.postgres.cuts
    behind.postgres.lose_answers(commits_in_postgres, every=2, times=12)

    load = await behind.load()
    await until_lost(behind.postgres)

    await behind.is_well(load)
    assert behind.postgres.cuts >= cuts + 12
    assert behind.system.services.pids() == pids, "a service ended instead of connecting again"


@pytest.mark.parametrize(
    "service", ["orders", *(pytest.param(other, marks=pytest.mark.faults) for other in SERVICES[1:])]
)
async def test_sends_whose_acknowledgement_is_lost_are_repeated_in_order(
    behind: Behind, service: str
) -> None:
    cuts = behind.kafka.cuts
    behind.kafka.lose_answers(request_of_kafka(PRODUCE, f"pawl-{service}-relay".encode()), every=1, times=2)

    load = await behind.load()
    await until_lost(behind.kafka)

    await behind.is_well(load)
    assert behind.kafka.cuts >= cuts + 2


async def test_offset_commits_whose_answer_is_lost_repeat_nothing(behind: Behind) -> None:
    behind.kafka.lose_answers(request_of_kafka(OFFSET_COMMIT, b"pawl-"), every=1, times=4)

    load = await behind.load()
    await until_lost(behind.kafka)

    await behind.is_well(load)


@pytest.mark.faults
async def test_connections_that_are_open_and_dead_are_given_up_and_replaced(behind: Behind) -> None:
    """Half-open sockets to Postgres and to the broker, in the middle of a load."""
    load = await behind.load()
    await load.until("order.paid.v1", 0.1)

    assert behind.postgres.strand() > 0
    assert behind.kafka.strand() > 0
    await behind.checkout.reconnect()

    await load.until("refund.granted.v1", 1.0)
    await behind.is_well(load)


async def until_lost(proxy: Proxy) -> None:
    async def lost() -> bool:
        return proxy.is_done

    await until(lost, "every answer that was to be lost is lost")
