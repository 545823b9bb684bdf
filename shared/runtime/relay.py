"""The relay: outbox -> Kafka, in order, one leader per service.

The leader reads forward from the published mark, keeps a whole batch in flight and moves the mark only after
the broker acknowledged all of it. A send whose fate is unknown is repeated with a new producer: the log may
then read A, B, A, B, and every reader drops what it knows by `ce_sequence` or event id.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.clock import monotonic
from shared.crash_points import CrashPoint, OnCrashPoint, ignore_crash_point
from shared.events.catalogue import FEEDBACK, source_of
from shared.events.envelope import write_headers
from shared.queries import load
from shared.runtime.outbox import Outbox
from shared.runtime.retry import TRANSIENT, delay_before
from shared.runtime.signals import Metrics

SQL = load("shared.runtime")
BATCH_ROWS = 2000
POLL_SECONDS = 0.1
LEADER_POLL_SECONDS = 1.0
DRAIN_POLL_SECONDS = 0.02
# A leader asks Postgres something at least every SIGN_OF_LIFE_SECONDS; one that was silent for a whole lease
# is halted or cut off, and the next one ends its session.
SIGN_OF_LIFE_SECONDS = 2.0
LEASE = timedelta(seconds=10)
MARK_EVERY_SECONDS = 0.25
SEND_TIMEOUT = 30.0

log = structlog.get_logger("pawl.relay")


class LostLead(Exception):
    """A later leader has taken over; this one stops publishing."""


INTERRUPTIONS: tuple[type[BaseException], ...] = (*TRANSIENT, LostLead)


async def nothing_to_require() -> None:
    """For a relay that may always lead."""


class Relay:
    """Publishes one service's outbox until it is cancelled.

    `before_leading` raises where the outbox must not be published: that ends the relay.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        outbox: Outbox,
        new_producer: Callable[[], AIOKafkaProducer],
        metrics: Metrics,
        on_crash_point: OnCrashPoint = ignore_crash_point,
        before_leading: Callable[[], Coroutine[Any, Any, None]] = nothing_to_require,
    ) -> None:
        self._before_leading = before_leading
        self._connect = connect
        self._outbox = outbox
        self._new_producer = new_producer
        self._metrics = metrics
        self._on_crash_point = on_crash_point
        self._published = 0
        self._marked = 0
        self._marked_at = 0.0
        self._epoch = 0
        self.leading = False

    async def run(self) -> None:
        """Leads whenever no other process does, and comes back after any trouble."""
        attempt = 0
        while True:
            try:
                await self._lead()
                attempt = 0
            except INTERRUPTIONS as trouble:
                attempt = attempt + 1 if not self.leading else 1
                self._metrics.retries.labels("relay").inc()
                log.warning("relay interrupted", trouble=f"{type(trouble).__name__}: {trouble}"[:200])
                await asyncio.sleep(delay_before(attempt))
            finally:
                self.leading = False

    async def drain(self, pool: asyncpg.Pool) -> None:
        """Returns when all that is committed by now is published, or when somebody else leads.

        Under load others always commit more: the next leader publishes that.
        """
        until = await pool.fetchval(SQL.last_event)
        while self.leading and self._published < until:
            self._outbox.appended.set()
            await asyncio.sleep(DRAIN_POLL_SECONDS)

    async def _lead(self) -> None:
        connection = await self._connect()
        try:
            while not await connection.fetchval(SQL.try_relay_lock):
                if await connection.fetch(SQL.end_silent_leader, LEASE):
                    log.warning("a silent leader was ended", silent_for=LEASE.total_seconds())
                await asyncio.sleep(LEADER_POLL_SECONDS)
            await self._meanwhile(connection, self._before_leading())
            row = await connection.fetchrow(SQL.take_relay_lead)
            self._epoch, self._published, self._marked = row["epoch"], row["published"], row["published"]
            await self._publish_with_new_producer(connection)
        finally:
            # closing the session gives the advisory lock back, also when the server never hears of it
            connection.terminate()

    async def _publish_with_new_producer(self, connection: asyncpg.Connection) -> None:
        producer = self._new_producer()
        try:
            await asyncio.wait_for(producer.start(), SEND_TIMEOUT)
            self.leading = True
            log.info("relay leads", epoch=self._epoch, published=self._published)
            await self._publish_forever(connection, producer)
        finally:
            with suppress(*INTERRUPTIONS):
                await self._mark(connection)
            with suppress(Exception):
                await asyncio.wait_for(producer.stop(), 5)

    async def _publish_forever(self, connection: asyncpg.Connection, producer: AIOKafkaProducer) -> None:
        while True:
            self._outbox.appended.clear()
            rows = await connection.fetch(SQL.unpublished, self._published, BATCH_ROWS)
            if rows:
                await self._send(connection, producer, rows)
                self._published = rows[-1]["id"]
                self._metrics.published.inc(len(rows))
            if not rows or monotonic() - self._marked_at >= MARK_EVERY_SECONDS:
                await self._mark(connection)
            if len(rows) < BATCH_ROWS:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._outbox.appended.wait(), POLL_SECONDS)

    async def _send(
        self, connection: asyncpg.Connection, producer: AIOKafkaProducer, rows: Sequence[asyncpg.Record]
    ) -> None:
        """Sends and waits for every acknowledgement; asks Postgres something meanwhile, to keep the lead."""
        self._on_crash_point(CrashPoint.BEFORE_SEND)
        async with asyncio.timeout(SEND_TIMEOUT):
            await self._meanwhile(connection, self._send_all(producer, rows))
        self._on_crash_point(CrashPoint.AFTER_ACKNOWLEDGEMENT)

    async def _meanwhile(self, connection: asyncpg.Connection, work: Coroutine[Any, Any, None]) -> None:
        """Waits for work that needs no Postgres, with signs of life, so that nobody ends our session."""
        working = asyncio.ensure_future(work)
        try:
            while not (await asyncio.wait({working}, timeout=SIGN_OF_LIFE_SECONDS))[0]:
                await connection.execute(SQL.sign_of_life)
            await working
        finally:
            working.cancel()

    async def _send_all(self, producer: AIOKafkaProducer, rows: Sequence[asyncpg.Record]) -> None:
        by_partition: dict[tuple[str, int], list[asyncpg.Record]] = {}
        for row in rows:
            by_partition.setdefault((row["topic"], row["partition"]), []).append(row)
        sent = await asyncio.gather(
            *(
                self._send_partition(producer, topic, partition, some)
                for (topic, partition), some in by_partition.items()
            )
        )
        waiting = [future for futures in sent for future in futures]
        self._on_crash_point(CrashPoint.AFTER_SEND)
        await asyncio.gather(*waiting)

    async def _send_partition(
        self, producer: AIOKafkaProducer, topic: str, partition: int, rows: Sequence[asyncpg.Record]
    ) -> list[asyncio.Future[object]]:
        futures = []
        batch = producer.create_batch()
        for row in rows:
            key, value, headers = row["key"].encode(), row["data"], self._headers(row)
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                futures.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                    raise KafkaError(f"outbox row {row['id']} does not fit into a batch")
        futures.append(await producer.send_batch(batch, topic, partition=partition))
        return futures

    def _headers(self, row: asyncpg.Record) -> list[tuple[str, bytes]]:
        return write_headers(
            id=str(row["event_id"]),
            source=source_of(row["type"], self._outbox.service),
            type=row["type"],
            subject=row["subject"],
            time=row["time"],
            sequence=None if row["topic"] == FEEDBACK else row["sequence"],
            correlation=row["correlation"],
            causation=row["causation"],
            traceparent=row["traceparent"],
        )

    async def _mark(self, connection: asyncpg.Connection) -> None:
        if self._published == self._marked:
            return
        self._on_crash_point(CrashPoint.BEFORE_MARK)
        status = await connection.execute(SQL.mark_published, self._published, self._epoch)
        if status != "UPDATE 1":
            raise LostLead(f"epoch {self._epoch} is over")
        self._marked, self._marked_at = self._published, monotonic()
        self._on_crash_point(CrashPoint.AFTER_MARK)
