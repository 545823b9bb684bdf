"""One service of a pipeline as a process: `python -m benchmarks.worker ours|usual NAME COUNT STAMPS`.

Ours is the service as `python -m services.NAME` runs it, with two additions: a gate before the fold, and a
note of when each record's effects were committed. It talks to the benchmark in lines: it says `ready` when it
owns its partitions and `done TIME` when COUNT orders are settled here, and is told `go` and `stop`.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from faststream.kafka import KafkaBroker

from benchmarks.gate import Gate, until_assigned
from benchmarks.hop import consumers_of
from benchmarks.usual.invoices import Invoices
from benchmarks.usual.orders import Orders
from benchmarks.usual.refunds import Refunds
from benchmarks.usual.serials import Serials
from services.serials.settings import SerialsSettings
from shared.clock import monotonic
from shared.kafka import partition_counts
from shared.runtime import app
from shared.runtime.consumer import PartitionConsumer, subscribe
from shared.runtime.fold import Fold
from shared.runtime.records import Record
from shared.runtime.service import Service
from shared.runtime.surroundings import Surroundings
from shared.settings import ServiceSettings, read_settings
from shared.telemetry import set_up_logging

LAST = {
    "orders": "serials.issued.v2",
    "serials": "issuance.granted.v2",
    "refunds": "issuance.granted.v2",
    "invoices": "order.paid.v1",
}
"""The type whose effects settle an order in each service."""
Handle = Callable[[Fold, Sequence[Record]], Coroutine[Any, Any, None]]
NOTED = {name.encode() for name in ("payment.completed.v1", *LAST.values())}
AT_ONCE = 8


@dataclass(slots=True)
class Notes:
    """When the effects of each record were committed, by type and order; and the talk with the benchmark."""

    last: str
    count: int
    file: Path
    gate: Gate = field(default_factory=Gate)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    at: dict[str, dict[str, float]] = field(default_factory=dict)

    def settled(self, type_name: str, order_id: str, at: float | None = None) -> None:
        """Notes that the effects of a record are committed."""
        times = self.at.setdefault(type_name, {})
        times.setdefault(order_id, at or monotonic())
        if type_name == self.last and len(times) == self.count:
            say(f"done {monotonic()}")

    def listen(self, stop: Callable[[], None]) -> None:
        """Does what the benchmark says on standard input."""

        def hear() -> None:
            for word in os.read(0, 1024).decode().split() or ["stop"]:
                if word == "go":
                    self.gate.open()
                elif not self.stopped.is_set():
                    asyncio.get_running_loop().remove_reader(0)
                    self.stopped.set()
                    stop()

        asyncio.get_running_loop().add_reader(0, hear)

    def write(self) -> None:
        """Leaves the notes where the benchmark looks for them."""
        self.file.write_bytes(orjson.dumps(self.at))


def say(line: str) -> None:
    """Tells the benchmark."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Runs one side of one service until it is told to stop."""
    side, name, count, file = sys.argv[1:5]
    notes = Notes(LAST[name], int(count), Path(file))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of every rebalance
    app.calm_garbage_collector()  # as the service does when it starts; and the loop: both hold for both sides
    asyncio.run((run_ours if side == "ours" else run_usual)(name, notes))
    notes.write()


async def run_ours(name: str, notes: Notes) -> None:
    """The real service, watched."""
    settings_module = import_module(f"services.{name}.settings")
    settings: ServiceSettings = read_settings(getattr(settings_module, f"{name.capitalize()}Settings"))
    set_up_logging(name, settings.log_level)
    service: Service = import_module(f"services.{name}.app").build(settings)

    started: list[PartitionConsumer] = []

    def subscribed(broker: KafkaBroker, consumer: PartitionConsumer, **options: Any) -> None:
        started.append(consumer)
        subscribe(broker, consumer, **options)

    async def announce(surroundings: Surroundings) -> None:
        counts = await partition_counts(settings.kafka_bootstrap_servers, service.topics)
        while not all(consumer.consumer for consumer in started):
            await asyncio.sleep(0.02)
        await until_assigned([consumer.consumer for consumer in started], sum(counts.values()))
        notes.listen(lambda: os.kill(os.getpid(), signal.SIGTERM))
        say("ready")

    setattr(app, "subscribe", subscribed)  # noqa: B010 as below
    setattr(Fold, "handle", _watched(Fold.handle, notes))  # noqa: B010 the type checker would not let us
    await app.run(replace(service, agents=(*service.agents, announce)), settings)


def _watched(handle: Handle, notes: Notes) -> Handle:
    async def handle_and_note(fold: Fold, records: Sequence[Record]) -> None:
        await notes.gate.passed()
        await handle(fold, records)
        at = monotonic()
        for record in records:
            for header, value in record.headers:
                if header == "ce_type":
                    if value in NOTED and record.key is not None:
                        notes.settled(value.decode(), record.key.decode(), at)
                    break

    return handle_and_note


async def run_usual(name: str, notes: Notes) -> None:
    """The usual application."""
    bootstrap = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    pool = await asyncpg.create_pool(os.environ["USUAL_DATABASE_URL"], min_size=1, max_size=AT_ONCE + 2)
    broker = KafkaBroker(bootstrap, logger=None, graceful_timeout=5, acks="all")
    subscribers = _subscribe(name, pool, broker, notes)
    await broker.start()
    topics = [getattr(topic, "name", topic) for subscriber in subscribers for topic in subscriber.topics]
    counts = await partition_counts(bootstrap, topics)
    await until_assigned(consumers_of(subscribers), sum(counts.values()))
    notes.listen(lambda: None)
    say("ready")
    await notes.stopped.wait()
    await broker.stop()
    await pool.close()


def _subscribe(name: str, pool: asyncpg.Pool, broker: KafkaBroker, notes: Notes) -> list[Any]:
    given = (name, pool, broker, notes.gate, notes.settled)
    match name:
        case "orders":
            orders = Orders(*given)
            return [
                orders.subscribe_to_checkout(broker, AT_ONCE),
                orders.subscribe_to_serials(broker, AT_ONCE),
            ]
        case "serials":
            return [
                Serials(*given, read_settings(SerialsSettings).vault()).subscribe_to_orders(broker, AT_ONCE)
            ]
        case "refunds":
            return [Refunds(*given).subscribe_to_orders(broker, AT_ONCE)]
        case _:
            return [Invoices(*given).subscribe_to_orders(broker, AT_ONCE)]


if __name__ == "__main__":
    main()
