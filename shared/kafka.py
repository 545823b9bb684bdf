"""Kafka as the services use it: an idempotent producer and the partition counts of the topics."""

from collections.abc import Iterable

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient

LARGEST_RECORD = 4 * 1024 * 1024


class MissingTopic(Exception):
    """A topic that a service reads or writes does not exist on this broker."""


def new_producer(bootstrap_servers: str, service: str) -> AIOKafkaProducer:
    """A producer of whole batches: idempotent, acknowledged by all in-sync replicas."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers,
        client_id=f"pawl-{service}-relay",
        acks="all",
        enable_idempotence=True,
        max_batch_size=LARGEST_RECORD // 4,
        max_request_size=LARGEST_RECORD,
        request_timeout_ms=20_000,
        linger_ms=0,
    )


async def partition_counts(bootstrap_servers: str, topics: Iterable[str]) -> dict[str, int]:
    """How many partitions each topic has. Raises MissingTopic, or KafkaError when nobody answers."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap_servers, client_id="pawl-setup")
    await client.bootstrap()
    try:
        await client.set_topics(list(topics))
        counts = {topic: len(client.cluster.partitions_for_topic(topic) or ()) for topic in topics}
    finally:
        await client.close()
    missing = sorted(topic for topic, count in counts.items() if not count)
    if missing:
        raise MissingTopic(
            f"topic {', '.join(missing)} does not exist on {bootstrap_servers}: run `pawl up` or "
            "create the topics of deploy/kafka/topics.yaml"
        )
    return counts
