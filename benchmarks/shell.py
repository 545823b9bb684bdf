"""The shell without a database: partition consumers and intake, against a bare loop that validates (G9)."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer

from benchmarks.gate import Gate, until_assigned
from benchmarks.material import payments
from benchmarks.stage import Stage, set_environment
from services.orders.app import build
from services.orders.settings import OrdersSettings
from shared.clock import monotonic
from shared.events.checkout import PaymentCompleted
from shared.runtime.app import calm_garbage_collector
from shared.runtime.consumer import COMMIT_EVERY_SECONDS, PartitionConsumer, new_broker, subscribe
from shared.runtime.intake import Intake
from shared.runtime.records import Record
from shared.runtime.signals import Metrics
from shared.settings import read_settings

TOPIC = "checkout.events"


async def ours(stage: Stage, count: int) -> float:
    """Events a second: consumers, envelope, content hash, validation; everything of a batch but the fold."""
    await _prepare(stage, count)
    calm_garbage_collector()  # as the service does when it starts; it then holds for both sides
    set_environment(stage.environment("orders"))
    settings = read_settings(OrdersSettings)
    intake, metrics = Intake(build(settings)), Metrics()
    gate, finished, seen = Gate(), asyncio.Event(), 0

    async def handle(records: Sequence[Record]) -> None:
        nonlocal seen
        await gate.passed()
        seen += sum(1 for item in intake.read(records) if item.event is not None)
        if seen >= count:
            finished.set()

    broker = new_broker(stage.kafka, grace_seconds=5)
    consumer = PartitionConsumer(handle, metrics, lambda why: finished.set())
    subscribe(
        broker,
        consumer,
        topics=(TOPIC,),
        group="shell",
        max_records=settings.max_records,
    )
    try:
        await broker.start()
        await until_assigned([consumer.consumer], stage.partitions[TOPIC])
        await gate.until_waiting(1)
        started = monotonic()
        gate.open()
        async with asyncio.timeout(60):
            await finished.wait()
        return count / (monotonic() - started)
    finally:
        await broker.stop()


async def raw(stage: Stage, count: int) -> float:
    """Events a second: getmany, the same validation of the data, a commit a second."""
    await _prepare(stage, count)
    consumer = AIOKafkaConsumer(
        TOPIC,
        bootstrap_servers=stage.kafka,
        group_id="raw",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    try:
        batch = await consumer.getmany(timeout_ms=5_000, max_records=2_000)
        started = committed_at = monotonic()
        seen = 0
        while True:
            for records in batch.values():
                for record in records:
                    PaymentCompleted.model_validate_json(record.value)
                    seen += 1
            if monotonic() - committed_at >= COMMIT_EVERY_SECONDS or seen >= count:
                await consumer.commit()
                committed_at = monotonic()
            if seen >= count:
                return count / (monotonic() - started)
            batch = await consumer.getmany(timeout_ms=10, max_records=2_000)
    finally:
        await consumer.stop()


async def _prepare(stage: Stage, count: int) -> None:
    await stage.clear()
    await stage.load(TOPIC, payments(count, "on_request"))
