"""Records that are deleted, and a group that is moved, with a real group, a real broker and a real schema."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.records_to_delete import RecordsToDelete

from ops.audit.books import SQL as RULES
from shared.ids import uuid7
from shared.runtime.consumer import PartitionConsumer, new_broker, subscribe
from shared.runtime.offsets import HandledOffsets, Stand
from shared.runtime.records import Record
from shared.runtime.signals import Metrics
from tests.support.instances import until
from tests.support.toy import said


class Log:
    """One partition of a topic of its own, and a group that reads it."""

    def __init__(self, kafka: str, pool: asyncpg.Pool) -> None:
        self.kafka, self.pool = kafka, pool
        self.topic, self.group = f"offsets-{uuid7()}", f"offsets-{uuid7()}"
        self.place = TopicPartition(self.topic, 0)
        self.handled: list[int] = []

    async def create(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        await admin.create_topics([NewTopic(self.topic, 1, 1)])
        await admin.close()

    async def delete_topic(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        await admin.delete_topics([self.topic])
        await admin.close()

    async def say(self, count: int) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.kafka)
        await producer.start()
        for number in range(count):
            record = replace(said(f"pay-{number}"), topic=self.topic)
            await producer.send_and_wait(
                self.topic, record.value, key=record.key, headers=list(record.headers), partition=0
            )
        await producer.stop()

    async def delete_before(self, offset: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        await admin.delete_records({self.place: RecordsToDelete(offset)})
        await admin.close()

    async def move_group(self, offset: int) -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.kafka, group_id=self.group, enable_auto_commit=False
        )
        await consumer.start()
        consumer.assign([self.place])
        await consumer.commit({self.place: offset})
        await consumer.stop()

    async def gaps(self) -> list[tuple[int, int, str]]:
        rows = await self.pool.fetch("SELECT * FROM gaps WHERE topic = $1 ORDER BY id", self.topic)
        return [(row["from_offset"], row["to_offset"], row["kind"]) for row in rows]

    async def next_offset(self) -> int | None:
        query = "SELECT next_offset FROM handled_offsets WHERE topic = $1"
        value: int | None = await self.pool.fetchval(query, self.topic)
        return value


Read = Callable[[int], Awaitable[None]]


@pytest.fixture
async def log(kafka: str, pool: asyncpg.Pool) -> Log:
    log = Log(kafka, pool)
    await log.create()
    return log


@pytest.fixture
def read(log: Log) -> Read:
    """Reads with a consumer of the group until the schema says so, and ends it: `await read(5)`."""

    async def handle(records: Sequence[Record]) -> None:
        log.handled += [record.offset for record in records]

    async def read_up_to(offset: int) -> None:
        consumer = PartitionConsumer(
            handle, Metrics(), pytest.fail, offsets=HandledOffsets(log.pool, Metrics())
        )
        broker = new_broker(log.kafka, 5)
        subscribe(broker, consumer, topics=[log.topic], group=log.group, max_records=100)
        committing = asyncio.create_task(consumer.commit_forever())
        await broker.start()

        async def is_there() -> bool:
            return await log.next_offset() == offset

        await until(is_there, f"{log.topic} is handled up to {offset}")
        committing.cancel()
        await broker.stop()

    return read_up_to


async def test_what_is_deleted_while_nobody_reads_is_a_gap(log: Log, read: Read) -> None:
    await log.say(5)
    await read(5)
    await log.say(7)
    await log.delete_before(12)

    await read(12)

    assert await log.gaps() == [(5, 12, "deleted")]
    (broken,) = await log.pool.fetch(RULES.nothing_missed, 10)
    assert f"{log.topic}/0 from 5 up to 12" in broken["detail"]


async def test_what_is_deleted_before_a_first_record_was_ever_read_is_a_gap(log: Log, read: Read) -> None:
    await read(0)
    await log.say(3)
    await log.delete_before(3)

    await read(3)

    assert await log.gaps() == [(0, 3, "deleted")]


async def test_a_group_that_is_set_forward_is_a_gap_and_one_that_is_set_back_is_none(
    log: Log, read: Read
) -> None:
    await log.say(5)
    await read(5)

    await log.move_group(1)
    await log.say(1)
    await read(6)
    assert await log.gaps() == []
    assert log.handled == [0, 1, 2, 3, 4, 1, 2, 3, 4, 5]

    await log.say(4)
    await log.move_group(9)
    await read(10)
    assert await log.gaps() == [(6, 9, "moved")]


async def test_a_gap_is_told_once_until_it_is_closed(log: Log, read: Read) -> None:
    await log.say(2)
    await read(2)
    await log.say(2)
    await log.delete_before(4)
    await read(4)
    await read(4)

    assert await log.gaps() == [(2, 4, "deleted")]


async def test_a_topic_that_is_created_anew_is_read_from_its_first_record(log: Log, read: Read) -> None:
    await log.say(5)
    await read(5)
    await log.delete_topic()
    await asyncio.sleep(1)
    await log.create()
    await log.say(2)

    await read(2)

    assert log.handled == [0, 1, 2, 3, 4, 0, 1]
    assert await log.gaps() == []


async def test_what_a_group_has_read_is_missing_from_an_empty_schema_and_not_from_one_of_the_version_before(
    log: Log,
) -> None:
    offsets, read_by_group = HandledOffsets(log.pool, Metrics()), Stand(None, 5, 0, 9)

    await offsets.begin({(log.topic, 0): read_by_group})
    assert await log.gaps() == [(0, 5, "moved")]

    await log.pool.execute("INSERT INTO cursors VALUES ('/pawl/orders', 'A-1', 2, 1)")
    assert await offsets.begin({(log.topic, 1): read_by_group}) == {(log.topic, 1): 5}
    assert await log.gaps() == [(0, 5, "moved")]
