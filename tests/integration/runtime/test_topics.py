"""What a process notices of topics that change under it: a real group, a real broker, a real schema."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.brokers import Brokers
from shared.clock import monotonic
from shared.ids import uuid7
from shared.runtime.consumer import PartitionConsumer, new_broker, subscribe
from shared.runtime.offsets import HandledOffsets
from shared.runtime.records import Record
from shared.runtime.signals import Metrics
from shared.runtime.topics import COMPACTED, Topics
from shared.runtime.troubles import PATIENCE_SECONDS, Troubles
from tests.support.instances import until
from tests.support.toy import said

PARTITIONS, MORE = 3, 6
READ_WITHIN = 10.0
"""Seconds, as docs/events.md promises."""


class Group:
    """A topic of its own, and a group of consumers that read it as the processes of a service do."""

    def __init__(self, kafka: str, pool: asyncpg.Pool) -> None:
        self.kafka, self.pool = kafka, pool
        self.topic, self.group = f"topics-{uuid7()}", f"topics-{uuid7()}"
        self.read: list[tuple[int, int]] = []
        self.topics: list[Topics] = []
        self.troubles = Troubles()
        self.in_hand: list[Record] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[Any]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        yield admin
        await admin.close()

    async def create(self) -> None:
        async with self.admin() as admin:
            await admin.create_topics([NewTopic(self.topic, PARTITIONS, 1)])

    async def raise_partitions(self) -> None:
        async with self.admin() as admin:
            await admin.create_partitions({self.topic: NewPartitions(MORE)})

    async def set_policy(self, policy: str) -> None:
        async with self.admin() as admin:
            configs = {"cleanup.policy": policy}
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, self.topic, configs=configs)])

    async def delete(self) -> None:
        async with self.admin() as admin:
            await admin.delete_topics([self.topic])

    async def say(self, count: int, partitions: int = PARTITIONS) -> None:
        """So many records in each of the partitions."""
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka)
        await producer.start()
        for number in range(count * partitions):
            record = replace(said(f"pay-{number}"), topic=self.topic)
            await producer.send_and_wait(
                self.topic,
                record.value,
                key=record.key,
                headers=list(record.headers),
                partition=number % partitions,
            )
        await producer.stop()

    async def until_read(self, wanted: Sequence[tuple[int, int]]) -> None:
        async def is_read() -> bool:
            return set(wanted) <= set(self.read)

        await until(is_read, f"{len(wanted)} records of {self.topic} are read")

    @asynccontextmanager
    async def process(self) -> AsyncIterator[PartitionConsumer]:
        """One process of the service: a consumer, and what watches its topics."""

        async def handle(records: Sequence[Record]) -> None:
            self.in_hand = list(records)
            await self.goes_on.wait()
            self.read += [(record.partition, record.offset) for record in records]

        consumer = PartitionConsumer(
            handle, Metrics(), pytest.fail, offsets=HandledOffsets(self.pool, Metrics())
        )
        partitions = {self.topic: PARTITIONS}
        topics = Topics(Brokers(self.kafka), partitions, self.pool, consumer.begin_anew, self.troubles)
        await topics.begin()
        self.topics.append(topics)
        broker = new_broker(self.kafka, 5)
        subscribe(broker, consumer, topics=[self.topic], group=self.group, max_records=100)
        tasks = [asyncio.create_task(consumer.commit_forever()), asyncio.create_task(topics.watch())]
        await broker.start()
        yield consumer
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await broker.stop()


@pytest.fixture
async def group(kafka: str, pool: asyncpg.Pool) -> Group:
    group = Group(kafka, pool)
    await group.create()
    return group


def all_of(partitions: int, count: int) -> list[tuple[int, int]]:
    return [(partition, offset) for partition in range(partitions) for offset in range(count)]


async def test_new_partitions_are_read_within_ten_seconds_by_two_processes(group: Group) -> None:
    async with group.process(), group.process():
        await group.say(4)
        await group.until_read(all_of(PARTITIONS, 4))

        await group.raise_partitions()
        began = monotonic()
        await group.say(2, MORE)
        await group.until_read([(partition, 0) for partition in range(PARTITIONS, MORE)])

        assert monotonic() - began < READ_WITHIN
        for topics in group.topics:

            async def knows(topics: Topics = topics) -> bool:
                return topics.partitions == {group.topic: MORE}

            await until(knows, "each process knows the new number")
            assert topics.earlier == {group.topic: {PARTITIONS}}
    rows = await group.pool.fetch(
        "SELECT partitions FROM topics WHERE topic = $1 ORDER BY since", group.topic
    )
    assert [row["partitions"] for row in rows] == [PARTITIONS, MORE]


async def test_a_topic_that_is_anew_and_longer_at_once_is_read_from_its_first_record(group: Group) -> None:
    """Its offsets look as if the first ones had been read: only its id tells that it is another one."""
    async with group.process() as consumer:
        await group.say(3)
        await group.until_read(all_of(PARTITIONS, 3))

        await group.delete()
        await group.create()
        group.read.clear()
        began = monotonic()
        await group.say(9)
        await group.until_read(all_of(PARTITIONS, 9))

        assert monotonic() - began < READ_WITHIN

        async def is_committed() -> bool:
            return await consumer.consumer.committed(TopicPartition(group.topic, 0)) == 9

        await until(is_committed, "the group stands where the new topic ends")


async def test_a_topic_that_was_created_anew_while_nobody_ran_is_read_from_its_first_record(
    group: Group,
) -> None:
    async with group.process():
        await group.say(3)
        await group.until_read(all_of(PARTITIONS, 3))
    await group.delete()
    await group.create()
    await group.say(9)
    group.read.clear()

    async with group.process():
        await group.until_read(all_of(PARTITIONS, 9))

    assert await group.pool.fetchval("SELECT count(*) FROM gaps WHERE topic = $1", group.topic) == 0


async def test_a_topic_that_is_gone_for_a_while_is_read_when_it_is_back(group: Group) -> None:
    async with group.process():
        await group.say(3)
        await group.until_read(all_of(PARTITIONS, 3))
        await group.delete()

        async def is_missed() -> bool:
            return group.topics[0].gone == {group.topic}

        await until(is_missed, "the process knows that the topic is gone")
        await group.create()
        group.read.clear()
        await group.say(2)

        await group.until_read(all_of(PARTITIONS, 2))


async def test_what_was_unread_of_a_topic_that_was_created_anew_is_a_gap(group: Group) -> None:
    """What the consumer has in hand when the topic goes is handled, and no part of the gap."""
    await group.say(50)
    group.goes_on.clear()
    async with group.process() as consumer:

        async def is_known() -> bool:
            return bool(group.in_hand) and consumer.lag() == PARTITIONS * 50

        await until(is_known, "a batch is in hand, and what waits behind it is known")
        nexts = {record.partition: record.offset + 1 for record in group.in_hand}
        await group.delete()
        await group.create()

        async def is_told() -> bool:
            gaps = await group.pool.fetchval("SELECT count(*) FROM gaps WHERE topic = $1", group.topic)
            return bool(gaps)

        await until(is_told, "what was unread is told")
        group.goes_on.set()
        await group.say(2)
        await group.until_read([(partition, 1) for partition in range(PARTITIONS)])
    gaps = await group.pool.fetch("SELECT * FROM gaps WHERE topic = $1 ORDER BY partition", group.topic)
    assert sum(nexts.values()) == 100
    assert [(gap["partition"], gap["from_offset"], gap["to_offset"], gap["kind"]) for gap in gaps] == [
        (partition, nexts.get(partition, 0), 50, "deleted")
        for partition in range(PARTITIONS)
        if nexts.get(partition, 0) < 50
    ]


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
async def test_a_topic_that_is_compacted_is_a_trouble_until_it_is_not(group: Group, policy: str) -> None:
    def told() -> list[tuple[str, str]]:
        return [(each.wrong, each.said) for each in group.troubles.lasting(monotonic() + PATIENCE_SECONDS)]

    async def is_told() -> bool:
        return told() == [(COMPACTED, f"cleanup.policy of {group.topic}")]

    async def is_over() -> bool:
        return not told()

    async with group.process():
        assert told() == []
        await group.set_policy(policy)
        await until(is_told, "the topic is told as compacted")
        await group.set_policy("delete")
        await until(is_over, "the topic is as it should be")
