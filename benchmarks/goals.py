"""What is to be reached: the goals as ratios, and how each is measured."""

import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from benchmarks import bulk, closing, handing_out, hop, pages, pipeline, registering, relays, shell
from benchmarks.stage import Stage

SMALL_ORDERS = 50
"""Orders a second while a large one is issued: so many leave room for it on two cores."""
PAGES = 20
"""How often each page of the console is asked for."""
Measure = Callable[[Stage, "Sizes"], Awaitable[dict[str, "Measured"]]]


class Measured(NamedTuple):
    """What one run says about a goal, and its sides (ours first) where it is a ratio of two."""

    value: float
    sides: tuple[float, ...] = ()


def ratio(ours: float, other: float) -> Measured:
    """Ours to the other side."""
    return Measured(ours / other, (ours, other))


@dataclass(slots=True, frozen=True)
class Sizes:
    """How much one run eats. Each side gets what it needs for a few seconds."""

    hop: int = 30_000
    hop_one: int = 1_000
    hop_eight: int = 2_000
    orders: int = 15_000
    orders_usual: int = 800
    relay: int = 100_000
    relay_peer: int = 6_000
    shell: int = 60_000
    latency_seconds: float = 8.0
    serials: int = 1_000_000
    serials_one_by_one: int = 20_000
    serials_before: int = 10_000_000
    serials_in_workbook: int = 200_000
    registrations: int = 15_000
    look_ups: int = 5_000
    payments: int = 1_000_000
    orders_shown: int = 100_000


QUICK = Sizes(
    10_000,
    300,
    600,
    4_000,
    200,
    50_000,
    2_000,
    20_000,
    4.0,
    200_000,
    5_000,
    1_000_000,
    20_000,
    4_000,
    2_000,
    100_000,
    20_000,
)


@dataclass(slots=True, frozen=True)
class Goal:
    """One goal. `at_most` turns it around: the smaller the better. `unit` is empty for a ratio."""

    name: str
    says: str
    goal: float
    at_most: bool = False
    unit: str = ""

    def reached(self, value: float) -> bool:
        """Whether the value is good enough."""
        return value <= self.goal if self.at_most else value >= self.goal


@dataclass(slots=True, frozen=True)
class Trial:
    """One run of everything that some goals compare, sides interleaved: values by the name of their goal."""

    goals: Sequence[Goal]
    measure: Measure


@dataclass(slots=True)
class Result:
    """The values of all runs of one goal; the median counts."""

    goal: Goal
    runs: list[float] = field(default_factory=list)
    sides: list[tuple[float, ...]] = field(default_factory=list)

    def add(self, measured: Measured) -> None:
        """Takes in one run."""
        self.runs.append(measured.value)
        self.sides.append(measured.sides)

    @property
    def value(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)

    @property
    def reached(self) -> bool:
        """Whether the median is good enough."""
        return self.goal.reached(self.value)

    def document(self) -> dict[str, Any]:
        """As it stands in results.json."""
        return {
            "ratio": round(self.value, 3),
            "goal": self.goal.goal,
            "at_most": self.goal.at_most,
            "unit": self.goal.unit or "ratio",
            "reached": self.reached,
            "says": self.goal.says,
            "runs": [round(run, 3) for run in self.runs],
            "sides": [round(statistics.median(side), 1) for side in zip(*self.sides, strict=True)],
        }


async def measure_hop(stage: Stage, sizes: Sizes) -> dict[str, Measured]:
    """G1 and G2: the orders service against COPY, and against a transaction a message."""
    ours = await hop.ours(stage, sizes.hop)
    copy = await hop.plain_copy(stage, sizes.hop)
    one = await hop.usual(stage, sizes.hop_one, 1)
    eight = await hop.usual(stage, sizes.hop_eight, 8)
    return {"G1": ratio(ours, copy), "G2": ratio(ours, one), "G2 eight at once": ratio(ours, eight)}


async def measure_pipeline(stage: Stage, sizes: Sizes) -> dict[str, Measured]:
    """G3: four services end to end."""
    ours = await pipeline.throughput(stage, "ours", sizes.orders)
    usual = await pipeline.throughput(stage, "usual", sizes.orders_usual)
    return {"G3": ratio(ours, usual)}


async def measure_relay(stage: Stage, sizes: Sizes) -> dict[str, Measured]:
    """G4: outbox to broker, against the peer."""
    ours = await relays.ours(stage, sizes.relay)
    return {"G4": ratio(ours, await relays.peer(stage, sizes.relay_peer))}


async def measure_snapshot(stage: Stage, sizes: Sizes) -> dict[str, Measured]:
    """G5: the relay while somebody holds a snapshot, and while what it has published is forgotten as well."""
    return {
        "G5": Measured(await relays.ours_under_snapshot(stage)),
        "G5 forgetting": Measured(await relays.ours_under_snapshot(stage, forgetting=True)),
    }


async def measure_shell(stage: Stage, sizes: Sizes) -> dict[str, Measured]:
    """G9: everything before the database, against the bare consumer."""
    ours = await shell.ours(stage, sizes.shell)
    return {"G9": ratio(ours, await shell.raw(stage, sizes.shell))}


async def measure_latency(stage: Stage, sizes: Sizes) -> dict[str, Measured]:
    """G10: how long an order takes at 200 a second, and the worst hop at 1,000 a second."""
    ours = await pipeline.latencies(stage, "ours", 200, sizes.latency_seconds)
    usual = await pipeline.latencies(stage, "usual", 200, sizes.latency_seconds)
    loaded = await pipeline.latencies(stage, "ours", 1_000, sizes.latency_seconds)
    return {
        "G10": ratio(ours.end_to_end, usual.end_to_end),
        "G10 worst hop": Measured(max(loaded.hops.values())),
    }


async def measure_beside_a_large_grant(stage: Stage, sizes: Sizes) -> dict[str, Measured]:
    """G13: how long small orders take while a large one is issued."""
    beside, idle = await pipeline.beside_a_large_grant(
        stage, SMALL_ORDERS, sizes.latency_seconds, sizes.serials
    )
    return {"G13": ratio(beside, idle)}


async def measure_issuing(stage: Stage, sizes: Sizes) -> dict[str, Measured]:
    """G6: a large grant, against COPY of the same rows, and against an INSERT for each."""
    ours, copy, single = await bulk.into_an_empty_table(stage, sizes.serials, sizes.serials_one_by_one)
    return {"G6": ratio(ours.rate, copy.rate), "G6 a row at a time": ratio(ours.rate, single.rate)}


async def measure_full_table(stage: Stage, sizes: Sizes) -> dict[str, Measured]:
    """G7: a large grant when there are millions of serials, against COPY in the order of chance."""
    ours, unsorted = await bulk.into_a_full_table(stage, sizes.serials_before, sizes.serials)
    homes, one = await bulk.looked_up(stage, sizes.serials_before, sizes.look_ups)
    return {
        "G7": ratio(ours.rate, unsorted.rate),
        "G7 log": Measured(ours.wal),
        "G7 look-up": ratio(homes, one),
    }


async def measure_closing(stage: Stage, sizes: Sizes) -> dict[str, Measured]:
    """G8: a month close, against a bare GROUP BY of its payments, the same close once more, and DuckDB."""
    done = await closing.months(stage, sizes.payments)
    return {
        "G8": ratio(done.first, done.grouped),
        "G8 again": ratio(done.again, done.first),
        "G8 DuckDB": ratio(done.first, done.usual),
    }


async def measure_registering(stage: Stage, sizes: Sizes) -> dict[str, Measured]:
    """G11: registrations over HTTP among millions of serials, against one statement behind nothing."""
    done = await registering.registrations(
        stage, sizes.serials_before, sizes.registrations, sizes.latency_seconds
    )
    return {
        "G11": ratio(done.ours, done.usual),
        "G11 rate": Measured(done.ours),
        "G11 p99": Measured(done.p99_ms),
    }


async def measure_files(stage: Stage, sizes: Sizes) -> dict[str, Measured]:
    """G12: a large grant handed out as CSV and as a workbook, over a socket, with a token."""
    table, book = await handing_out.files(stage, sizes.serials, sizes.serials_in_workbook)
    return {
        "G12": Measured(table.rate),
        "G12 workbook": Measured(book.rate),
        "G12 memory": Measured(max(table.grown, book.grown)),
    }


async def measure_pages(stage: Stage, sizes: Sizes) -> dict[str, Measured]:
    """G14: the slowest page of the console, what pages that stay open cost, and what services feel of it."""
    done = await pages.shown(stage, sizes.orders_shown, PAGES, sizes.latency_seconds)
    return {
        "G14": Measured(max(times.at(0.95) for times in done.pages)),
        "G14 open": Measured(done.live),
        "G14 beside": ratio(done.used, done.alone),
    }


TRIALS: Sequence[Trial] = (
    Trial(
        (
            Goal("G1", "one hop, of a plain consume + validate + COPY", 0.5),
            Goal("G2", "one hop, against FastStream with a transaction and an ack a message", 50),
            Goal("G2 eight at once", "the same, eight messages at once", 15),
        ),
        measure_hop,
    ),
    Trial((Goal("G3", "four services end to end, against the usual way", 20),), measure_pipeline),
    Trial((Goal("G4", "relay, against faststream-outbox at its best settings", 20),), measure_relay),
    Trial(
        (
            Goal("G5", "relay after 100,000 rows under a snapshot, of its start", 0.9),
            Goal("G5 forgetting", "the same, while all that is published is forgotten", 0.9),
        ),
        measure_snapshot,
    ),
    Trial((Goal("G9", "FastStream batch path, of raw getmany + validate + commit", 0.6),), measure_shell),
    Trial(
        (
            Goal("G10", "end-to-end p99 at 200 orders/s, of the usual way's", 0.5, at_most=True),
            Goal("G10 worst hop", "worst hop p99 at 1,000 orders/s", 80, at_most=True, unit="ms"),
        ),
        measure_latency,
    ),
    Trial(
        (Goal("G13", "p99 until issued at 50 orders/s while 1 M are issued, of idle", 3, at_most=True),),
        measure_beside_a_large_grant,
    ),
    Trial(
        (
            Goal("G6", "a grant of 1 M serials, of a COPY of the same rows, sorted", 0.75),
            Goal("G6 a row at a time", "the same, against an INSERT for each row", 80),
        ),
        measure_issuing,
    ),
    Trial(
        (
            Goal("G7", "a grant of 1 M into 10 M serials, against COPY in random order", 3),
            Goal("G7 log", "its write-ahead log for each serial", 200, at_most=True, unit="bytes"),
            Goal("G7 look-up", "a look-up in 21 tables, against one of 10 M serials", 2, at_most=True),
        ),
        measure_full_table,
    ),
    # After G7, so that it finds the full table; the next trial empties it.
    Trial(
        (
            Goal("G11", "registrations among 10 M serials, of a look-up and update in one statement", 0.5),
            Goal("G11 rate", "the same through uvicorn and tokens", 1_500, unit="requests/s"),
            Goal("G11 p99", "their p99 at a steady 1,500 a second", 50, at_most=True, unit="ms"),
        ),
        measure_registering,
    ),
    Trial(
        (
            Goal("G12", "a grant of 1 M serials handed out as CSV", 150_000, unit="serials/s"),
            Goal("G12 workbook", "200,000 of them as a workbook", 12_000, unit="serials/s"),
            Goal("G12 memory", "what the service grows by meanwhile", 150, at_most=True, unit="MB"),
        ),
        measure_files,
    ),
    Trial(
        (
            Goal("G8", "a month close with documents, numbers, events, of a bare GROUP BY", 4, at_most=True),
            Goal("G8 again", "closing it once more, of the first time", 0.01, at_most=True),
            Goal("G8 DuckDB", "the close, of DuckDB's merge by COPY out and back", 1, at_most=True),
        ),
        measure_closing,
    ),
    Trial(
        (
            Goal("G14", "p95 of the slowest page of the console", pages.GOAL_MS, at_most=True, unit="ms"),
            Goal("G14 open", "100 pages of it that stay open", 0.1, at_most=True, unit="cores"),
            Goal("G14 beside", "p99 of an order while it is used, of the same without", 1.2, at_most=True),
        ),
        measure_pages,
    ),
)
