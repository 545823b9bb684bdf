"""Looks for what the topics tell of a service and its outbox does not have, from their ends backwards."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.brokers import Brokers
from shared.clock import monotonic
from shared.events.catalogue import FEEDBACK
from shared.kafka import COMMITTED_ONLY
from shared.postgres import Connection
from shared.queries import load
from shared.runtime.topic_events import SchemaBehind, TopicEvent, event_of_record, told_of

SQL = load("shared.runtime")
PAGE: Final = 500
LARGEST_PAGE: Final = 50_000
PATIENCE_SECONDS: Final = 30.0


LooksUp = Callable[[Sequence[TopicEvent]], Awaitable[set[UUID]]]
"""Which of these events the outbox has."""


async def events_of_outbox(connection: Connection, entries: Sequence[TopicEvent]) -> set[UUID]:
    """Which of these events the outbox has."""
    keys, ids = list({entry.key for entry in entries}), [entry.event_id for entry in entries]
    return {row["event_id"] for row in await connection.fetch(SQL.known_events, keys, ids)}


async def unknown_events(
    brokers: Brokers, service: str, partitions: Mapping[str, int], known: LooksUp
) -> list[TopicEvent]:
    """The events of a service in its topics that its outbox does not have, by place.

    What a schema has lost are the last events of a partition, so each is read from its end back to the first
    event that is known: one page where nothing is lost. Raises KafkaError, TimeoutError, and what `known`
    raises.
    """
    consumer = AIOKafkaConsumer(
        **brokers.client(),
        client_id=f"pawl-{service}-looks-back",
        enable_auto_commit=False,
        isolation_level=COMMITTED_ONLY,
        fetch_max_wait_ms=5,
        retry_backoff_ms=10,
    )
    places = [
        TopicPartition(topic, number)
        for topic in (f"{service}.events", FEEDBACK)
        for number in range(partitions[topic])
    ]
    found: list[TopicEvent] = []
    await consumer.start()
    try:
        begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        for place in places:
            found += await _unknown_of(consumer, place, service, begins[place], ends[place], known)
    finally:
        await consumer.stop()
    return found


async def _unknown_of(
    consumer: AIOKafkaConsumer, place: TopicPartition, service: str, begin: int, end: int, known: LooksUp
) -> list[TopicEvent]:
    unknown: list[TopicEvent] = []
    size = PAGE
    while end > begin:
        start = max(begin, end - size)
        records = await read_span(consumer, place, start, end)
        entries = [entry for record in records if (entry := event_of_record(record, service)) is not None]
        if entries:
            here = await known(entries)
            unknown = [entry for entry in entries if entry.event_id not in here] + unknown
            if entries[0].event_id in here:
                break
        end, size = start, min(size * 4, LARGEST_PAGE)
    return unknown


async def read_span(consumer: AIOKafkaConsumer, place: TopicPartition, start: int, end: int) -> list[Any]:
    """The records of a partition from one offset up to another. Raises TimeoutError when it gives none."""
    if start >= end:
        return []
    consumer.assign([place])
    consumer.seek(place, start)
    records: list[Any] = []
    moved_at = monotonic()
    while (position := await consumer.position(place)) < end:
        batches = await consumer.getmany(place, timeout_ms=200, max_records=2_000)
        records += [record for record in batches.get(place, ()) if record.offset < end]
        if await consumer.position(place) > position:
            moved_at = monotonic()
        elif monotonic() - moved_at > PATIENCE_SECONDS:
            raise TimeoutError(f"{place.topic}/{place.partition} does not give its records up to {end}")
    return records


async def require_up_to_date(
    brokers: Brokers, service: str, partitions: Mapping[str, int], pool: asyncpg.Pool
) -> None:
    """Raises SchemaBehind where the topics know more of a service than its schema."""

    async def known(entries: Sequence[TopicEvent]) -> set[UUID]:
        async with pool.acquire() as connection:
            return await events_of_outbox(connection, entries)

    entries = await unknown_events(brokers, service, partitions, known)
    if entries:
        raise SchemaBehind(told_of(service, entries), len(entries))
