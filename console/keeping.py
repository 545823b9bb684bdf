"""What the console keeps beside sessions: thresholds that people chose, and how far services were behind.

Thresholds count for the list in this console. `pawl todo` on a terminal is told others by its environment.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from shared.clock import now
from shared.events.catalogue import SERVICES
from shared.operators.todo import Thresholds
from shared.queries import load

SQL = load(__file__)
Name = Literal["waiting", "grant", "deposit", "quarantine"]
NAMES: Final[tuple[Name, ...]] = get_args(Name)
"""The thresholds, as `Thresholds` names them."""
LONGEST: Final = timedelta(days=365)
HISTORY: Final = 200
"""So many of the newest choices are shown."""
KEPT_FOR: Final = timedelta(minutes=65)
"""An hour is drawn, and nothing older is kept for long."""
MINUTE: Final = timedelta(minutes=1)
Chosen = Mapping[Name, timedelta]


class Choice(Struct, frozen=True):
    """A threshold that somebody chose; `span` is None where they went back to what is configured."""

    name: Name
    span: timedelta | None
    person: str
    reason: str
    set_at: datetime


class Sample(Struct, frozen=True):
    """How many seconds a service was behind at an instant: reading, and publishing. None: not known."""

    taken_at: datetime
    service: str
    reading: float | None
    publishing: float | None


def with_chosen(configured: Thresholds, chosen: Chosen) -> Thresholds:
    """The thresholds that count: what people chose, else what is configured."""
    return replace(configured, **{str(name): span for name, span in chosen.items()})


class Keeping:
    """Thresholds and samples in the schema `console`. Raises what asyncpg does where it does not answer."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def chosen(self) -> Chosen:
        """The thresholds that people chose, without those that are as configured."""
        rows = await self._pool.fetch(SQL.thresholds)
        return {row["name"]: row["minutes"] * MINUTE for row in rows if row["minutes"] is not None}

    async def choices(self) -> list[Choice]:
        """Who chose which threshold and why, the newest first."""
        rows = await self._pool.fetch(SQL.thresholds_chosen, HISTORY)
        return [
            Choice(
                row["name"],
                None if row["minutes"] is None else row["minutes"] * MINUTE,
                row["person"],
                row["reason"],
                row["set_at"],
            )
            for row in rows
        ]

    async def choose(self, spans: Mapping[Name, timedelta | None], person: str, reason: str) -> None:
        """Somebody chooses these thresholds, in whole minutes, all of them or none."""
        at = now()
        async with self._pool.acquire() as connection, connection.transaction():
            for name, span in spans.items():
                minutes = None if span is None else span // MINUTE
                await connection.execute(SQL.choose_threshold, name, minutes, person, reason, at)

    async def begin_sample(self, at: datetime) -> bool:
        """Whether it is for this console to say how far services are behind at `at`."""
        return bool(await self._pool.fetch(SQL.begin_sample, at, list(SERVICES)))

    async def end_sample(self, samples: Sequence[Sample]) -> None:
        """Keeps what was read in a turn that this console has begun, and forgets what is old."""
        rows = [(each.taken_at, each.service, each.reading, each.publishing) for each in samples]
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.executemany(SQL.end_sample, rows)
            await connection.execute(SQL.forget_samples, samples[0].taken_at - KEPT_FOR)

    async def samples(self, since: datetime) -> list[Sample]:
        """How far services were behind since an instant, the oldest first."""
        return [Sample(**row) for row in await self._pool.fetch(SQL.lag_samples, since)]
