"""What the four usual applications share: subscribing, the inbox, publishing."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

from benchmarks.gate import Gate

Settled = Callable[[str, str], None]
Handlers = Mapping[str, Callable[..., Awaitable[None]]]
Said = tuple[str, str, str, dict[str, Any]]
"""Topic, key, type and data of an event."""


@dataclass(slots=True)
class App:
    """One application: its database, its broker, the gate it waits at, and who hears of what is committed."""

    name: str
    pool: asyncpg.Pool
    broker: KafkaBroker
    gate: Gate
    settled: Settled

    async def publish(self, facts: Sequence[Said]) -> None:
        """Sends events, one after another as they happened, each until the broker has it."""
        for topic, key, type_name, data in facts:
            await self.broker.publish(data, topic, key=key.encode(), headers=headers(type_name))


def headers(type_name: str) -> dict[str, str]:
    """The headers of an event."""
    return {"ce_type": type_name, "content-type": "application/json"}


def subscribe(
    broker: KafkaBroker,
    name: str,
    topic: str,
    at_once: int,
    handlers: Handlers,
) -> Any:
    """A subscriber with a handler for each type; other types of the topic are acknowledged and forgotten."""
    # with one assignor for all, eight consumers share twelve partitions as evenly as can be
    subscriber = broker.subscriber(
        topic,
        group_id=f"usual-{name}",
        ack_policy=AckPolicy.NACK_ON_ERROR,
        auto_offset_reset="earliest",
        max_workers=at_once,
        partition_assignment_strategy=(RoundRobinPartitionAssignor,),
    )
    for type_name, handler in handlers.items():
        subscriber(handler, filter=_is(type_name))
    subscriber(_ignore)
    return subscriber


async def is_new(connection: Any, name: str, event_id: str) -> bool:
    """Claims a message in the inbox of an application."""
    status = await connection.execute(
        f"INSERT INTO usual.{name}_inbox (event_id) VALUES ($1) ON CONFLICT DO NOTHING", event_id
    )
    return bool(status == "INSERT 0 1")


def event_id(message: KafkaMessage) -> str:
    """What the message is known by: the id its sender gave it, else its place."""
    record: Any = message.raw_message
    given = message.headers.get("ce_id")
    return given or f"{record.topic}/{record.partition}/{record.offset}"


def encoded(data: dict[str, Any]) -> bytes:
    """The data of an event as bytes."""
    return orjson.dumps(data)


def _is(type_name: str) -> Callable[[KafkaMessage], Awaitable[bool]]:
    async def matches(message: KafkaMessage) -> bool:
        return message.headers.get("ce_type") == type_name

    return matches


async def _ignore(body: Any) -> None:
    """Types that this application does not know."""
