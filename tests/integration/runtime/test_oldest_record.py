"""How far back topics go, asked of a real broker: by the arrival of the records that are left."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete

from shared.brokers import Brokers
from shared.clock import now
from shared.kafka import END_OF_TIME, new_producer, oldest_record

SECOND = timedelta(seconds=1)


@pytest.fixture
async def broker_admin(kafka: str) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(**Brokers.at(kafka).client())
    await client.start()
    yield client
    await client.close()


@pytest.fixture
async def topic(broker_admin: AIOKafkaAdminClient) -> str:
    """An empty topic of two partitions that stamps records when they arrive, as all of ours do."""
    name = f"old-{uuid4().hex}"
    stamps = {"message.timestamp.type": "LogAppendTime"}
    await broker_admin.create_topics([NewTopic(name, 2, 1, topic_configs=stamps)])
    return name


@pytest.fixture
async def producer(kafka: str) -> AsyncIterator[Any]:
    producer = new_producer(kafka, "tests")
    await producer.start()
    yield producer
    await producer.stop()


async def test_topics_that_hold_nothing_hold_nothing_old(kafka: str, topic: str) -> None:
    assert await oldest_record(kafka, {topic: 2}) == END_OF_TIME


async def test_the_oldest_record_is_the_one_that_arrived_first_whatever_its_writer_says(
    kafka: str, topic: str, producer: Any
) -> None:
    before = now() - SECOND
    long_ago = int(datetime(2011, 3, 1, tzinfo=UTC).timestamp() * 1000)
    await producer.send_and_wait(topic, b"first", partition=1, timestamp_ms=long_ago)
    after = now() + SECOND
    await producer.send_and_wait(topic, b"second", partition=0)

    assert before < await oldest_record(kafka, {topic: 2}) < after


async def test_what_retention_has_deleted_is_not_old_any_more(
    kafka: str, topic: str, producer: Any, broker_admin: AIOKafkaAdminClient
) -> None:
    await producer.send_and_wait(topic, b"first", partition=1)
    first = await oldest_record(kafka, {topic: 2})
    await producer.send_and_wait(topic, b"second", partition=1)

    await broker_admin.delete_records({TopicPartition(topic, 1): RecordsToDelete(before_offset=1)})
    assert await oldest_record(kafka, {topic: 2}) > first
    await broker_admin.delete_records({TopicPartition(topic, 1): RecordsToDelete(before_offset=2)})
    assert await oldest_record(kafka, {topic: 2}) == END_OF_TIME
