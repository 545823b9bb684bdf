"""One hop: payment.completed into the orders service, against a plain loop (G1) and the usual way (G2).

Each side is one process that eats a topic filled beforehand. Ours is the real service: its consumer, the
intake, the fold, all tables, the outbox. The relay, which is measured by itself, does not run in any of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer
from faststream.kafka import KafkaBroker

from benchmarks.gate import Gate, until_assigned
from benchmarks.material import payments
from benchmarks.stage import Stage, set_environment
from benchmarks.usual import orders as usual_orders
from services.orders.app import build
from services.orders.settings import OrdersSettings
from shared.clock import monotonic
from shared.events.checkout import PaymentCompleted
from shared.postgres import open_pool
from shared.runtime.app import calm_garbage_collector
from shared.runtime.consumer import COMMIT_EVERY_SECONDS, SHARES, PartitionConsumer, new_broker, subscribe
from shared.runtime.fold import Fold
from shared.runtime.outbox import Outbox
from shared.runtime.records import Record, StoredRecord
from shared.runtime.signals import Metrics
from shared.settings import read_settings

TOPIC = "checkout.events"
WARM_UP = 50
COPIED = (
    "order_id",
    "payment_id",
    "amount",
    "paid_at",
    "partner_id",
    "business_number",
    "name",
    "invoice_email",
    "payment_method",
    "evidence",
    "issue_policy",
    "vat_mode",
    "lines",
)
COPY_TABLE = """
    CREATE TABLE IF NOT EXISTS usual.copied (
        order_id text, payment_id text, amount bigint, paid_at timestamptz, partner_id text,
        business_number text, name text, invoice_email text, payment_method text, evidence text,
        issue_policy text, vat_mode text, lines text)
"""


async def ours(
    stage: Stage,
    count: int,
    before: Callable[[], Awaitable[None]] | None = None,
    after: Callable[[], None] | None = None,
) -> float:
    """Orders a second through the real orders service. `before` and `after` are called around the clock."""
    await _prepare(stage, count)
    calm_garbage_collector()  # as the service does when it starts; it then holds for every side
    set_environment(stage.environment("orders"))
    settings = read_settings(OrdersSettings)
    service = build(settings)
    pool = await open_pool(str(settings.database_url), service.name, settings.partition_consumers + 6)
    metrics, gate, finished = Metrics(), Gate(), asyncio.Event()
    at_once = settings.partition_consumers * SHARES
    fold = Fold(
        service,
        pool,
        Outbox(service.name, stage.partitions),
        settings.sealer(),
        metrics,
        timedelta(hours=1),
    )

    async def handle(records: Sequence[Record]) -> None:
        await gate.passed()
        await fold.handle(records)
        if metrics.handled._value.get() >= count + WARM_UP * at_once:
            finished.set()

    broker = new_broker(stage.kafka, grace_seconds=5)
    consumers = [
        PartitionConsumer(handle, metrics, lambda why: finished.set())
        for _ in range(settings.partition_consumers)
    ]
    for consumer in consumers:
        subscribe(
            broker,
            consumer,
            topics=(TOPIC,),
            group="pawl-orders",
            max_records=settings.max_records,
        )
    try:
        await broker.start()
        await until_assigned([consumer.consumer for consumer in consumers], stage.partitions[TOPIC])
        await gate.until_waiting(len(consumers))
        await asyncio.gather(*(fold.handle(_warm_up(number)) for number in range(at_once)))
        if before is not None:
            await before()
        seconds = await _timed(gate, finished)
        if after is not None:
            after()
        return count / seconds
    finally:
        await broker.stop()
        await pool.close()


async def plain_copy(stage: Stage, count: int) -> float:
    """Orders a second of a bare loop: getmany, the same validation, COPY of the validated columns."""
    await _prepare(stage, count)
    async with stage.connected() as connection:
        await connection.execute(COPY_TABLE)
        await connection.execute("TRUNCATE usual.copied")
        consumer = AIOKafkaConsumer(
            TOPIC,
            bootstrap_servers=stage.kafka,
            group_id="plain-copy",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            return await _copy_all(consumer, connection, count)
        finally:
            await consumer.stop()


async def _copy_all(consumer: AIOKafkaConsumer, connection: asyncpg.Connection, count: int) -> float:
    batch = await consumer.getmany(timeout_ms=5_000, max_records=2_000)
    started = committed_at = monotonic()
    copied = 0
    while True:
        rows = [
            _columns(PaymentCompleted.model_validate_json(record.value))
            for records in batch.values()
            for record in records
        ]
        if rows:
            await connection.copy_records_to_table(
                "copied", schema_name="usual", records=rows, columns=COPIED
            )
        copied += len(rows)
        if copied >= count:
            return count / (monotonic() - started)
        if monotonic() - committed_at >= COMMIT_EVERY_SECONDS:
            await consumer.commit()
            committed_at = monotonic()
        batch = await consumer.getmany(timeout_ms=10, max_records=2_000)


def _columns(payment: PaymentCompleted) -> tuple[Any, ...]:
    partner = payment.partner
    return (
        payment.order_id,
        payment.payment_id,
        payment.amount,
        payment.paid_at,
        partner.partner_id,
        partner.business_number,
        partner.name,
        partner.invoice_email,
        payment.payment_method,
        payment.evidence,
        payment.issue_policy,
        payment.vat_mode,
        orjson.dumps([line.model_dump() for line in payment.lines]).decode(),
    )


async def usual(stage: Stage, count: int, at_once: int) -> float:
    """Orders a second of FastStream with a call, a transaction and an ack for each message."""
    await _prepare(stage, count)
    pool = await asyncpg.create_pool(stage.database.admin_url, min_size=1, max_size=at_once + 2)
    gate, finished, handled = Gate(), asyncio.Event(), 0

    def settled(type_name: str, order_id: str) -> None:
        nonlocal handled
        handled += 1
        if handled >= count:
            finished.set()

    broker = KafkaBroker(stage.kafka, logger=None, graceful_timeout=5)
    app = usual_orders.Orders("orders", pool, broker, gate, settled, keep_events=True)
    subscriber = app.subscribe_to_checkout(broker, at_once)
    try:
        await broker.start()
        await until_assigned(consumers_of([subscriber]), stage.partitions[TOPIC])
        await gate.until_waiting(1)
        return count / await _timed(gate, finished)
    finally:
        await broker.stop()
        await pool.close()


def consumers_of(subscribers: Sequence[Any]) -> list[Any]:
    """The consumers behind FastStream subscribers: one each, or one for each of several at once."""
    found: list[Any] = []
    for subscriber in subscribers:
        several = getattr(subscriber, "consumer_subgroup", None)
        found += list(several) if several else [subscriber.consumer]
    return found


async def _prepare(stage: Stage, count: int) -> None:
    await stage.clear()
    await stage.load(TOPIC, payments(count, "on_request"))


def _warm_up(consumer: int) -> list[Record]:
    """Orders of their own that let each connection prepare its statements before the clock starts."""
    messages = payments(WARM_UP, "on_request", f"warm-{consumer}")
    return [
        StoredRecord(TOPIC, consumer, offset - WARM_UP, key.encode(), value, headers)
        for offset, (key, value, headers) in enumerate(messages)
    ]


async def _timed(gate: Gate, finished: asyncio.Event) -> float:
    started = monotonic()
    gate.open()
    async with asyncio.timeout(120):
        await finished.wait()
    return monotonic() - started
