"""Brokers of a cluster fall away one after the other: others lead their partitions, and everything goes on.

With each broker go the leader of a third of all partitions, the coordinator of some groups and, once, the
controller. min.insync.replicas is 2 of 3, as deploy/kafka/topics.yaml asks for in production.
"""

from collections.abc import AsyncIterator

import pytest

from ops.local.running import RunningSystem
from tests.support.alone import assert_all_is_well, services_on
from tests.support.cluster import Cluster, running_cluster
from tests.support.driver import Checkout
from tests.support.load import Load
from tests.support.servers import new_postgres, new_run_directory, remove

pytestmark = pytest.mark.faults

ORDERS = 300


@pytest.fixture
async def replicated() -> AsyncIterator[tuple[Cluster, RunningSystem, Checkout]]:
    """Four services on a cluster of three brokers."""
    with new_run_directory() as folder:
        postgres = new_postgres(folder)
        try:
            await postgres.start()
            async with (
                running_cluster(folder.path) as cluster,
                services_on(folder, cluster.bootstrap_servers, postgres.url()) as (system, checkout),
            ):
                yield cluster, system, checkout
        finally:
            await postgres.stop()
            remove(postgres)


async def test_leaders_that_change_under_load_lose_and_double_nothing(
    replicated: tuple[Cluster, RunningSystem, Checkout],
) -> None:
    cluster, system, checkout = replicated
    pids = system.services.pids()
    loads = []

    for number, node in cluster.nodes.items():
        assert (await cluster.leaders())[number] > 0
        loads.append(await begun(checkout))
        await loads[-1].until("order.paid.v1", 0.1)

        node.kill()
        await cluster.until_led_by_others(number)
        loads.append(await begun(checkout))
        await loads[-1].until("serials.issued.v2", 1)

        await node.start()
        await cluster.until_in_sync()

    for load in loads:
        await load.end()
        load.assert_complete()
    await assert_all_is_well(system, checkout)
    assert system.services.pids() == pids, "a service ended instead of going on"


async def begun(checkout: Checkout) -> Load:
    load = Load(checkout, ORDERS)
    await load.begin()
    return load
