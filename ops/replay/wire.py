"""The real system as the driver sees it: Kafka for events and answers, Postgres for older answers."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from ops.audit.pipeline import Pipeline, open_pipeline
from ops.replay.driver import UpstreamEvent
from ops.replay.plan import SOURCE
from ops.replay.states import Answer
from ops.shell.databases import Connections, Urls, connected
from shared.brokers import Brokers
from shared.clock import monotonic
from shared.events.catalogue import TOPICS, UPSTREAM
from shared.events.envelope import write_headers
from shared.kafka import COMMITTED_ONLY

ANSWERS = tuple(topic for topic in TOPICS if topic != UPSTREAM)
MOST_RECORDS = 5_000
ACCEPTED = "SELECT event_id FROM inbox WHERE source = $1"
REFUSED = "SELECT event_id, code FROM dead_letters WHERE source = $1 AND code <> 'duplicate_id'"


class KafkaTopics:
    """The topics of a running system. Opened by `open_topics`.

    It publishes one event in `repeat_every` twice, word for word, as a producer does that lost an answer
    (0: none); `repeats` counts them.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        consumer: AIOKafkaConsumer,
        databases: Connections,
        pipeline: Pipeline,
        repeat_every: int = 0,
    ) -> None:
        self.repeats = 0
        self._repeat_every = repeat_every
        self._producer, self._consumer, self._databases = producer, consumer, databases
        self._pipeline = pipeline

    async def backlog(self) -> Iterable[Answer]:
        """Reads on to where the topics end now."""
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        found: list[Answer] = []
        while not await self._read_up_to(ends):
            found.extend(await self.next_answers(0.5))
        return found

    async def _read_up_to(self, ends: dict[TopicPartition, int]) -> bool:
        return all([await self._consumer.position(place) >= end for place, end in ends.items()])

    async def answered(self) -> Mapping[str, str]:
        """From the inboxes and dead letters, which outlive what the feedback topic keeps."""
        accepted: dict[str, str] = {}
        refused: dict[str, str] = {}
        for database in self._databases.values():
            accepted |= {row["event_id"]: "" for row in await database.fetch(ACCEPTED, SOURCE)}
            refused |= {row["event_id"]: row["code"] for row in await database.fetch(REFUSED, SOURCE)}
        return accepted | refused

    async def publish(self, events: Sequence[UpstreamEvent]) -> None:
        """Waits for the broker's acknowledgement of all of them."""
        again = events[:: self._repeat_every] if self._repeat_every else ()
        self.repeats += len(again)
        sent = [
            await self._producer.send(
                UPSTREAM, key=event.key.encode(), value=orjson.dumps(event.data), headers=headers(event)
            )
            for event in (*events, *again)
        ]
        await asyncio.gather(*sent)

    async def next_answers(self, seconds: float) -> Sequence[Answer]:
        """The next records of the answer topics, at most MOST_RECORDS."""
        batches = await self._consumer.getmany(timeout_ms=int(seconds * 1000), max_records=MOST_RECORDS)
        answers = (answer_of(record) for records in batches.values() for record in records)
        return [answer for answer in answers if answer is not None]

    async def caught_up(self, seconds: float) -> bool:
        """Waits until every reader has handled every event that the services have committed by now."""
        committed = await self._pipeline.last_events()
        return await self._pipeline.read_by_all(committed, monotonic() + seconds)


@asynccontextmanager
async def open_topics(
    kafka: str, checkout: str, urls: Urls, repeat_every: int = 0
) -> AsyncIterator[KafkaTopics]:
    """Connects to a running system; the answer topics are read from their first record, without a group.

    `kafka` shows how far every service has come, `checkout` publishes and reads answers; without logins they
    are the same. Raises Problem when the system does not answer.
    """
    async with AsyncExitStack() as stack:
        pipeline = await stack.enter_async_context(open_pipeline(urls, kafka))
        databases = await stack.enter_async_context(connected(urls))
        producer = AIOKafkaProducer(
            **Brokers.at(checkout).client(),
            acks="all",
            enable_idempotence=True,
            linger_ms=5,
            max_batch_size=256 * 1024,
        )
        consumer = AIOKafkaConsumer(
            **Brokers.at(checkout).client(),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level=COMMITTED_ONLY,
            fetch_max_wait_ms=20,
        )
        for client in (producer, consumer):
            stack.push_async_callback(client.stop)
            await client.start()
        consumer.assign(
            [
                TopicPartition(topic, part)
                for topic in ANSWERS
                for part in await producer.partitions_for(topic)
            ]
        )
        yield KafkaTopics(producer, consumer, databases, pipeline, repeat_every)


def headers(event: UpstreamEvent) -> list[tuple[str, bytes]]:
    """CloudEvents 1.0, binary mode."""
    return write_headers(
        id=event.id, source=event.source, type=event.type, subject=event.key, time=event.time
    )


def answer_of(record: Any) -> Answer | None:
    """An answer as it stands in a topic; None for a record that is no event of this system."""
    try:
        headers = dict(record.headers)
        data = orjson.loads(record.value)
        if not isinstance(data, dict):
            return None
        return Answer(
            key=record.key.decode(),
            type=headers["ce_type"].decode(),
            time=datetime.fromisoformat(headers["ce_time"].decode()),
            data=data,
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
