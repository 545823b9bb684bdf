"""Reading topics for the auditor: one partition at a time, a page at a time, without joining a group."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from ops.audit.topics.rules import TopicRecord
from ops.shell.problem import Problem
from ops.shell.topic_reader import RETRY_MILLISECONDS
from shared.brokers import Brokers
from shared.clock import monotonic
from shared.events.catalogue import TOPICS, service_of
from shared.kafka import COMMITTED_ONLY, MissingTopic, partition_counts

PAGE = 2_000
PATIENCE = 30.0  # seconds without a record before the end of a partition
# What is read is there already; a fetch that still waits at the end of a partition holds up the next one.
FETCH_WAIT_MILLISECONDS = 5


class Pages:
    """The records of partitions between the offsets that stand at the moment of asking."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: Mapping[str, int]) -> None:
        self._consumer = consumer
        self.partitions = partitions

    async def offsets(self, topics: Sequence[str]) -> tuple[dict[Any, int], dict[Any, int]]:
        """The first offset of each partition and the one after its last."""
        places = [TopicPartition(t, p) for t in topics for p in range(self.partitions[t])]
        ends = await self._consumer.end_offsets(places)
        return dict(await self._consumer.beginning_offsets(places)), dict(ends)

    async def read(self, topic: str, partition: int, begin: int, end: int) -> AsyncIterator[list[Any]]:
        """The records from `begin` up to `end`, in pages. Raises Problem when the broker gives none."""
        if begin >= end:
            return
        place = TopicPartition(topic, partition)
        self._consumer.assign([place])
        self._consumer.seek(place, begin)
        last_record_at = monotonic()
        while await self._consumer.position(place) < end:
            batches = await self._consumer.getmany(place, timeout_ms=500, max_records=PAGE)
            page = [record for record in batches.get(place, ()) if record.offset < end]
            if page:
                last_record_at = monotonic()
                yield page
            elif monotonic() - last_record_at > PATIENCE:
                raise Problem(f"{topic}/{partition} does not give its records up to {end}.")


@asynccontextmanager
async def open_pages(where: str | Brokers) -> AsyncIterator[Pages]:
    """Pages of the topics of this broker. Raises Problem when it does not answer."""
    brokers = Brokers.at(where)
    consumer = AIOKafkaConsumer(
        **brokers.client(),
        client_id="pawl-ops",
        enable_auto_commit=False,
        isolation_level=COMMITTED_ONLY,
        fetch_max_wait_ms=FETCH_WAIT_MILLISECONDS,
        retry_backoff_ms=RETRY_MILLISECONDS,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    try:
        await consumer.start()
        yield Pages(consumer, await partition_counts(brokers, TOPICS))
    except MissingTopic as missing:
        raise Problem(str(missing)) from missing
    except (KafkaError, OSError) as error:
        raise Problem(
            f"Kafka does not answer at {brokers}: {str(error) or type(error).__name__}",
            "Is the system running (`pawl up`)? Otherwise name the broker with --kafka.",
        ) from error
    finally:
        await consumer.stop()


def topic_record(record: Any) -> TopicRecord:
    """A record of one of our topics, as far as it can be read."""
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
    value = record.value or b""
    data = None
    with suppress(orjson.JSONDecodeError):
        data = orjson.loads(value)
    number = headers.get("ce_sequence", "")
    return TopicRecord(
        record.topic,
        record.partition,
        record.offset,
        service_of(headers.get("ce_source", "")),
        headers.get("ce_id", ""),
        None if record.key is None else record.key.decode("utf-8", "replace"),
        headers.get("ce_type", ""),
        headers.get("ce_subject", ""),
        int(number) if number.isascii() and number.isdigit() else None,
        headers.get("ce_time", ""),
        hashlib.sha256(value).digest(),
        data,
    )
