"""The driver's side of the real system: Kafka for what is said and heard, Postgres for what is not yet."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from ops.replay.driver import Saying
from ops.replay.ledger import Answer
from ops.replay.plan import SOURCE
from shared.clock import monotonic
from shared.events.envelope import write_headers

CHECKOUT = "checkout.events"
ANSWERS = ("checkout.feedback", "orders.events", "serials.events", "refunds.events", "invoices.events")
READS = {
    "orders": (CHECKOUT, "serials.events", "refunds.events", "invoices.events"),
    "serials": ("orders.events",),
    "refunds": (CHECKOUT, "orders.events"),
    "invoices": (CHECKOUT, "orders.events", "serials.events", "refunds.events"),
}
LOOK_EVERY = 0.05  # seconds; offsets and relay marks send no signal of their own
MOST_RECORDS = 5_000
UNSAID = " UNION ALL ".join(
    f"SELECT (SELECT coalesce(max(id), 0) FROM {service}.outbox) - (SELECT published FROM {service}.relay)"  # noqa: S608
    for service in READS
)
ACCEPTED = " UNION ALL ".join(f"SELECT event_id FROM {service}.inbox WHERE source = $1" for service in READS)  # noqa: S608
REFUSED = " UNION ALL ".join(
    f"SELECT event_id, code FROM {service}.dead_letters WHERE source = $1 AND code <> 'duplicate_id'"  # noqa: S608
    for service in READS
)


class KafkaTopics:
    """The topics of a running system. Opened by `open_topics`."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        consumer: AIOKafkaConsumer,
        admin: AIOKafkaAdminClient,
        database: asyncpg.Connection,
    ) -> None:
        self._producer, self._consumer, self._admin, self._database = producer, consumer, admin, database

    async def backlog(self) -> Iterable[Answer]:
        """Reads on to where the topics end now."""
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        found: list[Answer] = []
        while not await self._read_up_to(ends):
            found.extend(await self.hear(0.5))
        return found

    async def _read_up_to(self, ends: dict[TopicPartition, int]) -> bool:
        return all([await self._consumer.position(place) >= end for place, end in ends.items()])

    async def answered(self) -> Mapping[str, str]:
        """From the inboxes and dead letters, which outlive what the feedback topic keeps."""
        codes = {row["event_id"]: "" for row in await self._database.fetch(ACCEPTED, SOURCE)}
        return codes | {row["event_id"]: row["code"] for row in await self._database.fetch(REFUSED, SOURCE)}

    async def say(self, events: Sequence[Saying]) -> None:
        """Waits for the broker's acknowledgement of all of them."""
        sent = [
            await self._producer.send(
                CHECKOUT, key=event.key.encode(), value=orjson.dumps(event.data), headers=headers(event)
            )
            for event in events
        ]
        await asyncio.gather(*sent)

    async def hear(self, seconds: float) -> Sequence[Answer]:
        """The next records of the answer topics, at most MOST_RECORDS."""
        batches = await self._consumer.getmany(timeout_ms=int(seconds * 1000), max_records=MOST_RECORDS)
        answers = (answer_of(record) for records in batches.values() for record in records)
        return [answer for answer in answers if answer is not None]

    async def caught_up(self, seconds: float) -> bool:
        """Every outbox published, every group at the end of its topics, and still so after both looks."""
        until = monotonic() + seconds
        while monotonic() < until:
            before = await self._ends()
            if await self._all_said() and await self._all_read(before) and before == await self._ends():
                return True
            await asyncio.sleep(LOOK_EVERY)
        return False

    async def _all_said(self) -> bool:
        return not any(row[0] for row in await self._database.fetch(UNSAID))

    async def _ends(self) -> dict[TopicPartition, int]:
        places = [
            TopicPartition(topic, partition)
            for topic in (CHECKOUT, *ANSWERS[1:])
            for partition in await self._partitions(topic)
        ]
        ends: dict[TopicPartition, int] = await self._consumer.end_offsets(places)
        return ends

    async def _partitions(self, topic: str) -> set[int]:
        return set(await self._producer.partitions_for(topic))

    async def _all_read(self, ends: dict[TopicPartition, int]) -> bool:
        for service, topics in READS.items():
            committed = await self._admin.list_consumer_group_offsets(f"pawl-{service}")
            read = {place: meta.offset for place, meta in committed.items()}
            mine = {place: end for place, end in ends.items() if place.topic in topics}
            if any(read.get(place, 0) < end for place, end in mine.items()):
                return False
        return True


@asynccontextmanager
async def open_topics(bootstrap: str, database_url: str) -> AsyncIterator[KafkaTopics]:
    """Connects to a running system; the answer topics are read from their first record, without a group."""
    async with AsyncExitStack() as stack:
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap,
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            max_batch_size=256 * 1024,
        )
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=20,
        )
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        for client, leave in ((producer, producer.stop), (consumer, consumer.stop), (admin, admin.close)):
            stack.push_async_callback(leave)
            await client.start()
        database = await asyncpg.connect(database_url)
        stack.push_async_callback(database.close)
        topics = KafkaTopics(producer, consumer, admin, database)
        consumer.assign(
            [TopicPartition(topic, part) for topic in ANSWERS for part in await topics._partitions(topic)]
        )
        yield topics


def headers(event: Saying) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0, binary mode."""
    return write_headers(id=event.id, source=SOURCE, type=event.type, subject=event.key, time=event.time)


def answer_of(record: Any) -> Answer | None:
    """An answer as it stands in a topic; None for a record that is no event of this system."""
    try:
        said = dict(record.headers)
        data = orjson.loads(record.value)
        if not isinstance(data, dict):
            return None
        return Answer(
            key=record.key.decode(),
            type=said["ce_type"].decode(),
            time=datetime.fromisoformat(said["ce_time"].decode()),
            data=data,
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
