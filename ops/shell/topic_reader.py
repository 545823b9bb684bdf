"""Reads how far each service has come in each topic: committed offsets against the ends of the topics."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from ops.shell.acls import topics_read
from ops.shell.problem import Problem
from shared.brokers import Brokers
from shared.clock import monotonic, now
from shared.kafka import COMMITTED_ONLY, ends_of_everything

ANSWER_SECONDS = 10.0
LOOK_MILLISECONDS = 200
# Asked for offsets the client learns of one topic after the other, and sleeps so long before each.
RETRY_MILLISECONDS = 10
Offsets: TypeAlias = dict[Any, int]
Lags: TypeAlias = dict[str, dict[str, int]]


class TopicReader:
    """Looks at topics and consumer groups without joining any."""

    def __init__(self, brokers: Brokers, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> None:
        self._brokers = brokers
        self._admin = admin
        self._consumer = consumer
        self._partitions: list[Any] = []

    async def learn_partitions(self) -> None:
        """Raises Problem when a topic is missing."""
        topics = sorted({topic for topics in topics_read().values() for topic in topics})
        known = {entry["topic"]: entry["partitions"] for entry in await self._admin.describe_topics(topics)}
        missing = [topic for topic in topics if not known.get(topic)]
        if missing:
            raise Problem(f"The broker has no topic {', '.join(missing)}.", "Run `pawl up`, it makes them.")
        self._partitions = [
            TopicPartition(topic, entry["partition"]) for topic in topics for entry in known[topic]
        ]

    async def ends(self) -> Offsets:
        """The offset after the last record of each partition that is committed, as its readers see it.

        Records of a transaction that is still open, and what stands behind them, come later.
        """
        return dict(await self._consumer.end_offsets(self._partitions))

    async def held(self) -> dict[str, int]:
        """Records of each topic that a transaction which is still open holds back: its own and later ones."""
        latest = await ends_of_everything(self._brokers, self._partitions)
        held: dict[str, int] = {}
        for place, end in (await self.ends()).items():
            held[place.topic] = held.get(place.topic, 0) + max(0, latest[place] - end)
        return held

    async def committed(self) -> dict[str, Offsets]:
        """The next offset that each service would read; where it never read, the first that is left."""
        begins = await self._consumer.beginning_offsets(self._partitions)
        committed: dict[str, Offsets] = {}
        for service, topics in topics_read().items():
            offsets = await self._admin.list_consumer_group_offsets(f"pawl-{service}")
            committed[service] = {
                place: max(begins[place], offsets[place].offset) if place in offsets else begins[place]
                for place in self._partitions
                if place.topic in topics
            }
        return committed

    async def are_past(self, ends: Offsets) -> bool:
        """Whether every service has read up to these offsets."""
        committed = await self.committed()
        return all(
            offset >= ends[place] for offsets in committed.values() for place, offset in offsets.items()
        )

    async def unread(self) -> dict[str, dict[Any, tuple[int, int]]]:
        """For each service the partitions with unread records: next offset and end."""
        committed, ends = await self.committed(), await self.ends()
        return {
            service: {p: (offset, ends[p]) for p, offset in offsets.items() if offset < ends[p]}
            for service, offsets in committed.items()
        }

    async def lags(self) -> Lags:
        """Unread events of each service by topic."""
        lags: Lags = {service: dict.fromkeys(topics, 0) for service, topics in topics_read().items()}
        for service, places in (await self.unread()).items():
            for place, (offset, end) in places.items():
                lags[service][place.topic] += end - offset
        return lags

    async def ages(self) -> dict[str, dict[str, float]]:
        """Seconds since the oldest unread record of each service by topic was written."""
        ages: dict[str, dict[str, float]] = {
            service: dict.fromkeys(topics, 0.0) for service, topics in topics_read().items()
        }
        for service, places in (await self.unread()).items():
            for place, (offset, end) in places.items():
                age = await self._age(place, offset, end)
                ages[service][place.topic] = max(ages[service][place.topic], age)
        return ages

    async def _age(self, place: Any, offset: int, end: int) -> float:
        """Seconds since the next record was written; 0 where only marks of transactions are left."""
        self._consumer.assign([place])
        self._consumer.seek(place, offset)
        deadline = monotonic() + ANSWER_SECONDS
        while await self._consumer.position(place) < end and monotonic() < deadline:
            batches = await self._consumer.getmany(place, timeout_ms=LOOK_MILLISECONDS, max_records=1)
            for record in batches.get(place, ()):
                return max(0.0, now().timestamp() - int(record.timestamp) / 1000)
        return 0.0


@asynccontextmanager
async def reading_topics(where: str | Brokers) -> AsyncIterator[TopicReader]:
    """A reader of this broker. Raises Problem when it does not answer."""
    brokers = Brokers.at(where)
    admin = AIOKafkaAdminClient(**brokers.client(), client_id="pawl-ops")
    consumer = AIOKafkaConsumer(
        **brokers.client(),
        client_id="pawl-ops",
        enable_auto_commit=False,
        isolation_level=COMMITTED_ONLY,
        retry_backoff_ms=RETRY_MILLISECONDS,
    )
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await admin.start()
            await consumer.start()
        reader = TopicReader(brokers, admin, consumer)
        await reader.learn_partitions()
        yield reader
    except (KafkaError, TimeoutError, OSError) as error:
        raise Problem(
            f"Kafka does not answer at {brokers}: {str(error) or type(error).__name__}",
            "Is the system running (`pawl up`)? Otherwise name the broker with --kafka.",
        ) from error
    finally:
        await consumer.stop()
        await admin.close()
