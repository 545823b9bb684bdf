"""The outbox: events are appended in the transaction that makes them true, and published afterwards."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg
import structlog

from shared.crash_points import CrashPoint, OnCrashPoint, ignore_crash_point
from shared.ids import uuid7_batch
from shared.postgres import Connection, copy_rows
from shared.queries import load
from shared.runtime.outgoing import COLUMNS, OutboxRows
from shared.runtime.retry import TRANSIENT

SQL = load("shared.runtime")

log = structlog.get_logger("pawl.outbox")


class Transaction(NamedTuple):
    """An open transaction and the events that are committed with it."""

    connection: Connection
    events: OutboxRows


@dataclass(slots=True)
class Outbox:
    """Where one service's events wait for the relay. `appended` wakes the relay in this process.

    `partitions` are the numbers of partitions of its topics, `earlier` those that they had before: both
    change while the service runs.
    """

    service: str
    partitions: Mapping[str, int]
    on_crash_point: OnCrashPoint = ignore_crash_point
    earlier: Mapping[str, Collection[int]] = field(default_factory=dict)
    appended: asyncio.Event = field(default_factory=asyncio.Event)

    def rows(self) -> OutboxRows:
        """An empty set of rows to fill."""
        return OutboxRows(self.service, self.partitions, self.earlier)

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
        """Appends the rows. Must be the last statement before the commit: the table takes its lock first."""
        if not rows:
            return
        records = [(*row, event_id) for row, event_id in zip(rows.rows, uuid7_batch(len(rows)), strict=True)]
        await copy_rows(connection, "outbox", COLUMNS, records)

    async def append_by(self, connection: Connection, statement: str, *arguments: Any) -> None:
        """Appends what a statement inserts, under the same lock. Must be the last one before the commit.

        It sees whatever was committed before the lock was had, as it would not if it took the lock itself.
        """
        await connection.execute(SQL.lock_outbox)
        await connection.execute(statement, *arguments)

    def _pass(self, point: CrashPoint | None) -> None:
        if point is not None:
            self.on_crash_point(point)


async def _roll_back(transaction: asyncpg.transaction.Transaction) -> None:
    try:
        await transaction.rollback()
    except TRANSIENT:
        log.debug("the connection is gone; the server rolls back by itself")
