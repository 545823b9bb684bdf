"""Where the time of an event or a request goes: in Python by function, in Postgres by statement.

Python is looked at twice, because both looks lie: samples of the running stack (own time of a function
includes the C code that it calls; hardly any overhead) and cProfile (counts calls; makes small functions look
slow). Everything is told in microseconds an event.
"""

import cProfile
import io
import pstats
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.stage import Stage

ROOT = Path(__file__).parents[1]
SAMPLE_SECONDS = 0.001
STATEMENTS = """
    SELECT r.rolname AS role, s.calls, s.rows, s.total_exec_time + s.total_plan_time AS milliseconds,
           s.total_plan_time AS planning, s.wal_bytes, s.query
    FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
    WHERE r.rolname LIKE 'pawl\\_%' AND r.rolname <> 'pawl_owner'
    ORDER BY milliseconds DESC LIMIT 25
"""
PRELOADED = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track_planning": "on"}


@dataclass(slots=True)
class Samples:
    """Counts which functions were running, whenever the processor had worked for a millisecond for us."""

    own: Counter[str] = field(default_factory=Counter)
    within: Counter[str] = field(default_factory=Counter)
    taken: int = 0
    cpu_seconds: float = 0.0

    def start(self) -> None:
        """Starts to sample this thread."""
        signal.signal(signal.SIGPROF, self._take)
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_SECONDS, SAMPLE_SECONDS)
        self.cpu_seconds = -time.process_time()

    def stop(self) -> None:
        """Stops sampling."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        self.cpu_seconds += time.process_time()

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.taken += 1
        seen: set[str] = set()
        innermost = True
        while frame is not None:
            name = _name_of(frame)
            if innermost:
                self.own[name] += 1
                innermost = False
            if name not in seen:
                self.within[name] += 1
                seen.add(name)
            frame = frame.f_back


def _name_of(frame: FrameType) -> str:
    path = frame.f_code.co_filename
    short = path.removeprefix(f"{ROOT}/").rpartition("site-packages/")[2]
    return f"{short}:{frame.f_code.co_qualname}"


async def profile_work(stage: Stage, work: Callable[[Stage, int], Awaitable[float]], count: int) -> str:
    """Runs the work three times (warm up, sampled, cProfile) and tells where the time went.

    `work` does `count` events or requests and returns how many a second; it takes `before` and `after`.
    """
    await work(stage, min(count, 5_000))
    async with stage.connected() as connection:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    samples = Samples()
    watched = await _watch(stage, work, count, samples.start, samples.stop)
    profiler = cProfile.Profile()
    counted = await _watch(stage, work, count, profiler.enable, profiler.disable)
    parts = [
        f"events {count}, {watched.rate:,.0f} a second while sampled, {counted.rate:,.0f} under cProfile",
        f"Python: {samples.cpu_seconds / count * 1e6:.1f} us of processor time an event",
        _table_of_samples(samples, count),
        _table_of_calls(profiler, count),
        watched.statements,
    ]
    return "\n\n".join(parts) + "\n"


@dataclass(slots=True)
class _Watched:
    rate: float
    statements: str


async def _watch(
    stage: Stage,
    work: Callable[..., Awaitable[float]],
    count: int,
    start: Callable[[], None],
    stop: Callable[[], None],
) -> _Watched:
    async with stage.connected() as connection:

        async def begin() -> None:
            await connection.execute("SELECT pg_stat_statements_reset()")
            start()

        rate = await work(stage, count, before=begin, after=stop)
        rows = await connection.fetch(STATEMENTS)
    return _Watched(rate, _table_of_statements(rows, count))


def _table_of_samples(samples: Samples, count: int) -> str:
    each = samples.cpu_seconds / max(1, samples.taken) / count * 1e6
    lines = [f"sampled, own time ({samples.taken} samples), us an event"]
    lines += [f"{hits * each:8.2f}  {name}" for name, hits in samples.own.most_common(25)]
    lines += ["", "sampled, with everything called from there, our own functions only, us an event"]
    ours = [(n, h) for n, h in samples.within.most_common() if n.startswith(("shared/", "services/"))]
    lines += [f"{hits * each:8.2f}  {name}" for name, hits in ours[:40]]
    return "\n".join(lines)


def _table_of_calls(profiler: cProfile.Profile, count: int) -> str:
    stats: Any = pstats.Stats(profiler, stream=io.StringIO())
    rows = sorted(stats.stats.items(), key=lambda item: item[1][2], reverse=True)[:30]
    lines = ["cProfile, own time: us an event, calls an event (the poll is waiting, not work)"]
    for (file, line, name), (_, calls, own, _, _) in rows:
        short = file.removeprefix(f"{ROOT}/").rpartition("site-packages/")[2]
        lines.append(f"{own / count * 1e6:8.2f}  {calls / count:7.2f}  {short}:{line}:{name}")
    return "\n".join(lines)


def _table_of_statements(rows: list[Any], count: int) -> str:
    total = sum(row["milliseconds"] for row in rows)
    lines = [
        f"Postgres by statement, {total / count * 1e3:.1f} us an event in all",
        "us an event, of it planning, calls, rows, WAL bytes an event",
    ]
    for row in rows:
        text = " ".join(row["query"].split())[:110]
        lines.append(
            f"{row['milliseconds'] / count * 1e3:8.2f}  {row['planning'] / count * 1e3:6.2f}  "
            f"{row['calls']:5d}  {row['rows']:7d}  {int(row['wal_bytes']) / count:7.0f}  {text}"
        )
    return "\n".join(lines)
