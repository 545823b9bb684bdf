"""Kafka as the services use it: FastStream's way to log in, an idempotent producer, events about topics."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from shared.brokers import Brokers
from shared.login import FilePassword, Tls

COMMITTED_ONLY: Final = "read_committed"
"""How every record is read: what was written in a transaction counts when it is committed, never before."""
METADATA_MILLISECONDS: Final = 4_000
"""So long a client goes on with what it knows of the topics: new partitions are found within that time."""
LARGEST_RECORD = 4 * 1024 * 1024
ANSWER_SECONDS = 30.0
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
LOGINS: Final = {"SCRAM-SHA-512": SASLScram512, "SCRAM-SHA-256": SASLScram256, "PLAIN": SASLPlaintext}


class MissingTopic(Exception):
    """A topic that a service reads or writes does not exist on this broker, or not for this service."""


def security_of(brokers: Brokers) -> BaseSecurity | None:
    """How FastStream gets to these brokers: with the certificates and the password of each moment."""
    given = renewing_arguments(brokers)
    context: Any = given.get("ssl_context")
    if not brokers.logs_in:
        return BaseSecurity(ssl_context=context, use_ssl=True) if brokers.uses_tls else None
    login = LOGINS[brokers.mechanism]
    password: Any = given["sasl_plain_password"]
    return login(brokers.username, password, ssl_context=context, use_ssl=brokers.uses_tls)


def renewing_arguments(brokers: Brokers) -> dict[str, Any]:
    """The arguments of a client that lives long: it reads files again for each new connection."""
    arguments = brokers.client()
    if brokers.uses_tls:
        arguments["ssl_context"] = brokers.tls()
    if brokers.logs_in and brokers.password_file is not None:
        arguments["sasl_plain_password"] = FilePassword(brokers.password_file)
    _read_logins_anew()
    return arguments


def _read_logins_anew() -> None:
    """Has each client of this process ask for password and certificates when it connects.

    aiokafka keeps what it was given when it was made, for as long as it lives.
    """
    for name in ("_ssl_context", "_sasl_plain_password"):
        if not isinstance(getattr(AIOKafkaClient, name, None), property):
            setattr(AIOKafkaClient, name, _as_of_now(f"_given{name}"))


def _as_of_now(kept_as: str) -> property:
    def read(client: AIOKafkaClient) -> Any:
        given = vars(client)[kept_as]
        return given.now() if isinstance(given, Tls | FilePassword) else given

    def keep(client: AIOKafkaClient, given: Any) -> None:
        vars(client)[kept_as] = given

    return property(read, keep)


def new_producer(brokers: str | Brokers, service: str) -> AIOKafkaProducer:
    """A producer of whole batches: idempotent, acknowledged by all in-sync replicas."""
    return AIOKafkaProducer(
        **renewing_arguments(Brokers.at(brokers)),
        client_id=f"pawl-{service}-relay",
        acks="all",
        enable_idempotence=True,
        max_batch_size=LARGEST_RECORD // 4,
        max_request_size=LARGEST_RECORD,
        request_timeout_ms=20_000,
        metadata_max_age_ms=METADATA_MILLISECONDS,
        linger_ms=0,
    )


async def partition_counts(brokers: str | Brokers, topics: Iterable[str]) -> dict[str, int]:
    """How many partitions each topic has. Raises MissingTopic, or KafkaError when nobody answers."""
    brokers = Brokers.at(brokers)
    client = AIOKafkaClient(**brokers.client(), client_id="pawl-setup")
    await client.bootstrap()
    try:
        await client.set_topics(list(topics))
        counts = {topic: len(client.cluster.partitions_for_topic(topic) or ()) for topic in topics}
    finally:
        await client.close()
    missing = sorted(topic for topic, count in counts.items() if not count)
    if missing:
        rights = f", or {brokers.username} may not use it" if brokers.username else ""
        raise MissingTopic(
            f"topic {', '.join(missing)} does not exist on {brokers.servers}{rights}: "
            "run `pawl up` or create the topics of deploy/kafka/topics.yaml"
        )
    return counts


async def oldest_record(brokers: str | Brokers, partitions: Mapping[str, int]) -> datetime:
    """When the oldest record that these topics hold was appended (UTC); END_OF_TIME when they hold none.

    `partitions` counts the partitions of each topic. The topics must be of the kind LogAppendTime, where the
    first record of a partition is its oldest. Needs the right to describe the topics, not to read them.
    Raises KafkaError, or TimeoutError when nobody answers.
    """
    places = [TopicPartition(topic, n) for topic, count in partitions.items() for n in range(count)]
    async with _asking(Brokers.at(brokers), "pawl-retention") as client:
        firsts = await client.offsets_for_times(dict.fromkeys(places, 0))
    times = [first.timestamp for first in firsts.values() if first is not None]
    if not times or min(times) / 1000 >= END_OF_TIME.timestamp():  # a producer may say any year
        return END_OF_TIME
    return datetime.fromtimestamp(max(0, min(times)) / 1000, UTC)


async def ends_of_everything(brokers: Brokers, places: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """The offset after the last record of each partition, whether committed or not.

    Raises KafkaError, or TimeoutError when nobody answers.
    """
    async with _asking(brokers, "pawl-ops") as client:
        ends: dict[TopicPartition, int] = await client.end_offsets(list(places))
    return ends


@asynccontextmanager
async def _asking(brokers: Brokers, client_id: str) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer that asks about topics and reads no record, within ANSWER_SECONDS."""
    client = AIOKafkaConsumer(
        **brokers.client(),
        client_id=client_id,
        enable_auto_commit=False,
        # What a transaction that is still open has written is there, too.
        isolation_level="read_uncommitted",
        # How long the client sleeps when it does not know a topic yet, which is once for each.
        retry_backoff_ms=10,
    )
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await client.start()
            yield client
    finally:
        await client.stop()
