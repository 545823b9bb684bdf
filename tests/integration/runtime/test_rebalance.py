"""What the broker takes from a consumer whose partitions move, with real clients in a real group."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.ids import uuid7
from shared.runtime.consumer import PartitionConsumer, new_broker, subscribe
from shared.runtime.records import Record
from shared.runtime.signals import Metrics
from tests.support.instances import until
from tests.support.toy import said

PARTITIONS = 12
Join = Callable[[], Awaitable[PartitionConsumer]]


@pytest.fixture
async def topic(kafka: str) -> str:
    """An empty topic: whoever reads a record commits it."""
    name, admin = f"rebalance-{uuid7()}", AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    await admin.close()
    return name


@pytest.fixture
async def join(kafka: str, topic: str) -> AsyncIterator[Join]:
    """Consumers that join one group: `consumer = await join()`; each owns partitions when this returns."""
    group, brokers = f"rebalance-{uuid7()}", []

    async def handle(records: Sequence[Record]) -> None:
        """Everything is handled already."""

    async def joined() -> PartitionConsumer:
        consumer = PartitionConsumer(handle, Metrics(), pytest.fail)
        broker = new_broker(kafka, 5)
        brokers.append(broker)
        subscribe(broker, consumer, topics=[topic], group=group, max_records=100)
        await broker.start()

        async def owns_partitions() -> bool:
            return bool(consumer.consumer.assignment())

        await until(owns_partitions, "the consumer owns partitions")
        return consumer

    yield joined
    await asyncio.gather(*(broker.stop() for broker in brokers))


async def test_a_commit_that_waits_in_the_client_does_not_set_the_next_owner_back(
    join: Join, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for its coordinator, or tries again; what it says then, it says in its new generation."""
    first = await join()
    coordinator = first.consumer._coordinator
    waits, goes_on, commit_offsets = asyncio.Event(), asyncio.Event(), coordinator.commit_offsets

    async def commit_late(*arguments: Any) -> None:
        waits.set()
        await goes_on.wait()
        await commit_offsets(*arguments)

    monkeypatch.setattr(coordinator, "commit_offsets", commit_late)
    all_places = sorted(first.consumer.assignment())
    batch = [replace(said(f"pay-{n}"), topic=topic, partition=n, offset=6) for n in range(len(all_places))]
    handling = asyncio.create_task(first.take(batch))
    await waits.wait()

    second = await join()
    moved: set[TopicPartition] = second.consumer.assignment()
    await second.consumer.commit(dict.fromkeys(moved, 9))
    goes_on.set()
    await handling

    assert 0 < len(moved) < len(all_places)
    assert {await second.consumer.committed(place) for place in moved} == {9}
