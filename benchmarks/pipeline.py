"""Four services end to end: orders a second (G3) and how long one order takes (G10), ours and the usual way;
how long while a large one is issued (G13).

Each side is four processes. An order is done when orders has confirmed its units, refunds has locked it and
invoices has drafted it, all committed.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
from aiokafka import AIOKafkaProducer

from benchmarks.material import payment, payments
from benchmarks.stage import Message, Stage
from benchmarks.worker import LAST
from shared.clock import monotonic
from shared.events.catalogue import SERVICES
from shared.partitioner import partition_for

TOPIC = "checkout.events"
ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 180.0
TICK_SECONDS = 0.005
DONE = {
    "ours": """
        SELECT least(
            (SELECT count(*) FROM orders.claims WHERE state = 'confirmed'),
            (SELECT count(*) FROM serials.grants WHERE state = 'issued'),
            (SELECT count(*) FROM refunds.orders),
            (SELECT count(*) FROM invoices.payments WHERE draft_id IS NOT NULL))
    """,
    "usual": """
        SELECT least(
            (SELECT count(*) FROM usual.claims WHERE state = 'confirmed'),
            (SELECT count(*) FROM usual.grants),
            (SELECT count(*) FROM usual.refundable WHERE locked = paid),
            (SELECT count(*) FROM usual.invoices))
    """,
}
Times = dict[str, dict[str, float]]
HOPS = (
    ("checkout -> orders", None, ("orders", "payment.completed.v1")),
    ("orders -> serials", ("orders", "payment.completed.v1"), ("serials", "issuance.granted.v2")),
    ("orders -> refunds", ("orders", "payment.completed.v1"), ("refunds", "issuance.granted.v2")),
    ("orders -> invoices", ("orders", "payment.completed.v1"), ("invoices", "order.paid.v1")),
    ("serials -> orders", ("serials", "issuance.granted.v2"), ("orders", "serials.issued.v2")),
)
"""Each hop from the commit of its cause to the commit of its effect: outbox, relay, broker, poll and fold."""


@dataclass(slots=True)
class Crew:
    """The four processes of one side."""

    processes: dict[str, asyncio.subprocess.Process]
    directory: Path

    async def until(self, word: str) -> list[float]:
        """Waits until each of them has said the word; returns the times they said with it."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await asyncio.gather(*(_hear(name, p, word) for name, p in self.processes.items()))

    def tell(self, word: str) -> None:
        """Says a word to all of them."""
        for process in self.processes.values():
            assert process.stdin is not None
            process.stdin.write(f"{word}\n".encode())

    async def stop(self) -> dict[str, Times]:
        """Ends them in order and returns what each has noted."""
        self.tell("stop")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(process.wait() for process in self.processes.values()))
        return {name: orjson.loads(self._notes(name).read_bytes()) for name in self.processes}

    def _notes(self, name: str) -> Path:
        return self.directory / f"{name}.json"


async def throughput(stage: Stage, side: str, count: int) -> float:
    """Orders a second through all four services, from a topic that holds them all when the clock starts."""
    await stage.clear()
    await stage.load(TOPIC, payments(count, "automatic"))
    async with crew_of(stage, side, count) as crew:
        await crew.until("ready")
        started = monotonic()
        crew.tell("go")
        ends = await crew.until("done")
        await crew.stop()
    await _require(stage, side, count)
    return count / (max(ends) - started)


@dataclass(slots=True)
class Latencies:
    """99 of 100 orders took at most so long, in milliseconds: end to end and for each hop."""

    end_to_end: float
    hops: dict[str, float]


async def latencies(stage: Stage, side: str, rate: int, seconds: float, warm_up: float = 3.0) -> Latencies:
    """Sends orders at a steady rate, whatever becomes of them, and looks how long each one takes."""
    skipped, count = int(rate * warm_up), int(rate * (seconds + warm_up))
    due, notes = await _steadily(stage, side, payments(count, "automatic"), rate)
    measured = list(due)[skipped:]
    ends = [(notes[service], type_name) for service, type_name in LAST.items()]
    whole = [max(times[type_name][key] for times, type_name in ends) - due[key] for key in measured]
    hops = {}
    for name, cause, effect in HOPS:
        causes = due if cause is None else notes[cause[0]][cause[1]]
        effects = notes[effect[0]][effect[1]]
        hops[name] = p99([effects[key] - causes[key] for key in measured])
    return Latencies(p99(whole), hops)


async def beside_a_large_grant(
    stage: Stage, rate: int, seconds: float, units: int, warm_up: float = 3.0
) -> tuple[float, float]:
    """99 of 100 orders had their serials after so many milliseconds: while `units` of one order are issued,
    and while nothing else is done, at the same rate.

    An order counts from when it is due until orders knows that its serials are issued.
    """
    skipped, count = int(rate * warm_up), int(rate * (seconds + warm_up))
    orders = payments(count, "automatic")
    due, notes = await _steadily(stage, "ours", orders, rate)
    idle = p99(_until_issued(list(due)[skipped:], due, notes))
    large = payment(0, "automatic", "large", units)
    due, notes = await _steadily(stage, "ours", [*orders[:skipped], large, *orders[skipped:]], rate)
    began, ended = due[large[0]], _issued(notes)[large[0]]
    meanwhile = [key for key, at in due.items() if began < at < ended]
    return p99(_until_issued(meanwhile, due, notes)), idle


def _issued(notes: dict[str, Times]) -> dict[str, float]:
    """When orders knew of each order that its serials are issued."""
    return notes["orders"][LAST["orders"]]


def _until_issued(keys: Sequence[str], due: dict[str, float], notes: dict[str, Times]) -> list[float]:
    issued = _issued(notes)
    return [issued[key] - due[key] for key in keys]


async def _steadily(
    stage: Stage, side: str, messages: Sequence[Message], rate: int
) -> tuple[dict[str, float], dict[str, Times]]:
    """Sends orders at a steady rate: when each was due, and what each service has noted."""
    await stage.clear()
    async with crew_of(stage, side, len(messages)) as crew:
        await crew.until("ready")
        crew.tell("go")
        _, due = await asyncio.gather(crew.until("done"), send_steadily(stage, messages, rate))
        notes = await crew.stop()
    await _require(stage, side, len(messages))
    return due, notes


async def send_steadily(stage: Stage, messages: Sequence[Message], rate: int) -> dict[str, float]:
    """Sends them at so many a second; when each was due."""
    producer = AIOKafkaProducer(bootstrap_servers=stage.kafka, acks="all", linger_ms=0)
    await producer.start()
    due: dict[str, float] = {}
    started, futures = monotonic(), []
    try:
        for number, (key, value, headers) in enumerate(messages):
            due[key] = started + number / rate
            while due[key] > monotonic():
                await asyncio.sleep(TICK_SECONDS)
            place = partition_for(key, stage.partitions[TOPIC])
            futures.append(await producer.send(TOPIC, value, key.encode(), place, headers=headers))
        await asyncio.gather(*futures)
    finally:
        await producer.stop()
    return due


@asynccontextmanager
async def crew_of(
    stage: Stage, side: str, count: int, environment: Mapping[str, Mapping[str, str]] | None = None
) -> AsyncIterator[Crew]:
    """The four processes of one side, done after so many orders; `environment` adds to that of each."""
    crew = Crew({}, stage.directory)
    try:
        for name in SERVICES:
            crew.processes[name] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "benchmarks.worker", side, name, str(count)),
                str(stage.directory / f"{name}.json"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                cwd=ROOT,
                env={
                    **os.environ,
                    **stage.environment(name),
                    **(environment or {}).get(name, {}),
                    "USUAL_DATABASE_URL": stage.database.admin_url,
                },
            )
        yield crew
    finally:
        for process in crew.processes.values():
            if process.returncode is None:
                process.kill()
                await process.wait()


async def _hear(name: str, process: asyncio.subprocess.Process, word: str) -> float:
    assert process.stdout is not None
    while line := (await process.stdout.readline()).decode():
        said = line.split()
        if said and said[0] == word:
            return float(said[1]) if len(said) > 1 else 0.0
    raise RuntimeError(f"{name} ended before it was {word}")


async def _require(stage: Stage, side: str, count: int) -> None:
    async with stage.connected() as connection:
        done = await connection.fetchval(DONE[side])
    if done != count:
        raise AssertionError(f"{side}: {done} orders are done instead of {count}")


def p99(seconds: Sequence[float]) -> float:
    """99 of 100 took at most so many milliseconds."""
    ordered = sorted(seconds)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))] * 1000, 1)
