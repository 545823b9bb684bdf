"""The issuing worker: makes the serials of grants that were not issued with their event.

Chunk by chunk, each in a short transaction of its own: lock grants, insert serials, count them, append the
events, commit. After a crash the count says where to go on. Several workers may run at once: a grant in the
hands of another is passed over, and if a lock ever failed, the primary key of serials would refuse the second
set.

The serials of a large grant are copied into a table of their own, their home, which gets its indexes and
becomes a part of all serials in the transaction of the last chunk (docs/decisions/0027). Where time is short
chunks are halved, and no home is made: its indexes are made in one statement.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import asyncpg
import structlog
from msgspec.structs import replace

from services.serials.decisions import issue_units, tell_issued
from services.serials.state import Grant, Order, Part
from services.serials.stock import Stock
from services.serials.store import GRANTS, SQL, Store
from shared.crash_points import CrashPoint
from shared.postgres import Connection
from shared.runtime.batch_size import WorkSize
from shared.runtime.decisions import Decided
from shared.runtime.outgoing import Cause, OutboxRows
from shared.runtime.retry import note_fault, until_done
from shared.runtime.surroundings import Surroundings

GRANTS_A_CHUNK = 200
PART = "the issuing of serials"
CLASHES_IN_A_ROW = 5
"""75 random bits hardly ever repeat; so many repetitions mean that the source of randomness is broken."""

log = structlog.get_logger("pawl.issuing")


class Issuer:
    """Issues grants until it is cancelled. The store wakes it; every `idle_seconds` it looks by itself."""

    def __init__(self, surroundings: Surroundings, store: Store, idle_seconds: float = 0.5) -> None:
        self._pool = surroundings.pool
        self._troubles = surroundings.troubles
        self._outbox = surroundings.outbox
        self._store = store
        self._size = WorkSize(store.policy.chunk)
        self._idle_seconds = idle_seconds
        self._stock = Stock(store.writer)

    async def run(self) -> None:
        """Issue whatever is left, then wait for more; for ever."""
        granted = self._store.large_granted
        try:
            while True:
                granted.clear()
                units = await until_done(self.issue_chunk, self._note_trouble)
                self._size.grow(units)
                self._troubles.over(PART)
                if not units:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(granted.wait(), self._idle_seconds)
        finally:
            self._stock.close()

    def _note_trouble(self, trouble: BaseException, attempt: int, pause: float) -> None:
        more = note_fault(self._troubles, PART, trouble)
        self._size.note(trouble)
        said = {"attempt": attempt, "pause": round(pause, 2), "trouble": type(trouble).__name__}
        log.warning("chunk repeated", units=self._size.most, **said, **more)

    async def drain(self) -> int:
        """Issue until nothing is left that this worker can lock; returns the units issued."""
        total = 0
        while units := await self.issue_chunk():
            total += units
        return total

    async def issue_chunk(self) -> int:
        """Issue the next chunk in one transaction; returns its units, 0 when there is nothing to do.

        A unique violation means that chance repeated a serial, or that a batch has just recorded the order of
        a grant: the chunk is made anew.
        """
        for _ in range(CLASHES_IN_A_ROW):
            with suppress(asyncpg.UniqueViolationError):
                return await self._transaction()
        raise RuntimeError(
            "serials repeat: the random source is broken, or a grant was issued without its lock"
        )

    async def _transaction(self) -> int:
        async with self._outbox.transaction(
            self._pool, CrashPoint.BEFORE_CHUNK_COMMIT, CrashPoint.AFTER_CHUNK_COMMIT
        ) as (connection, events):
            self._size.begin()
            chunk = self._size.most
            grants = await self._store.lock_grants(connection, GRANTS_A_CHUNK, chunk)
            if not grants:
                return 0
            home = await self._home_of(connection, grants[0])
            issues = _issues(grants, chunk, home)
            left = issues[-1].decided.state.left
            await self._write_serials(connection, [issue.part for issue in issues], left, home, chunk)
            if home and not left:
                await self._open_home(connection, home)
            await GRANTS.save(connection, [(issue.decided.state, issue.grant) for issue in issues])
            for issue in issues:
                events.add_all(issue.decided.events, _cause(issue.grant))
            await self._tell_issued(connection, [issue.decided.state for issue in issues], events)
        units = sum(issue.part.units for issue in issues)
        log.info("serials issued", grants=len(issues), units=units, left=left)
        return units

    async def _tell_issued(self, connection: Connection, grants: Sequence[Grant], events: OutboxRows) -> None:
        """Says which grants became whole: those of one decision together, about their order."""
        together: dict[tuple[str, str], list[Grant]] = {}
        for grant in grants:
            if not grant.left:
                together.setdefault((grant.order_id, grant.causation), []).append(grant)
        if not together:
            return
        before = await self._store.lock_orders(connection, {order_id for order_id, _ in together})
        now = dict(before)
        for (order_id, _), whole in together.items():
            now[order_id], said = tell_issued(now.get(order_id) or Order(order_id), whole)
            events.add_all(said, _cause(whole[0]))
        await self._store.save_orders(connection, now, before)

    async def _home_of(self, connection: Connection, grant: Grant) -> int:
        """Where the serials of a grant live: a home is made with the first chunk of a large one."""
        policy = self._store.policy
        if not policy.wants_home(grant) or self._size.most < policy.chunk:
            return grant.home
        home: int = await connection.fetchval(SQL.make_home, policy.homes)
        return home

    async def _write_serials(
        self, connection: Connection, parts: Sequence[Part], left: int, home: int, chunk: int
    ) -> None:
        kept = await self._stock.take(sum(part.units for part in parts))
        self._stock.expect(left, chunk)
        await self._store.writer.write(connection, parts, kept, home)

    async def _open_home(self, connection: Connection, home: int) -> None:
        """A home whose serials are all there becomes a part of all serials."""
        self._outbox.on_crash_point(CrashPoint.BEFORE_HOME_INDEX)
        await connection.execute(SQL.index_home, home)
        self._outbox.on_crash_point(CrashPoint.BEFORE_HOME_OPEN)
        await connection.execute(SQL.open_home, home)


class _Issue(NamedTuple):
    """What a chunk issues of one grant: the grant as it was, its new part, and how it stands then."""

    grant: Grant
    part: Part
    decided: Decided[Grant]


def _issues(grants: Sequence[Grant], chunk: int, home: int) -> list[_Issue]:
    """What one chunk issues of these grants, in their order, into one home. Only the first may be cut."""
    issues: list[_Issue] = []
    room = chunk
    for grant in grants:
        if issues and grant.left > room:
            break
        units = min(grant.left, room)
        decided = issue_units(replace(grant, home=home), units)
        issues.append(_Issue(grant, grant.next_part(units), decided))
        room -= units
    return issues


def _cause(grant: Grant) -> Cause:
    """What led to the events of a grant, at its logical time."""
    return Cause(grant.causation, grant.order_id, grant.granted_at, grant.correlation)
