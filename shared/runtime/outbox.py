"""The outbox: facts are appended in the transaction that makes them true, and published afterwards."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
import orjson

from shared.ids import uuid7_batch
from shared.kst import KST
from shared.partitioner import partition_for
from shared.queries import load
from shared.runtime.decisions import Emit, Event

Connection: TypeAlias = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
SQL = load("shared.runtime")

FEEDBACK_TOPIC = "checkout.feedback"


@dataclass(slots=True)
class Cause:
    """What led to a fact: the event or command id, the entity, the logical time and the story."""

    id: str
    key: str
    time: datetime
    correlation: str

    @classmethod
    def of(cls, event: Event) -> "Cause":
        """The cause that an event is."""
        return cls(event.id, event.key, event.time, event.correlation)


@dataclass(slots=True)
class OutboxRows:
    """Facts on their way into one `append`, column by column (that is how they travel to Postgres)."""

    service: str
    partitions: Mapping[str, int]
    topics: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    subjects: list[str] = field(default_factory=list)
    sequences: list[int | None] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    correlations: list[str] = field(default_factory=list)
    causations: list[str] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.data)

    def add(self, emit: Emit, cause: Cause) -> None:
        """Appends one fact of this service."""
        topic = f"{self.service}.events"
        key = emit.key or cause.key
        self._append(
            topic, key, emit.type, emit.subject, emit.sequence, emit.time or cause.time, cause, emit.data
        )

    def add_feedback(self, type_name: str, cause: Cause, data: dict[str, Any]) -> None:
        """Appends one answer to an upstream event. Answers carry no sequence."""
        self._append(FEEDBACK_TOPIC, cause.key, type_name, cause.key, None, cause.time, cause, data)

    def _append(
        self,
        topic: str,
        key: str,
        type_name: str,
        subject: str,
        sequence: int | None,
        time: datetime,
        cause: Cause,
        data: dict[str, Any],
    ) -> None:
        self.topics.append(topic)
        self.places.append(partition_for(key, self.partitions[topic]))
        self.keys.append(key)
        self.types.append(type_name)
        self.subjects.append(subject)
        self.sequences.append(sequence)
        self.times.append(time.astimezone(KST).isoformat())
        self.correlations.append(cause.correlation)
        self.causations.append(cause.id)
        self.data.append(orjson.dumps(data))


@dataclass(slots=True)
class Outbox:
    """Where one service's facts wait for the relay. `appended` wakes the relay in this process."""

    service: str
    partitions: Mapping[str, int]
    appended: asyncio.Event = field(default_factory=asyncio.Event)

    def rows(self) -> OutboxRows:
        """An empty set of rows to fill."""
        return OutboxRows(self.service, self.partitions)

    async def append(self, connection: Connection, rows: OutboxRows) -> None:
        """Appends the rows. Must be the last statement before the commit: it takes the outbox lock."""
        if not rows:
            return
        await connection.execute(SQL.lock_outbox)
        await connection.execute(
            SQL.append_outbox,
            uuid7_batch(len(rows)),
            rows.topics,
            rows.places,
            rows.keys,
            rows.types,
            rows.subjects,
            rows.sequences,
            rows.times,
            rows.correlations,
            rows.causations,
            rows.data,
        )
