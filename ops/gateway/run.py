"""Reads what refunds asks for, and publishes what the simulated gateway says to it, when the time has come.

It keeps nothing. What it finds unanswered when it starts it answers from the beginning: the ids of its events
follow from the request, so that the services know the repeats.
"""

import heapq
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from ops.gateway.answers import Answer, PayoutRequest, answers_to, behaviour_of
from ops.gateway.requests import Requests
from ops.shell.output import Tell, tell_nobody
from shared.brokers import Brokers
from shared.clock import monotonic
from shared.events.catalogue import UPSTREAM
from shared.events.envelope import MAX_OWN_BYTES, read_envelope, write_headers
from shared.events.faults import Fault
from shared.kafka import COMMITTED_ONLY

SOURCE: Final = "https://gateway.pawl.example"
PAYOUTS: Final = "refunds.events"
LOOK_SECONDS: Final = 0.5


class Gateway:
    """A simulated gateway on a broker. `counts` has its payouts by behaviour. Opened by `open_gateway`.

    `pace` is how long a second of its delays takes, in seconds.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        consumer: AIOKafkaConsumer,
        seed: int,
        pace: float = 1.0,
        tell: Tell = tell_nobody,
    ) -> None:
        self.seed, self.pace = seed, pace
        self.counts: Counter[str] = Counter()
        self._producer, self._consumer, self._tell = producer, consumer, tell
        self._requests = Requests()
        self._due: list[tuple[float, int, Answer]] = []
        self._numbers = count()

    async def run(self) -> None:
        """Answers what is open, then what is asked, until cancelled. Raises KafkaError."""
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        while not await self._has_read(ends):
            await self._take(LOOK_SECONDS)
        self._plan(list(self._requests.open.values()))
        while True:
            self._plan(await self._take(self._pause()))
            await self._publish_what_is_due()

    async def _has_read(self, ends: dict[TopicPartition, int]) -> bool:
        return all([await self._consumer.position(place) >= end for place, end in ends.items()])

    async def _take(self, seconds: float) -> list[PayoutRequest]:
        """The requests among the next records; none when nothing came for so long."""
        batches = await self._consumer.getmany(timeout_ms=int(seconds * 1000))
        read = (self._read(record) for records in batches.values() for record in records)
        return [asked for asked in read if asked is not None]

    def _read(self, record: Any) -> PayoutRequest | None:
        try:
            event = read_envelope(record.headers, record.value, MAX_OWN_BYTES)
            return self._requests.record(event.type, event.time, orjson.loads(event.body))
        except (Fault, orjson.JSONDecodeError, KeyError, TypeError):  # nothing that refunds said
            return None

    def _plan(self, requests: Iterable[PayoutRequest]) -> None:
        now = monotonic()
        for asked in requests:
            behaviour = "asked again" if asked.attempt > 1 else behaviour_of(self.seed, asked.key)
            self.counts[behaviour] += 1
            self._tell(
                f"{asked.amount:>12,} won  order {asked.order_id}  refund {asked.refund_id}  {behaviour}"
            )
            for answer in answers_to(self.seed, asked):
                at = now + answer.delay.total_seconds() * self.pace
                heapq.heappush(self._due, (at, next(self._numbers), answer))

    def _pause(self) -> float:
        """Seconds until the next answer is due, at most LOOK_SECONDS."""
        return min(LOOK_SECONDS, max(0.0, self._due[0][0] - monotonic())) if self._due else LOOK_SECONDS

    async def _publish_what_is_due(self) -> None:
        while self._due and self._due[0][0] <= monotonic():
            answer = self._due[0][2]
            headers = write_headers(
                id=answer.id,
                source=f"{SOURCE}/{self.seed}",
                type=answer.type,
                subject=answer.order_id,
                time=answer.time,
            )
            body, key = orjson.dumps(answer.data), answer.order_id.encode()
            await self._producer.send_and_wait(UPSTREAM, body, key=key, headers=headers)
            heapq.heappop(self._due)


@asynccontextmanager
async def open_gateway(
    checkout: str, seed: int, pace: float = 1.0, tell: Tell = tell_nobody
) -> AsyncIterator[Gateway]:
    """A gateway that reads `refunds.events` from its first record, without a group.

    `checkout` is the broker as upstream reaches it. Raises KafkaError when it does not answer.
    """
    async with AsyncExitStack() as stack:
        producer = AIOKafkaProducer(**Brokers.at(checkout).client(), acks="all", enable_idempotence=True)
        consumer = AIOKafkaConsumer(
            **Brokers.at(checkout).client(),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            isolation_level=COMMITTED_ONLY,
        )
        for client in (producer, consumer):
            stack.push_async_callback(client.stop)
            await client.start()
        consumer.assign([TopicPartition(PAYOUTS, part) for part in await producer.partitions_for(PAYOUTS)])
        yield Gateway(producer, consumer, seed, pace, tell)
