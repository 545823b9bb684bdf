"""The issuing worker: makes the serials of grants that were not issued with their event.

Chunk by chunk, each in a short transaction of its own: lock grants, insert serials, count them, say so,
commit. After a crash the count says where to go on. Several workers may run at once: a grant in the hands of
another is passed over, and if a lock ever failed, the primary key of serials would refuse the second set.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import asyncpg
import structlog

from services.serials.domain import Grant, Part, issue_units
from services.serials.stock import Stock
from services.serials.store import SerialWriter, advance_grants, lock_grants
from shared.crash_points import CrashPoint
from shared.postgres import Connection
from shared.runtime.decisions import NewEvent
from shared.runtime.outbox import Cause
from shared.runtime.retry import until_done
from shared.runtime.surroundings import Surroundings

GRANTS_A_CHUNK = 200
CLASHES_IN_A_ROW = 5
"""75 random bits hardly ever repeat; so many repetitions mean that the source of randomness is broken."""

log = structlog.get_logger("pawl.issuing")


class Issuer:
    """Issues grants until it is cancelled. `granted` wakes it; every `idle_seconds` it looks by itself."""

    def __init__(
        self,
        surroundings: Surroundings,
        writer: SerialWriter,
        chunk: int,
        granted: asyncio.Event,
        idle_seconds: float = 0.5,
    ) -> None:
        self._pool = surroundings.pool
        self._outbox = surroundings.outbox
        self._writer = writer
        self._chunk = chunk
        self._granted = granted
        self._idle_seconds = idle_seconds
        self._stock = Stock(writer)

    async def run(self) -> None:
        """Issue whatever is left, then wait for more; for ever."""
        try:
            while True:
                self._granted.clear()
                if not await until_done(self.issue_chunk, _note_trouble):
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._granted.wait(), self._idle_seconds)
        finally:
            self._stock.close()

    async def drain(self) -> int:
        """Issue until nothing is left that this worker can lock; returns the units issued."""
        total = 0
        while units := await self.issue_chunk():
            total += units
        return total

    async def issue_chunk(self) -> int:
        """Issue the next chunk in one transaction; returns its units, 0 when there is nothing to do.

        A unique violation means that chance repeated a serial: the chunk is made anew.
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
            grants = await lock_grants(connection, self._chunk, GRANTS_A_CHUNK)
            moves = _moves(grants, self._chunk)
            if not moves:
                return 0
            await self._issue(connection, [part for _, part, _ in moves], moves[-1][0].left)
            await advance_grants(connection, [grant for grant, _, _ in moves])
            for grant, _, event in moves:
                events.add(event, Cause(grant.causation, grant.order_id, grant.granted_at, grant.correlation))
        units = sum(part.units for _, part, _ in moves)
        log.info("serials issued", grants=len(moves), units=units, left=moves[-1][0].left)
        return units

    async def _issue(self, connection: Connection, parts: Sequence[Part], left: int) -> None:
        kept = await self._stock.take(sum(part.units for part in parts))
        self._stock.expect(left, self._chunk)
        await self._writer.write(connection, parts, kept)


Move = tuple[Grant, Part, NewEvent]


def _moves(grants: Sequence[Grant], chunk: int) -> list[Move]:
    """The grants of one chunk as they will be, their new parts and what to say. Only the first may be cut."""
    moves: list[Move] = []
    room = chunk
    for grant in grants:
        if moves and grant.left > room:
            break
        units = min(grant.left, room)
        after, fact = issue_units(grant, units)
        moves.append((after, grant.next_part(units), fact))
        room -= units
    return moves


def _note_trouble(trouble: BaseException, attempt: int, pause: float) -> None:
    log.warning("chunk repeated", attempt=attempt, pause=round(pause, 2), trouble=type(trouble).__name__)
