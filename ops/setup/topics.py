"""Creates the topics of deploy/kafka/topics.yaml. Safe to repeat; what exists is compared, never changed."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from ops.shell.problem import Problem
from shared.brokers import Brokers

TOPICS_FILE = Path(__file__).parents[2] / "deploy" / "kafka" / "topics.yaml"
ALREADY_EXISTS = 36


@dataclass(slots=True, frozen=True)
class Topic:
    """One topic as the file wants it. `config` are broker settings for this topic, as text."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


def wanted_topics(file: Path = TOPICS_FILE) -> list[Topic]:
    """The topics of the file, each with the defaults filled in."""
    document = yaml.safe_load(file.read_text())
    defaults = document["defaults"]
    return [_topic(name, defaults, own or {}) for name, own in document["topics"].items()]


def _topic(name: str, defaults: Mapping[str, Any], own: Mapping[str, Any]) -> Topic:
    config = {**defaults.get("config", {}), **own.get("config", {})}
    return Topic(
        name=name,
        partitions=own.get("partitions", defaults["partitions"]),
        replication=own.get("replication", defaults["replication"]),
        config={setting: str(value) for setting, value in config.items()},
    )


async def create_topics(brokers: str | Brokers, topics: list[Topic] | None = None) -> list[str]:
    """Create the topics that are missing and return their names.

    Raises Problem when a topic has another number of partitions, when the broker refuses one, or when there
    is no broker.
    """
    wanted = topics if topics is not None else wanted_topics()
    async with _admin(Brokers.at(brokers)) as admin:
        existing = await _partition_counts(admin)
        refuse_other_counts(wanted, existing)
        missing = [topic for topic in wanted if topic.name not in existing]
        if missing:
            await _create(admin, missing)
    return [topic.name for topic in missing]


def refuse_other_counts(wanted: list[Topic], existing: Mapping[str, int]) -> None:
    """Raise Problem for a topic whose partitions differ from the file: neither more nor fewer is harmless."""
    for topic in wanted:
        found = existing.get(topic.name, topic.partitions)
        if found != topic.partitions:
            raise Problem(
                f"Topic {topic.name} has {found} partitions; {TOPICS_FILE.name} asks for {topic.partitions}.",
                f"Set the file to {found}, where that is right, or raise the topic (docs/operating.md, More "
                "partitions: keys move then). Partitions never become fewer.",
            )


@asynccontextmanager
async def _admin(brokers: Brokers) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**brokers.client(), request_timeout_ms=20_000)
    try:
        await admin.start()
    except (KafkaError, OSError) as error:
        await admin.close()
        raise Problem(
            f"No Kafka broker answers at {brokers} ({error}).",
            "Check the address and the login given with --kafka, and the broker's advertised listeners.",
        ) from error
    try:
        yield admin
    finally:
        await admin.close()


async def _partition_counts(admin: AIOKafkaAdminClient) -> dict[str, int]:
    described = await admin.describe_topics()
    return {topic["topic"]: len(topic["partitions"]) for topic in described if topic["error_code"] == 0}


async def _create(admin: AIOKafkaAdminClient, topics: list[Topic]) -> None:
    requests = [
        NewTopic(topic.name, topic.partitions, topic.replication, topic_configs=dict(topic.config))
        for topic in topics
    ]
    try:
        answer = await admin.create_topics(requests, timeout_ms=20_000)
    except KafkaError as error:
        raise Problem(f"The broker did not create the topics: {error}") from error
    for name, code, *message in answer.topic_errors:
        if code not in (0, ALREADY_EXISTS):
            raise Problem(
                f"The broker refuses topic {name}: {message[0] if message else f'error {code}'}",
                f"Its settings stand in {TOPICS_FILE}.",
            )
