"""Brokers of a cluster fall away one after the other: others lead their partitions, and everything goes on.

With each broker go the leader of a third of all partitions, the coordinator of some groups and, once, the
controller. min.insync.replicas is 2 of 3, as deploy/kafka/topics.yaml asks for in production.
"""

from collections.abc import AsyncIterator

import pytest

from ops.check import audit
from ops.provision import SERVICES
from ops.running import RunningSystem, Wanted, run_system
from tests.support.audit import violations
from tests.support.cluster import Cluster, running_cluster
from tests.support.driver import PATIENCE, Checkout
from tests.support.load import Load
from tests.support.servers import new_postgres, new_run_directory, remove

pytestmark = [pytest.mark.timeout(600), pytest.mark.faults]

ORDERS = 300


@pytest.fixture
async def replicated() -> AsyncIterator[tuple[Cluster, RunningSystem]]:
    """Four services on a cluster of three brokers."""
    with new_run_directory() as folder:
        postgres = new_postgres(folder)
        try:
            await postgres.start()
            async with running_cluster(folder.path) as cluster:
                wanted = Wanted(
                    folder.path,
                    kafka=cluster.bootstrap_servers,
                    postgres=postgres.url(),
                    environment={"LOG_LEVEL": "warning"},
                )
                async with run_system(wanted) as system:
                    yield cluster, system
            await postgres.stop()
        finally:
            remove(postgres)


async def test_leaders_that_change_under_load_lose_and_double_nothing(
    replicated: tuple[Cluster, RunningSystem],
) -> None:
    cluster, system = replicated
    checkout = Checkout(cluster.bootstrap_servers, system.database)
    await checkout.start()
    pids = system.services.pids()
    loads = []

    for number, node in cluster.nodes.items():
        assert (await cluster.leaders())[number] > 0
        load = Load(checkout, ORDERS)
        await load.begin()
        await load.until("order.paid.v1", 0.1)

        node.kill()
        await cluster.until_led_by_others(number)
        more = Load(checkout, ORDERS)
        await more.begin()
        await more.until("serials.issued.v1", 1)

        await node.start()
        await cluster.until_in_sync()
        loads += [load, more]

    for load in loads:
        await load.end()
        load.assert_complete()
    assert system.services.pids() == pids, f"a service of {SERVICES} ended instead of going on"
    assert await violations(checkout) == []
    report = await audit(system.system, settle=PATIENCE)
    assert (report.violations, report.settled) == ([], True)
    await checkout.stop()
