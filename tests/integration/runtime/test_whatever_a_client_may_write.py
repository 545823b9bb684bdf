"""What a client may legally write, kind by kind: it is read, or refused by name at its place.

And whatever it is, afterwards nothing waits: the group stands where nothing can be read any more, its lag is
0, and health is well, also after a while of silence.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from shared.clock import monotonic
from shared.events.catalogue import UPSTREAM
from shared.ids import uuid7
from shared.kafka import COMMITTED_ONLY, oldest_record
from shared.runtime.consumer import PartitionConsumer, new_broker, subscribe
from shared.runtime.health import Health
from shared.runtime.offsets import HandledOffsets
from shared.runtime.records import Record
from shared.runtime.signals import Metrics
from shared.runtime.unpacking import MAX_BATCH_BYTES
from tests.support.desk import Desk, payment
from tests.support.instances import until
from tests.support.servers import empty_all_topics

PARTITION = 5
PLACE = TopicPartition(UPSTREAM, PARTITION)
YEAR_1970, YEAR_2100 = 0, 4_102_444_800_000
STALL_SECONDS = 2.0
USUAL = {
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": "2097152",
    "segment.bytes": "134217728",
    "retention.ms": "31536000000",
}
TIMES_OF_PRODUCERS = {
    "message.timestamp.type": "CreateTime",
    "message.timestamp.after.max.ms": str(2**63 - 1),
    "retention.ms": "-1",
}

Headers = list[tuple[str, bytes | None]]
ORDER = "W-1"
SAID = payment(ORDER)
HEADERS: Headers = list(SAID.headers)


def with_header(name: str, value: bytes | None) -> Headers:
    """The usual headers, and one more of this name."""
    return [*HEADERS, (name, value)]


def without_header(name: str) -> Headers:
    return [header for header in HEADERS if header[0] != name]


@dataclass(frozen=True)
class Written:
    """A record as a client writes it, alone in a batch or among so many alike."""

    key: bytes | None = ORDER.encode()
    value: bytes | None = SAID.value
    headers: Any = None
    at: int | None = None
    codec: str | None = None
    alike: int = 1


READ = {
    **{f"codec {codec}": Written(codec=codec) for codec in (None, "gzip", "snappy", "lz4", "zstd")},
    "the same header twice": Written(headers=with_header("ce_type", b"payment.completed.v1")),
    "a header of others twice": Written(headers=[*with_header("x-hop", b"1"), ("x-hop", b"2")]),
    "a header of others without a value": Written(headers=with_header("x-hop", None)),
    "a record of 1970": Written(at=YEAR_1970),
    "a record of 2100": Written(at=YEAR_2100),
    "a record of 1970, compressed": Written(at=YEAR_1970, codec="lz4"),
}
REFUSED = {
    "no key": (Written(key=None), "wrong_key", "the record key must be the order_id"),
    "a key that is no text": (Written(key=b"\xff\xfe"), "wrong_key", "the record key must be the order_id"),
    "an empty key": (Written(key=b""), "wrong_key", "the record key must be the order_id"),
    "a tombstone": (Written(value=None), "unreadable", "an event is never deleted"),
    "an empty value": (Written(value=b""), "unreadable", "must be JSON"),
    "no key and no value": (Written(key=None, value=None), "unreadable", "an event is never deleted"),
    "no header": (Written(headers=[]), "missing_field", "specversion is required"),
    "one header missing": (Written(headers=without_header("ce_id")), "missing_field", "id is required"),
    "an id twice, and not the same": (
        Written(headers=with_header("ce_id", b"another")),
        "unreadable",
        "the header ce_id is there twice",
    ),
    "an id without a value": (
        Written(headers=[*without_header("ce_id"), ("ce_id", None)]),
        "missing_field",
        "id is required",
    ),
    "a header that is no text": (
        Written(headers=with_header("ce_subject", b"\xff")),
        "unreadable",
        "must be UTF-8",
    ),
    **{
        f"a batch of {codec} that unpacks to more than the bound": (
            Written(value=b" " * 1_000_000, codec=codec, alike=MAX_BATCH_BYTES // 1_000_000 + 1),
            "unreadable",
            f"more than {MAX_BATCH_BYTES} bytes; send smaller batches",
        )
        for codec in ("gzip", "lz4", "zstd")
    },
}
BEHIND = payment("W-2")
NEXT = Written(BEHIND.key, BEHIND.value, list(BEHIND.headers))
"""What stands behind it is read."""


class Service:
    """The orders service as far as it reads checkout.events: its consumer, its fold, its health."""

    def __init__(self, kafka: str, desk: Desk) -> None:
        self.kafka, self.desk, self.group = kafka, desk, f"whatever-{uuid7()}"
        offsets = HandledOffsets(desk.pool, Metrics())
        self.consumer = PartitionConsumer(desk.fold.handle, Metrics(), pytest.fail, offsets=offsets)
        self.health = Health("orders", [self.consumer], STALL_SECONDS, lambda: True, started=True)
        self.admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        self.asking = AIOKafkaConsumer(bootstrap_servers=kafka, isolation_level=COMMITTED_ONLY)

    async def is_caught_up(self) -> bool:
        """Whether the group stands where nothing more can be read."""
        offsets = await self.admin.list_consumer_group_offsets(self.group)
        end = (await self.asking.end_offsets([PLACE]))[PLACE]
        return bool(PLACE in offsets and offsets[PLACE].offset == end)

    async def letters(self) -> list[Any]:
        query = 'SELECT code, detail, partition, "offset" FROM dead_letters ORDER BY id'
        return list(await self.desk.pool.fetch(query))

    async def answers(self) -> list[tuple[str, int]]:
        """What was answered, and at which offset the record stands."""
        found = await self.desk.said()
        return [(name, data["position"]["offset"]) for name, _, data in found if name.startswith("event.")]


@pytest.fixture
async def service(kafka: str, desk: Desk) -> AsyncIterator[Service]:
    await empty_all_topics(kafka)
    service = Service(kafka, desk)
    broker = new_broker(kafka, 5)
    subscribe(broker, service.consumer, topics=[UPSTREAM], group=service.group, max_records=100)
    await broker.start()
    await service.admin.start()
    await service.asking.start()
    committing = asyncio.create_task(service.consumer.commit_forever())
    yield service
    committing.cancel()
    await broker.stop()
    await service.asking.stop()
    await service.admin.close()


@pytest.fixture
async def times_of_producers(kafka: str) -> AsyncIterator[None]:
    """Records carry the time that their producer gives them, whatever year it is."""
    await configure(kafka, TIMES_OF_PRODUCERS)
    yield
    await empty_all_topics(kafka)
    await configure(kafka, USUAL)


async def configure(kafka: str, settings: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    resource = ConfigResource(ConfigResourceType.TOPIC, UPSTREAM, configs=settings)
    await admin.alter_configs([resource])

    async def is_so() -> bool:
        (found,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, UPSTREAM)])
        values = {entry[0]: entry[1] for resource in found.resources for entry in resource[4]}
        return all(values[name] == value for name, value in settings.items())

    await until(is_so, f"{UPSTREAM} has {settings}")
    await admin.close()


async def write(kafka: str, *written: Written) -> int:
    """Writes each of these in a batch of its own; the offset of the first record."""
    first: int | None = None
    for each in written:
        producer = AIOKafkaProducer(
            bootstrap_servers=kafka,
            compression_type=each.codec,
            max_batch_size=2 * MAX_BATCH_BYTES,
            max_request_size=2 * MAX_BATCH_BYTES,
        )
        await producer.start()
        batch = producer.create_batch()
        for _ in range(each.alike):
            headers = HEADERS if each.headers is None else each.headers
            assert batch.append(key=each.key, value=each.value, timestamp=each.at, headers=headers)
        sent = await (await producer.send_batch(batch, UPSTREAM, partition=PARTITION))
        await producer.stop()
        first = sent.offset if first is None else first
    assert first is not None
    return first


async def assert_nothing_waits(service: Service) -> None:
    await until(service.is_caught_up, "the group stands where nothing more can be read")
    assert service.consumer.lag() == 0
    assert service.health.stalled() is None


@pytest.mark.parametrize("name", list(READ))
async def test_it_is_read(service: Service, kafka: str, times_of_producers: None, name: str) -> None:
    offset = await write(kafka, READ[name])

    await assert_nothing_waits(service)

    assert await service.answers() == [("event.accepted.v1", offset)]
    assert await service.letters() == []


@pytest.mark.parametrize("name", list(REFUSED))
async def test_it_is_refused_by_name_at_its_place(
    service: Service, kafka: str, times_of_producers: None, name: str
) -> None:
    written, code, detail = REFUSED[name]
    offset = await write(kafka, written, NEXT)

    await assert_nothing_waits(service)

    (letter,) = await service.letters()
    assert (letter["code"], letter["partition"], letter["offset"]) == (code, PARTITION, offset)
    assert detail in letter["detail"]
    behind = offset + written.alike
    assert await service.answers() == [("event.rejected.v1", offset), ("event.accepted.v1", behind)]


async def transaction(kafka: str, *, commits: bool) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"shop-{uuid7()}")
    await producer.start()
    await producer.begin_transaction()
    await producer.send_and_wait(
        UPSTREAM, SAID.value, key=SAID.key, headers=list(SAID.headers), partition=PARTITION
    )
    await (producer.commit_transaction() if commits else producer.abort_transaction())
    await producer.stop()


Writes = Callable[[str], Awaitable[Any]]
CONTROL: dict[str, tuple[Writes, Sequence[str]]] = {
    "the mark of a commit": (lambda kafka: transaction(kafka, commits=True), ["event.accepted.v1"]),
    "an aborted transaction and its mark": (lambda kafka: transaction(kafka, commits=False), []),
}


@pytest.mark.parametrize("name", list(CONTROL))
async def test_control_records_are_passed_and_nothing_waits_in_the_silence_behind_them(
    service: Service, kafka: str, name: str
) -> None:
    writes, answered = CONTROL[name]
    await writes(kafka)
    await assert_nothing_waits(service)

    silent_until = monotonic() + STALL_SECONDS + 1

    async def was_silent() -> bool:
        well, report = service.health.report()
        assert well, report
        return monotonic() > silent_until

    await until(was_silent, "nothing is said for longer than a stall takes")
    assert [kind for kind, _ in await service.answers()] == answered
    assert service.consumer.lag() == 0


async def test_times_of_any_year_say_how_far_back_a_topic_goes(
    service: Service, kafka: str, times_of_producers: None
) -> None:
    """Retention asks for the oldest record; no year of a producer ends that."""
    await write(kafka, Written(at=YEAR_2100), Written(at=YEAR_1970))

    # Which of them is the oldest depends on what other tests have left on this broker.
    assert (await oldest_record(kafka, {UPSTREAM: 12})).tzinfo is UTC
    await assert_nothing_waits(service)


COMPACTED = {
    "cleanup.policy": "compact",
    "segment.bytes": "1048576",
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0.01",
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": "100",
    "delete.retention.ms": "0",
}


@pytest.mark.faults
async def test_holes_and_empty_batches_are_passed(kafka: str) -> None:
    """A compacted log: most records are gone, and of some batches only the frame is left."""
    topic, group, handled = f"holes-{uuid7()}", f"holes-{uuid7()}", list[int]()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=COMPACTED)])
    place = TopicPartition(topic, 0)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True)
    await producer.start()
    for _ in range(5):
        await producer.send_and_wait(topic, b"x" * 1_000, key=b"A-1", partition=0)
        await producer.send_and_wait(topic, None, key=b"A-2", partition=0)
        await asyncio.sleep(0.15)  # a segment is closed by its age

    async def has_holes() -> bool:
        await producer.send_and_wait(topic, b"last", key=b"A-1", partition=0)
        offsets = [record.offset for record in await everything_in(kafka, place)]
        return len(offsets) < offsets[-1] - offsets[0] + 1 or offsets[0] > 0

    await until(has_holes, "the broker has compacted the topic")
    await producer.stop()

    async def handle(records: Sequence[Record]) -> None:
        handled.extend(record.offset for record in records)

    consumer = PartitionConsumer(handle, Metrics(), pytest.fail)
    broker = new_broker(kafka, 5)
    subscribe(broker, consumer, topics=[topic], group=group, max_records=100)
    await broker.start()
    committing = asyncio.create_task(consumer.commit_forever())

    async def is_caught_up() -> bool:
        offsets = await admin.list_consumer_group_offsets(group)
        return place in offsets and offsets[place].offset == handled[-1] + 1 and consumer.lag() == 0

    await until(is_caught_up, "what is left is read, and nothing waits")
    assert handled == sorted(set(handled))
    assert Health("orders", [consumer], 60, lambda: True, started=True).stalled() is None
    committing.cancel()
    await broker.stop()
    await admin.close()


async def everything_in(kafka: str, place: TopicPartition) -> list[Any]:
    """Every record that is left in a partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    await consumer.start()
    consumer.assign([place])
    await consumer.seek_to_beginning()
    end = (await consumer.end_offsets([place]))[place]
    found: list[Any] = []
    while await consumer.position(place) < end:
        batches = await consumer.getmany(timeout_ms=200)
        found += batches.get(place, [])
    await consumer.stop()
    return found
