"""The outbox: events are appended in the transaction that makes them true, and published afterwards."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
import orjson
import structlog

from shared.crash_points import CrashPoint, OnCrashPoint, ignore_crash_point
from shared.events.catalogue import FEEDBACK
from shared.ids import uuid7_batch
from shared.kst import wire_time
from shared.partitioner import partition_for
from shared.postgres import Connection, copy_rows
from shared.queries import load
from shared.runtime.decisions import Event, NewEvent
from shared.runtime.retry import TRANSIENT

SQL = load("shared.runtime")

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
    "traceparent",
    "event_id",
)

log = structlog.get_logger("pawl.outbox")


@dataclass(slots=True)
class Cause:
    """What led to an event: the id of an event or a command, the entity, the logical time and the story.

    `traceparent` is the trace context that the event hands on, when its cause came with one.
    """

    id: str
    key: str
    time: datetime
    correlation: str
    traceparent: str | None = None
    _time_text: str = ""

    @classmethod
    def of(cls, event: Event[Any]) -> "Cause":
        """The cause that an event is."""
        return cls(event.id, event.key, event.time, event.correlation, event.traceparent)

    @property
    def time_text(self) -> str:
        """The logical time as it goes on the wire."""
        if not self._time_text:
            self._time_text = wire_time(self.time)
        return self._time_text


@dataclass(slots=True)
class OutboxRows:
    """Events on their way into one `append`, in order."""

    service: str
    partitions: Mapping[str, int]
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, event: NewEvent, cause: Cause) -> None:
        """Adds one event of this service."""
        topic = f"{self.service}.events"
        key = event.key or cause.key
        time = wire_time(event.time) if event.time is not None else cause.time_text
        self._append(topic, key, event.type, event.subject, event.sequence, time, cause, event.data)

    def add_all(self, events: Iterable[NewEvent], cause: Cause) -> None:
        """Adds the events that follow from one cause."""
        for event in events:
            self.add(event, cause)

    def add_feedback(self, type_name: str, cause: Cause, data: dict[str, Any]) -> None:
        """Adds one answer to an upstream event. Answers carry no sequence."""
        self._append(FEEDBACK, cause.key, type_name, cause.key, None, cause.time_text, cause, data)

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
                cause.traceparent,
            )
        )


class Transaction(NamedTuple):
    """An open transaction and the events that are committed with it."""

    connection: Connection
    events: OutboxRows


@dataclass(slots=True)
class Outbox:
    """Where one service's events wait for the relay. `appended` wakes the relay in this process."""

    service: str
    partitions: Mapping[str, int]
    on_crash_point: OnCrashPoint = ignore_crash_point
    appended: asyncio.Event = field(default_factory=asyncio.Event)

    def rows(self) -> OutboxRows:
        """An empty set of rows to fill."""
        return OutboxRows(self.service, self.partitions)

    @asynccontextmanager
    async def transaction(
        self,
        pool: asyncpg.Pool,
        before_commit: CrashPoint | None = None,
        after_commit: CrashPoint | None = None,
        *,
        silent_too: bool = False,
    ) -> AsyncIterator[Transaction]:
        """A transaction that ends with its events in the outbox and the relay awake, or with nothing.

        Whoever changes state does it in here: the events are appended last, under the lock of the outbox, so
        that their order is the order of the commits. The crash points are reached where events are committed;
        with `silent_too` also where there are none.
        """
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                current = Transaction(connection, self.rows())
                yield current
                await self.append(connection, current.events)
                is_reached = silent_too or len(current.events) > 0
                self._pass(before_commit if is_reached else None)
            except BaseException:
                await _roll_back(transaction)
                raise
            await transaction.commit()
            self._pass(after_commit if is_reached else None)
        self.appended.set()

    async def append(self, connection: Connection, rows: OutboxRows) -> None:
        """Appends the rows. Must be the last statement before the commit: it takes the outbox lock."""
        if not rows:
            return
        records = [(*row, event_id) for row, event_id in zip(rows.rows, uuid7_batch(len(rows)), strict=True)]
        await connection.execute(SQL.lock_outbox)
        await copy_rows(connection, "outbox", COLUMNS, records)

    def _pass(self, point: CrashPoint | None) -> None:
        if point is not None:
            self.on_crash_point(point)


async def _roll_back(transaction: asyncpg.transaction.Transaction) -> None:
    try:
        await transaction.rollback()
    except TRANSIENT:
        log.debug("the connection is gone; the server rolls back by itself")
