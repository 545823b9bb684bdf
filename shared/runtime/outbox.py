"""The outbox: facts are appended in the transaction that makes them true, and published afterwards."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from shared.ids import uuid7_batch
from shared.kst import wire_time
from shared.partitioner import partition_for
from shared.postgres import Connection, copy_rows
from shared.queries import load
from shared.runtime.decisions import Emit, Event

SQL = load("shared.runtime")

FEEDBACK_TOPIC = "checkout.feedback"
COLUMNS = (
    "topic",
    "partition",
    "key",
    "type",
    "subject",
    "sequence",
    "time",
    "correlation",
    "causation",
    "data",
    "event_id",
)


@dataclass(slots=True)
class Cause:
    """What led to a fact: the event or command id, the entity, the logical time and the story."""

    id: str
    key: str
    time: datetime
    correlation: str
    _time_text: str = ""

    @classmethod
    def of(cls, event: Event) -> "Cause":
        """The cause that an event is."""
        return cls(event.id, event.key, event.time, event.correlation)

    @property
    def time_text(self) -> str:
        """The logical time as it goes on the wire."""
        if not self._time_text:
            self._time_text = wire_time(self.time)
        return self._time_text


@dataclass(slots=True)
class OutboxRows:
    """Facts on their way into one `append`, in order."""

    service: str
    partitions: Mapping[str, int]
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, emit: Emit, cause: Cause) -> None:
        """Appends one fact of this service."""
        topic = f"{self.service}.events"
        key = emit.key or cause.key
        time = wire_time(emit.time) if emit.time is not None else cause.time_text
        self._append(topic, key, emit.type, emit.subject, emit.sequence, time, cause, emit.data)

    def add_feedback(self, type_name: str, cause: Cause, data: dict[str, Any]) -> None:
        """Appends one answer to an upstream event. Answers carry no sequence."""
        self._append(FEEDBACK_TOPIC, cause.key, type_name, cause.key, None, cause.time_text, cause, data)

    def _append(
        self,
        topic: str,
        key: str,
        type_name: str,
        subject: str,
        sequence: int | None,
        time: str,
        cause: Cause,
        data: dict[str, Any],
    ) -> None:
        place = partition_for(key, self.partitions[topic])
        self.rows.append(
            (
                topic,
                place,
                key,
                type_name,
                subject,
                sequence,
                time,
                cause.correlation,
                cause.id,
                orjson.dumps(data),
            )
        )


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
        records = [(*row, event_id) for row, event_id in zip(rows.rows, uuid7_batch(len(rows)), strict=True)]
        await connection.execute(SQL.lock_outbox)
        await copy_rows(connection, "outbox", COLUMNS, records)
