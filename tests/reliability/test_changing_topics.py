"""Topics that change under running services: more partitions under load, and a topic that is created anew."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from ops.local.running import RunningSystem
from ops.setup.topics import create_topics
from shared.clock import monotonic
from shared.events.catalogue import UPSTREAM
from shared.partitioner import partition_for
from tests.support.alone import assert_all_is_well, services_on
from tests.support.driver import Checkout
from tests.support.instances import until
from tests.support.load import Load, beginning_of
from tests.support.servers import new_kafka, new_postgres, new_run_directory, remove

ORDERS = 150
PARTITIONS, MORE = 12, 24
READ_WITHIN = 10.0
"""Seconds, as docs/events.md promises."""


@pytest.fixture
async def alone() -> AsyncIterator[tuple[RunningSystem, Checkout]]:
    """Four services on a broker whose topics nobody else needs."""
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


@asynccontextmanager
async def administrator(checkout: Checkout) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=checkout.bootstrap_servers)
    await admin.start()
    yield admin
    await admin.close()


async def raise_partitions(checkout: Checkout, topics: Sequence[str]) -> None:
    async with administrator(checkout) as admin:
        await admin.create_partitions({topic: NewPartitions(MORE) for topic in topics})


async def create_anew(checkout: Checkout, topic: str) -> None:
    async with administrator(checkout) as admin:
        await admin.delete_topics([topic])

        async def is_gone() -> bool:
            return topic not in await admin.list_topics()

        await until(is_gone, f"{topic} is deleted")
    assert await create_topics(checkout.bootstrap_servers) == [topic]


async def test_partitions_that_are_raised_under_load_are_read_within_ten_seconds(
    alone: tuple[RunningSystem, Checkout],
) -> None:
    system, checkout = alone
    load = Load(checkout, ORDERS)
    stories = [beginning_of(story) for story in load.stories]
    await checkout.say_all(payment for payment, *_ in stories)
    await load.until("order.paid.v1", 0.1)

    await raise_partitions(checkout, [UPSTREAM, "orders.events"])
    await checkout.reconnect()
    await checkout.say_all(event for _, *events in stories for event in events)
    said_at = monotonic()

    moved = {story.order_id for story in load.stories if partition_for(story.order_id, MORE) >= PARTITIONS}

    def answered() -> set[str]:
        return {
            record.key
            for record in checkout.records
            if record.type == "event.accepted.v1" and record.data["position"]["partition"] >= PARTITIONS
        }

    await checkout.until(lambda: answered() >= moved, "every order that moved is answered", READ_WITHIN)
    assert moved
    assert monotonic() - said_at < READ_WITHIN

    await load.end()
    load.assert_complete()
    warned = [r for r in checkout.records if r.type == "event.accepted.v1" and r.data.get("warning")]
    assert warned == []
    assert any(r.partition >= PARTITIONS for r in checkout.records if r.topic == "orders.events")
    await assert_all_is_well(system, checkout)


async def test_a_topic_that_is_created_anew_is_read_from_its_first_record(
    alone: tuple[RunningSystem, Checkout],
) -> None:
    system, before = alone
    few = Load(before, 20)
    await few.begin()
    await few.end()
    few.assert_complete()
    await before.drain()  # what nobody has read by then is rightly told as a gap

    await create_anew(before, UPSTREAM)
    checkout = Checkout(before.bootstrap_servers, before.database)
    await checkout.start()
    load = Load(checkout, ORDERS)
    await load.begin()
    await load.until("order.paid.v1", 1, READ_WITHIN)

    await load.end()
    load.assert_complete()
    await assert_all_is_well(system, checkout)
    await checkout.stop()
