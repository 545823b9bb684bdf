"""Brokers of a cluster fall away one after the other: others lead their partitions, and everything goes on.

With each broker go the leader of a third of all partitions, the coordinator of some groups and, once, the
controller. min.insync.replicas is 2 of 3, as deploy/kafka/topics.yaml asks for in production. Then what is
done to a cluster: topics that take less than an event, and records that are deleted before they are read.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete

from ops.audit.check import audit
from ops.local.running import RunningSystem
from ops.setup.topics import wanted_topics
from shared.events.catalogue import SERVICES, UPSTREAM
from tests.support.alone import assert_all_is_well, services_on
from tests.support.cluster import Cluster, running_cluster
from tests.support.driver import Checkout
from tests.support.instances import until
from tests.support.load import Load
from tests.support.patience import PATIENCE
from tests.support.servers import new_postgres, new_run_directory, remove

pytestmark = pytest.mark.faults

ORDERS, FEW = 300, 30
LESS_THAN_AN_EVENT = "300"


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


async def test_an_event_that_a_cluster_refuses_goes_out_once_though_a_broker_falls_away_meanwhile(
    replicated: tuple[Cluster, RunningSystem, Checkout],
) -> None:
    cluster, system, checkout = replicated
    load = Load(checkout, FEW)
    number, node = next(iter(cluster.nodes.items()))

    async with taking_at_most(cluster, "orders.events", LESS_THAN_AN_EVENT):
        await load.begin()

        async def are_set_aside() -> bool:
            return bool(await asked_of(checkout, "SELECT count(DISTINCT key) FROM orders.unsent") == FEW)

        await until(are_set_aside, "the keys of all orders are set aside")
        node.kill()
        await cluster.until_led_by_others(number)
        await node.start()
        await cluster.until_in_sync()

    async def have_gone_out() -> bool:
        # An operator has them tried at once, as `pawl dead replay` does; by themselves it takes minutes.
        await asked_of(checkout, "UPDATE orders.unsent SET retry_at = now() WHERE state = 'refused'")
        return bool(await asked_of(checkout, "SELECT count(*) FROM orders.unsent") == 0)

    await until(have_gone_out, "nothing is set aside any more")
    await load.end()
    load.assert_complete()
    await assert_all_is_well(system, checkout)


async def test_records_that_a_cluster_deletes_before_they_are_read_are_told_one_by_one(
    replicated: tuple[Cluster, RunningSystem, Checkout],
) -> None:
    cluster, system, checkout = replicated
    before = Load(checkout, FEW)
    await before.begin()
    await before.end()
    await asyncio.gather(*(system.services.stop(name) for name in SERVICES))

    missed = Load(checkout, FEW)
    await missed.begin()
    await delete_everything(cluster, UPSTREAM)
    for name in SERVICES:
        system.services.start(name)

    async def are_told() -> bool:
        told = await asked_of(checkout, "SELECT sum(to_offset - from_offset)::int FROM orders.gaps")
        return bool(told == 3 * FEW)

    await until(are_told, "each deleted record is told")
    await missed.begin()
    await missed.end()
    missed.assert_complete()
    report = await audit(system.system, settle=PATIENCE)
    assert {each.rule for each in report.violations} == {"nothing_missed"}


@asynccontextmanager
async def administrator(cluster: Cluster) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


@asynccontextmanager
async def taking_at_most(cluster: Cluster, topic: str, size: str) -> AsyncIterator[None]:
    """While this is open a topic takes no larger batches."""
    (usual,) = (each.config for each in wanted_topics() if each.name == topic)

    async def set_to(config: Mapping[str, str]) -> None:
        async with administrator(cluster) as admin:
            said = {**config, "min.insync.replicas": "2"}
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=said)])

    await set_to({**usual, "max.message.bytes": size})
    yield
    await set_to(usual)


async def delete_everything(cluster: Cluster, topic: str) -> None:
    """Deletes the records that a topic has now."""
    async with administrator(cluster) as admin:
        (described,) = await admin.describe_topics([topic])
        places = [TopicPartition(topic, each["partition"]) for each in described["partitions"]]
        # -1 is the end of a partition.
        await admin.delete_records({place: RecordsToDelete(before_offset=-1) for place in places})


async def asked_of(checkout: Checkout, query: str) -> Any:
    connection = await asyncpg.connect(checkout.database.admin_url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()
