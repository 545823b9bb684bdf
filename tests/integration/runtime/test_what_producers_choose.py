"""What a producer chooses and its readers cannot: how batches are compressed, and transactions."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from ops.audit.topics.pages import Pages
from ops.shell.topic_reader import TopicReader
from shared.brokers import Brokers
from shared.ids import uuid7
from shared.kafka import COMMITTED_ONLY
from shared.runtime.consumer import PartitionConsumer, new_broker, subscribe
from shared.runtime.records import Record
from shared.runtime.signals import Metrics
from tests.support.instances import until


class Reader:
    """A consumer of a service's kind on a topic of one partition, and the ways to ask how far it came."""

    def __init__(self, kafka: str, topic: str) -> None:
        self.kafka, self.place, self.group = kafka, TopicPartition(topic, 0), f"reader-{topic}"
        self.handled: list[bytes] = []
        self.consumer = PartitionConsumer(self.handle, Metrics(), pytest.fail)
        self.admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        self.asking = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level=COMMITTED_ONLY)

    async def handle(self, records: Sequence[Record]) -> None:
        self.handled += [record.value or b"" for record in records]

    async def has_handled(self, *values: bytes) -> None:
        async def is_so() -> bool:
            return self.handled == list(values)

        await until(is_so, f"{values} are handled, and nothing else")

    async def committed(self) -> int:
        offsets = await self.admin.list_consumer_group_offsets(self.group)
        return int(offsets[self.place].offset) if self.place in offsets else 0

    async def end(self) -> int:
        return int((await self.asking.end_offsets([self.place]))[self.place])

    async def is_caught_up(self) -> bool:
        return await self.committed() == await self.end() > 0


@pytest.fixture
async def topic(kafka: str) -> str:
    name, admin = f"chosen-{uuid7()}", AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1)])
    await admin.close()
    return name


@pytest.fixture
async def reader(kafka: str, topic: str) -> AsyncIterator[Reader]:
    reader = Reader(kafka, topic)
    broker = new_broker(kafka, 5)
    subscribe(broker, reader.consumer, topics=[topic], group=reader.group, max_records=100)
    await broker.start()
    await reader.admin.start()
    await reader.asking.start()
    committing = asyncio.create_task(reader.consumer.commit_forever())
    yield reader
    committing.cancel()
    await broker.stop()
    await reader.asking.stop()
    await reader.admin.close()


@pytest.fixture
async def shop(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    """A producer that writes transactions."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"shop-{uuid7()}")
    await producer.start()
    yield producer
    await producer.stop()


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_a_batch_is_handled_however_its_producer_has_compressed_it(
    kafka: str, topic: str, reader: Reader, codec: str
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka, compression_type=codec) as producer:
        await producer.send_and_wait(topic, b"paid " * 100)

    await reader.has_handled(b"paid " * 100)


async def test_what_a_transaction_wrote_counts_when_it_is_committed(
    topic: str, reader: Reader, shop: AIOKafkaProducer
) -> None:
    async with shop.transaction():
        await shop.send_and_wait(topic, b"paid")

    await reader.has_handled(b"paid")
    await until(reader.is_caught_up, "the mark at the end of the topic is passed")
    assert reader.consumer.lag() == 0


async def test_what_was_aborted_never_was_and_holds_nobody_up(
    topic: str, reader: Reader, shop: AIOKafkaProducer
) -> None:
    await shop.begin_transaction()
    await shop.send_and_wait(topic, b"never paid")
    await shop.abort_transaction()
    await until(reader.is_caught_up, "nothing is left to read, and the group says so")
    assert reader.handled == []

    async with shop.transaction():
        await shop.send_and_wait(topic, b"paid")
    await reader.has_handled(b"paid")


async def test_an_open_transaction_is_neither_read_nor_waited_for(
    kafka: str, topic: str, reader: Reader, shop: AIOKafkaProducer
) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka) as another:
        await another.send_and_wait(topic, b"before")
        await shop.begin_transaction()
        await shop.send_and_wait(topic, b"open")
        await another.send_and_wait(topic, b"behind")

    await reader.has_handled(b"before")
    await until(reader.is_caught_up, "all that is committed is read")
    assert await reader.committed() == 1, "what is open was not passed by"
    assert reader.consumer.lag() == 0
    topics = TopicReader(Brokers.at(kafka), reader.admin, reader.asking)
    topics._partitions = [reader.place]
    assert await topics.held() == {topic: 2}, "they are told apart from what is unread"

    await shop.commit_transaction()
    await reader.has_handled(b"before", b"open", b"behind")
    assert await topics.held() == {topic: 0}


async def test_what_is_in_hand_is_not_committed_when_a_mark_is_passed(
    topic: str, reader: Reader, shop: AIOKafkaProducer
) -> None:
    """The client is past a batch as soon as it has given it out, long before it is handled."""
    goes_on, begun = asyncio.Event(), asyncio.Event()

    async def wait(records: Sequence[Record]) -> None:
        begun.set()
        await goes_on.wait()

    reader.consumer._handle = wait
    async with shop.transaction():
        await shop.send_and_wait(topic, b"paid")
    await begun.wait()

    await reader.consumer._pass_markers()
    await reader.consumer.commit()
    assert await reader.committed() == 0

    goes_on.set()
    await until(reader.is_caught_up, "it is handled")


async def test_the_reader_of_topics_and_the_auditor_end_at_marks(
    kafka: str, topic: str, reader: Reader, shop: AIOKafkaProducer
) -> None:
    async with shop.transaction():
        await shop.send_and_wait(topic, b"paid")
    await shop.begin_transaction()
    await shop.send_and_wait(topic, b"never paid")
    await shop.abort_transaction()

    pages = Pages(reader.asking, {topic: 1})
    begins, ends = await pages.offsets([topic])
    of_all = pages.read(topic, 0, begins[reader.place], ends[reader.place])
    read = [record.value async for page in of_all for record in page]
    assert read == [b"paid"]

    topics = TopicReader(Brokers.at(kafka), reader.admin, reader.asking)
    assert await topics._age(reader.place, 0, ends[reader.place]) > 0
    assert await topics._age(reader.place, 1, ends[reader.place]) == 0
