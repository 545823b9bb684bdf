"""How far a service has handled each partition, kept beside its rows, and the records that it never got.

Kafka deletes records when their time is over, and moves a group wherever somebody sets it, without a word to
whoever reads. What was handled stands in the schema too, so both are noticed: a gap is a row.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, TypeAlias

import asyncpg
import structlog

from shared.queries import load
from shared.runtime.signals import Metrics

SQL = load("shared.runtime")

Place: TypeAlias = tuple[str, int]
"""A topic and the number of one of its partitions."""

log = structlog.get_logger("pawl.offsets")


class Stand(NamedTuple):
    """What is known of a partition when it is assigned.

    `handled` is the next offset by this service's own account, `committed` that of its group; each is None
    where there is none. `first` is the offset of the first record that the broker has, `end` the one after
    the last that can be read.
    """

    handled: int | None
    committed: int | None
    first: int
    end: int


class Gap(NamedTuple):
    """Records from one offset up to another, the latter not among them, that were not handled here."""

    from_offset: int
    to_offset: int
    kind: Literal["deleted", "moved"]


class Judged(NamedTuple):
    """What follows from a Stand: the next offset as it is kept from now on, and what is missing before it.

    `is_new_log`: the partition ends before what was handled of it, so it is another one of the same name.
    """

    next_offset: int
    gap: Gap | None = None
    is_new_log: bool = False


def judge(stand: Stand) -> Judged:
    """Judges a partition that is assigned. A group that was set back reads again what is known: no gap.

    Where nothing was ever handled, what the broker deleted before is nobody's loss; what the group has read
    of what is still there, this schema has not.
    """
    is_within = stand.committed is not None and stand.first <= stand.committed <= stand.end
    start = stand.committed if is_within and stand.committed is not None else stand.first
    if stand.handled is not None and stand.handled > stand.end:
        return Judged(start, _gap(0, start, stand.first), is_new_log=True)
    if stand.handled is None:
        return Judged(start, _gap(stand.first, start, stand.first))
    return Judged(max(stand.handled, start), _gap(stand.handled, start, stand.first))


def _gap(known: int, start: int, first: int) -> Gap | None:
    if start <= known:
        return None
    return Gap(known, start, "moved" if start > first else "deleted")


class HandledOffsets:
    """The account of one service, for all of its consumers."""

    def __init__(self, pool: asyncpg.Pool, metrics: Metrics) -> None:
        self._pool = pool
        self._metrics = metrics

    async def begin(self, stands: Mapping[Place, Stand]) -> dict[Place, int]:
        """Judges partitions that were assigned, keeps what is missing; the next offset of each.

        What the stands say of `handled` is left aside. Raises what asyncpg raises.
        """
        topics, numbers = _columns(stands)
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(SQL.handled_offsets, topics, numbers)
            schema = await connection.fetchrow(SQL.counts_offsets)
            handled = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
            told: dict[Place, datetime] = {(row["topic"], row["partition"]): row["moved_at"] for row in rows}
            judged: dict[Place, Judged] = {}
            for place, stand in stands.items():
                known = handled.get(place)
                # A schema at work without an account of a partition is of the version before: it kept none.
                is_of_before = not schema["counts"] or (known is None and schema["is_at_work"])
                if is_of_before and stand.committed is not None:
                    known = max(known or 0, stand.committed)
                judged[place] = judge(stand._replace(handled=known))
            following = [(place, each.next_offset) for place, each in judged.items()]
            await self._keep(connection, SQL.set_handled_offsets, following)
            gaps = [(place, each.gap) for place, each in judged.items() if each.gap is not None]
            await self._note(connection, gaps, told)
        for place, each in judged.items():
            if each.is_new_log:
                log.warning("the topic was created anew", topic=place[0], partition=place[1])
        return {place: each.next_offset for place, each in judged.items()}

    async def keep(self, reached: Mapping[Place, int], gaps: Sequence[tuple[Place, Gap]]) -> None:
        """Keeps how far partitions are handled, and what was found to be missing on the way."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._note(connection, gaps, {})
            await self._keep(connection, SQL.keep_handled_offsets, sorted(reached.items()))

    async def _keep(
        self, connection: asyncpg.pool.PoolConnectionProxy, query: str, rows: Sequence[tuple[Place, int]]
    ) -> None:
        ordered = sorted(rows)
        if ordered:
            topics, numbers = _columns(place for place, _ in ordered)
            await connection.execute(query, topics, numbers, [offset for _, offset in ordered])

    async def _note(
        self,
        connection: asyncpg.pool.PoolConnectionProxy,
        gaps: Sequence[tuple[Place, Gap]],
        told: Mapping[Place, datetime],
    ) -> None:
        for place, gap in gaps:
            new = await connection.fetchval(SQL.note_gap, *place, *gap, told.get(place))
            missed = gap.to_offset - gap.from_offset
            self._metrics.missed.labels(gap.kind).inc(missed)
            log.error(
                "records were never read",
                gap=new,
                topic=place[0],
                partition=place[1],
                from_offset=gap.from_offset,
                to_offset=gap.to_offset,
                kind=gap.kind,
                next="pawl gaps",
            )


def _columns(places: Iterable[Place]) -> tuple[list[str], list[int]]:
    pairs = list(places)
    return [topic for topic, _ in pairs], [number for _, number in pairs]
