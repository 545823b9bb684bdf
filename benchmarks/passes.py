"""What one order costs in each service: processor time of Python, time of Postgres, exchanges and records.

All four services in this process, one after the other and without Kafka: `Fold.handle` over real tables, and
what a relay does before it sends. So many orders come at once; whatever follows from them is handled in
rounds, each service one batch a round. Only ratios within one sitting mean something.
"""

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from statistics import median
from typing import Any, Final

import asyncpg

from benchmarks.material import payments
from benchmarks.stage import Stage, set_environment
from shared.events.catalogue import FEEDBACK, SERVICES, UPSTREAM, source_of
from shared.events.envelope import write_headers
from shared.partitioner import partition_for
from shared.postgres import open_pool
from shared.queries import load
from shared.runtime.app import calm_garbage_collector
from shared.runtime.fold import Fold
from shared.runtime.outbox import Outbox
from shared.runtime.records import StoredRecord
from shared.runtime.signals import Metrics
from shared.settings import read_settings

SQL = load("shared.runtime")
WARM_UP_ORDERS: Final = 20
STATEMENTS = """
    SELECT substr(r.rolname, 6) AS service, s.calls, s.query,
           s.total_exec_time + s.total_plan_time AS milliseconds
    FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid WHERE r.rolname = ANY($1)
"""


@dataclass(slots=True)
class _Seat:
    """One service: what it has handled, and what that cost."""

    name: str
    topics: tuple[str, ...]
    fold: Fold
    pool: asyncpg.Pool
    read: Counter[str] = field(default_factory=Counter)
    published: int = 0
    seconds: list[float] = field(default_factory=list)
    relaying: list[float] = field(default_factory=list)
    batches: int = 0
    records: int = 0


async def order_costs(stage: Stage, batch: int, groups: int, lines: int) -> str:
    """`groups` times `batch` orders of so many lines, one group after the other: a table of their cost."""
    await stage.clear()
    calm_garbage_collector()
    async with stage.connected() as connection:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    seats = [await _seat(stage, name) for name in SERVICES]
    try:
        topics: dict[str, list[StoredRecord]] = {topic: [] for topic in stage.partitions}
        warm_up = max(1, WARM_UP_ORDERS // batch)
        for number in range(warm_up + groups):
            if number == warm_up:
                await _begin(stage, seats)
            topics[UPSTREAM] += _orders(stage, number, batch, lines)
            await _drain(seats, topics)
        async with stage.connected() as connection:
            rows = await connection.fetch(STATEMENTS, [f"pawl_{name}" for name in SERVICES])
        return _table(seats, rows, batch, groups, lines)
    finally:
        for seat in seats:
            await seat.pool.close()


async def _seat(stage: Stage, name: str) -> _Seat:
    set_environment(stage.environment(name))
    settings: Any = read_settings(
        getattr(import_module(f"services.{name}.settings"), f"{name.title()}Settings")
    )
    service = import_module(f"services.{name}.app").build(settings)
    pool = await open_pool(str(settings.database_url), name, 1)
    outbox = Outbox(name, stage.partitions)
    fold = Fold(service, pool, outbox, settings.sealer(), Metrics(), timedelta(hours=1))
    return _Seat(name, service.topics, fold, pool)


async def _begin(stage: Stage, seats: Sequence[_Seat]) -> None:
    for seat in seats:
        seat.seconds.clear()
        seat.relaying.clear()
        seat.batches = seat.records = 0
    async with stage.connected() as connection:
        await connection.execute("SELECT pg_stat_statements_reset()")


def _orders(stage: Stage, group: int, batch: int, lines: int) -> list[StoredRecord]:
    messages = payments(batch, "automatic", f"G{group:05d}", lines)
    count = stage.partitions[UPSTREAM]
    return [
        StoredRecord(UPSTREAM, partition_for(key, count), group * batch + place, key.encode(), value, headers)
        for place, (key, value, headers) in enumerate(messages)
    ]


async def _drain(seats: Sequence[_Seat], topics: dict[str, list[StoredRecord]]) -> None:
    """Rounds, until nobody has anything to read."""
    spent: Counter[str] = Counter()
    relayed: Counter[str] = Counter()
    is_done = False
    while not is_done:
        is_done = True
        for seat in seats:
            records = [record for topic in seat.topics for record in topics[topic][seat.read[topic] :]]
            if not records:
                continue
            is_done = False
            seat.read.update({topic: len(topics[topic]) - seat.read[topic] for topic in seat.topics})
            seat.batches, seat.records = seat.batches + 1, seat.records + len(records)
            began = time.process_time()
            await seat.fold.handle(records)
            handled = time.process_time()
            said = await _said(seat)
            relayed[seat.name] += time.process_time() - handled  # type: ignore[assignment]
            spent[seat.name] += handled - began  # type: ignore[assignment]
            for record in said:
                topics[record.topic].append(record)
    for seat in seats:
        seat.seconds.append(spent[seat.name])
        seat.relaying.append(relayed[seat.name])


async def _said(seat: _Seat) -> list[StoredRecord]:
    """What the service has to say since the last time, as records."""
    said = []
    while rows := await seat.pool.fetch(SQL.unpublished, seat.published, 2_000, 0):
        seat.published = rows[-1]["id"]
        said += [
            StoredRecord(
                row["topic"],
                row["partition"],
                row["id"],
                row["key"].encode(),
                row["data"],
                _headers(seat.name, row),
            )
            for row in rows
        ]
    return said


def _headers(service: str, row: asyncpg.Record) -> list[tuple[str, bytes]]:
    return write_headers(
        id=str(row["event_id"]),
        source=source_of(row["type"], service),
        type=row["type"],
        subject=row["subject"],
        time=row["time"],
        sequence=None if row["topic"] == FEEDBACK else row["sequence"],
        correlation=row["correlation"],
        causation=row["causation"],
        traceparent=row["traceparent"],
    )


def _table(seats: Sequence[_Seat], rows: Sequence[Any], batch: int, groups: int, lines: int) -> str:
    orders = batch * groups
    text = [
        f"{groups} x {batch} orders of {lines} lines, load {os.getloadavg()[0]:.1f}; microseconds an order",
        f"{'':<10}{'Python':>9}{'relay':>8}{'Postgres':>10}{'records':>9}{'batches':>9}{'statements':>12}",
    ]
    total = Counter[str]()
    for seat in seats:
        own = [row for row in rows if row["service"] == seat.name]
        python, relay = (median(times) / batch * 1e6 for times in (seat.seconds, seat.relaying))
        postgres = sum(row["milliseconds"] for row in own) / orders * 1e3
        calls = sum(row["calls"] for row in own if "FROM outbox WHERE id >" not in row["query"])
        text.append(
            f"{seat.name:<10}{python:>9.0f}{relay:>8.0f}{postgres:>10.0f}{seat.records / orders:>9.2f}"
            f"{seat.batches / groups:>9.1f}{calls / seat.batches:>12.1f}"
        )
        for name, value in (("python", python), ("relay", relay), ("postgres", postgres)):
            total[name] += value  # type: ignore[assignment]
    text.append(f"{'all':<10}{total['python']:>9.0f}{total['relay']:>8.0f}{total['postgres']:>10.0f}")
    return "\n".join(text)
