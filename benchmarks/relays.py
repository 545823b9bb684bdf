"""The relay: our outbox to Kafka, against faststream-outbox at its best settings (G4); under a snapshot (G5).

Both clocks run from the start of the relay (connections, leadership and producer included) until the last row
is acknowledged by the broker and marked or deleted in the table.
"""

import asyncio
import statistics
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from datetime import datetime
from typing import Any

import asyncpg
import orjson
from aiokafka import AIOKafkaProducer
from faststream.kafka import KafkaBroker
from faststream_outbox import OutboxBroker, make_outbox_table
from faststream_outbox.annotations import OutboxMessage
from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.material import payments
from benchmarks.stage import Stage
from shared.clock import monotonic, now
from shared.events.envelope import write_headers
from shared.kafka import END_OF_TIME, new_producer
from shared.kst import KST
from shared.postgres import connect, session_settings
from shared.runtime.decisions import NewEvent
from shared.runtime.outbox import Outbox
from shared.runtime.outgoing import Cause
from shared.runtime.relay import Relay
from shared.runtime.retention import Retention
from shared.runtime.signals import Metrics
from shared.runtime.tasks import end_all

SERVICE, TOPIC = "orders", "orders.events"
PATIENCE_SECONDS = 120.0
APPEND_ROWS = 5_000
# Far above its defaults: the settings that did best when the peer was first measured for this project.
PEER_WORKERS, PEER_FETCH, PEER_FLUSH = 32, 1_000, 500
ROUNDS, ROWS_A_ROUND, COMPARED = 14, 10_000, 3
FORGET_EVERY_SECONDS = 0.02


class _Watched:
    """A real relay in a task, and the moment when it has marked a row."""

    def __init__(self, stage: Stage, url: str) -> None:
        self.outbox = Outbox(SERVICE, stage.partitions)
        self.marked = asyncio.Event()
        self.relay = Relay(
            lambda: connect(url, SERVICE),
            self.outbox,
            lambda: _producer(stage),
            Metrics(),
            lambda point: self.marked.set() if point == "after_mark" else None,
        )

    async def until(self, row: int) -> None:
        """Returns when every row up to this id is published and marked."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while self.relay._marked < row:
                self.marked.clear()
                await self.marked.wait()


def _producer(stage: Stage) -> AIOKafkaProducer:
    return new_producer(stage.kafka, SERVICE)


async def ours(stage: Stage, count: int) -> float:
    """Rows a second of the real relay over the real outbox table."""
    await stage.clear()
    url = stage.database.service_url(SERVICE)
    watched = _Watched(stage, url)
    last = await _append(watched.outbox, url, count)
    started = monotonic()
    async with _running(watched):
        await watched.until(last)
        seconds = monotonic() - started
    await _require(stage, count)
    return count / seconds


async def ours_under_snapshot(stage: Stage, *, forgetting: bool = False) -> float:
    """The rate after 100,000 rows by the rate at the start, while another session holds a snapshot.

    With `forgetting` all that is published is forgotten at once, so that as many dead rows lie about.
    """
    await stage.clear()
    url = stage.database.service_url(SERVICE)
    watched = _Watched(stage, url)
    rates = []
    async with _held_snapshot(stage), _forgetting(stage) if forgetting else nullcontext(), _running(watched):
        for _ in range(ROUNDS):
            last = await _append(watched.outbox, url, ROWS_A_ROUND)
            started = monotonic()
            watched.outbox.appended.set()
            await watched.until(last)
            rates.append(ROWS_A_ROUND / (monotonic() - started))
    return statistics.median(rates[-COMPARED:]) / statistics.median(rates[:COMPARED])


async def peer(
    stage: Stage,
    count: int,
    workers: int = PEER_WORKERS,
    fetch: int = PEER_FETCH,
    flush: int = PEER_FLUSH,
) -> float:
    """Rows a second of faststream-outbox."""
    await stage.clear()
    engine = create_async_engine(
        stage.database.admin_url.replace("postgresql://", "postgresql+asyncpg://"),
        pool_size=workers + 4,
        max_overflow=4,
    )
    metadata = MetaData(schema="usual")
    table = make_outbox_table(metadata, table_name="peer")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await _fill_peer(stage, count)
    kafka = KafkaBroker(stage.kafka, logger=None, acks="all", enable_idempotence=True)
    outbox = OutboxBroker(engine, outbox_table=table, logger=None, apply_types=True)
    relayed = asyncio.Event()
    published = 0

    @outbox.subscriber(
        TOPIC,
        max_workers=workers,
        fetch_batch_size=fetch,
        terminal_flush_batch_size=flush,
        min_fetch_interval=0.001,
        max_fetch_interval=0.05,
        decoder=_leave_alone,
    )
    async def relay(message: OutboxMessage) -> None:
        nonlocal published
        key = message.headers["ce_subject"].encode()
        await kafka.publish(message.body, TOPIC, key=key, headers=dict(message.headers))
        published += 1
        if published >= count:
            relayed.set()

    started = monotonic()
    try:
        await kafka.start()
        await outbox.start()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await relayed.wait()
            await _until_empty(stage)
        seconds = monotonic() - started
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            await outbox.stop()
            await kafka.stop()
            await engine.dispose()
    await _require(stage, count)
    return count / seconds


async def _leave_alone(message: Any) -> Any:
    return message.body


@asynccontextmanager
async def _running(watched: _Watched) -> AsyncIterator[None]:
    task = asyncio.create_task(watched.relay.run())
    try:
        yield
    finally:
        await end_all([task])


@asynccontextmanager
async def _forgetting(stage: Stage) -> AsyncIterator[None]:
    """Keeps next to nothing while it lasts. The topics hold everything and are not asked."""
    async with stage.connected() as connection:
        await connection.execute(f"UPDATE {SERVICE}.retention SET keep = '1 millisecond'")

    async def oldest() -> datetime:
        return END_OF_TIME

    async with asyncpg.create_pool(
        stage.database.service_url(SERVICE), min_size=1, max_size=1, server_settings=session_settings(SERVICE)
    ) as pool:
        retention = Retention(pool, oldest, lambda: True, Metrics())
        task = asyncio.create_task(retention.run(FORGET_EVERY_SECONDS))
        try:
            yield
        finally:
            await end_all([task])
        forgotten = await pool.fetchval("SELECT forgotten FROM retention")
    if forgotten < ROUNDS * ROWS_A_ROUND / 2:
        raise AssertionError(f"only {forgotten} facts were forgotten meanwhile")


@asynccontextmanager
async def _held_snapshot(stage: Stage) -> AsyncIterator[None]:
    async with stage.connected() as connection:
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        await connection.fetchval(f"SELECT count(*) FROM {SERVICE}.outbox")
        try:
            yield
        finally:
            await transaction.rollback()


async def _append(outbox: Outbox, url: str, count: int) -> int:
    """Appends events as a service does; returns the id of the last one."""
    connection = await connect(url, SERVICE)
    documents = [orjson.loads(body) for _, body, _ in payments(min(count, APPEND_ROWS), "on_request")]
    try:
        for first in range(0, count, APPEND_ROWS):
            rows = outbox.rows()
            for number in range(first, min(first + APPEND_ROWS, count)):
                data = documents[number % len(documents)]
                cause = Cause(f"evt-{number}", data["order_id"], now(), data["order_id"])
                rows.add(NewEvent("order.paid.v1", data["order_id"], 1, data), cause)
            async with connection.transaction():
                await outbox.append(connection, rows)
        last = await connection.fetchval("SELECT max(id) FROM outbox")
        return int(last)
    finally:
        await connection.close()


async def _fill_peer(stage: Stage, count: int) -> None:
    time = now().astimezone(KST).isoformat()

    def row(number: int, key: str, body: bytes) -> tuple[str, bytes, str]:
        headers = write_headers(
            id=f"fact-{number}",
            source="/pawl/orders",
            type="order.paid.v1",
            subject=key,
            time=time,
            sequence=1,
            correlation=key,
            causation=f"evt-{number}",
        )
        texts = {name: value.decode() for name, value in headers} | {"correlation_id": key}
        return TOPIC, body, orjson.dumps(texts).decode()

    rows = [row(number, key, body) for number, (key, body, _) in enumerate(payments(count, "on_request"))]
    async with stage.connected() as connection:
        await connection.copy_records_to_table(
            "peer", schema_name="usual", records=rows, columns=("queue", "payload", "headers")
        )
        await connection.execute("ANALYZE usual.peer")


async def _until_empty(stage: Stage) -> None:
    async with stage.connected() as connection:
        while await connection.fetchval("SELECT EXISTS (SELECT FROM usual.peer)"):
            await asyncio.sleep(0.01)


async def _require(stage: Stage, count: int) -> None:
    there = await stage.count(TOPIC)
    if there != count:
        raise AssertionError(f"{there} records on the topic instead of {count}")
